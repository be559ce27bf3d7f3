"""The pipeline of Apache Beam that scores tables in shards."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launch import score_input, score_output
from launch.score_input import Batch
from tfp_realnvp.extras import extra
from tfp_realnvp.serving import Scorer, Scores, calibration_of

with extra("beam"):
    import apache_beam as beam
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.ml.inference.base import ModelHandler, RunInference
    from apache_beam.options.pipeline_options import PipelineOptions


@dataclasses.dataclass(frozen=True)
class Job:
    """What is scored, and how.

    Attributes:
      source: files of one kind, such as `parquet:DIR/*.parquet`; Beam's patterns and file systems.
      export: path of an export that each worker can read.
      output: path of the shards: `DIR/scores.parquet` makes `DIR/scores-FILE-START.parquet`.
      header: of a CSV file.
      id_column: column to write beside the scores, or None for the row's number in its file.
      on_error: "column" or "stop".
      rows: of a shard, which one worker scores and writes.
      options: arguments of `Scorer`.
    """

    source: str
    export: str
    output: str
    header: str = "auto"
    id_column: str | None = None
    on_error: str = "column"
    rows: int = 2**16
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def scorer(self) -> Scorer:
        return Scorer.of_export(self.export, **self.options)

    def shard(self, batch: Batch) -> str:
        """The path of the scores of a batch, which its file and its first row decide."""
        stem, dot, suffix = self.output.rpartition(".")
        file = f"{pathlib.PurePath(batch.label).stem}-{zlib.crc32(batch.label.encode()):08x}"
        return f"{stem}-{file}-{batch.start:012d}{dot}{suffix}"


def run(job: Job, options: Sequence[str]) -> None:
    """Scores what has no shard yet.

        files -> batches of rows -> RunInference (the model: a `Scorer`) -> shards

    A shard has its name when it is whole, so that a pipeline that was stopped goes on where it was.

    Args:
      job: what is scored.
      options: Beam's, such as `--runner=DirectRunner` and `--direct_num_workers=2`.

    Raises:
      FileNotFoundError: if there is no such file.
    """
    kind, _, pattern = job.source.partition(":")
    files = [found.path for found in FileSystems.match([pattern])[0].metadata_list]
    if not files:
        raise FileNotFoundError(f"there is no file {pattern}")
    with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
        (
            pipeline
            | "Files" >> beam.Create([f"{kind}:{file}" for file in files])
            | "Spread files" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(job))
            | "Spread batches" >> beam.Reshuffle()
            | "Score" >> RunInference(_Handler(job))
            | "Write" >> beam.ParDo(_Write(job))
        )


class _Read(beam.DoFn):
    """The batches of a file whose shards are not there."""

    def __init__(self, job: Job):
        self._job = job

    def setup(self) -> None:
        self._scorer = self._job.scorer()

    def process(self, source: str) -> Iterator[Batch]:
        kind, _, path = source.partition(":")
        job = self._job
        with _local(path) as file:
            name = f"{kind}:{file}"
            for batch in score_input.tables(
                name, self._scorer, header=job.header, id_column=job.id_column, rows=job.rows
            ):
                batch = dataclasses.replace(batch, label=path, table=None)  # The table knows its open file.
                if not FileSystems.exists(job.shard(batch)):
                    yield batch


class _Handler(ModelHandler[Batch, tuple[Batch, Scores], Scorer]):
    """A `Scorer` as Beam loads it once for each worker."""

    def __init__(self, job: Job):
        super().__init__()
        self._job = job

    def load_model(self) -> Scorer:
        return self._job.scorer()

    def run_inference(
        self, batch: Sequence[Batch], model: Scorer, inference_args: dict[str, Any] | None = None
    ) -> Iterator[tuple[Batch, Scores]]:
        for one in batch:
            yield one, one.scored(model)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"max_batch_size": 1}  # An element is a batch of rows already.


class _Write(beam.DoFn):
    """Writes the shard of a batch, which has its name when it is whole."""

    def __init__(self, job: Job):
        self._job = job

    def setup(self) -> None:
        self._scorer = self._job.scorer()
        self._calibration = calibration_of(self._job.export) if self._scorer.novelty else None

    def process(self, scored: tuple[Batch, Scores]) -> None:
        batch, scores = scored
        job = self._job
        if scores.faults and job.on_error == "stop":
            row = min(scores.faults)
            raise ValueError(batch.where(row, scores.faults[row]))
        table = score_output.table(
            batch,
            scores,
            self._scorer,
            job.id_column or "id",
            with_errors=job.on_error == "column",
            calibration=self._calibration,
        )
        path = job.shard(batch)
        with tempfile.TemporaryDirectory() as folder:
            local = pathlib.Path(folder) / "shard"
            with score_output.opened(local, pathlib.PurePath(job.output).suffix.lower()) as write:
                write(table)
            part = f"{path}.part"
            with local.open("rb") as source, _created(part) as target:
                shutil.copyfileobj(source, target)
        FileSystems.rename([part], [path])


def _created(path: str) -> Any:
    with contextlib.suppress(OSError):  # It is there.
        FileSystems.mkdirs(FileSystems.split(path)[0])
    # By its suffix Beam would compress it.
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


@contextlib.contextmanager
def _local(path: str) -> Iterator[str]:
    """A file on this machine: itself, or a copy of one that is elsewhere."""
    if "://" not in path:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / FileSystems.split(path)[1]
        with (
            FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as source,
            copy.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        yield str(copy)
