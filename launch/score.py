"""Score every row or image of a file: log_prob, beside its id.

    python -m launch.score FILE --output_dir=runs/table --output_file=scores.csv
    python -m launch.score "parquet:trips/*.parquet" --id=trip \\
      --saved_model=served/trips --output_file=scores.parquet
    python -m launch.score folder:photos --saved_model=mnist \\
      --output_file=scores.jsonl
    python -m launch.score folder:photos --saved_model=mnist --data_dir=DIR \\
      --novelty=typicality,complexity,gradient --output_file=scores.csv

FILE is a table, csv:, parquet:, arrow:, npz:, npy: or tfrecord: and its path, or the path alone, whose suffix says what
it is; folder:PATH or npy:PATH of images; or the name of a set, whose splits are all scored. It is read batch by
batch, and may be larger than memory.

The noise of a bound is a function of the row alone, as in an export. So is the score: a run and its export, and any
part of the file, give the same, up to float32 rounding between the two models.

With --novelty, each score has its p-value beside it: on average at most 1 % of regular events get .01 or less. An
export that was made with --calibration_split has its calibration; otherwise the program first scores the validation
split of the model's own data. docs/novelty.md says what each score finds, and what it does not.

With --runner, a pipeline of Apache Beam scores tables on one machine or many, into one file for each 65,536 rows of an
input: scores-FILE-START.parquet for --output_file=scores.parquet. Files that exist are skipped, so that the same
command resumes a pipeline that was stopped:

    python -m launch.score "parquet:trips/*.parquet" \\
      --saved_model=served/trips --output_file=scores/scores.parquet \\
      --runner=DirectRunner --beam_options="--direct_num_workers=2 \\
      --direct_running_mode=multi_processing"
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
import pathlib
import re
import shlex
from collections.abc import Iterator

import keras
import tensorflow as tf
from absl import flags

from launch import arguments, calibration, data_flags, outputs, run, score_input, score_output, source, terminal
from launch.score_input import Batch
from tfp_realnvp import novelty, paths, serving
from tfp_realnvp.data.image_file import Decoder

arguments.DEFINE_positional("FILE")
_OUTPUT_FILE = arguments.DEFINE_path(
    "output_file", None, f"File to write: {', '.join(score_output.SUFFIXES)}.", paths.local_or_remote, required=True
)
_ID = flags.DEFINE_string(
    "id", None, "Column of a table to write beside the scores. By default the row's number from 0, or an image's path."
)
_LATENTS = flags.DEFINE_bool("latents", False, "Whether to write latents, too; of a bound, those of the first noise.")
_NOVELTY = flags.DEFINE_list(
    "novelty",
    [],
    f"Novelty scores to write, with their p-values: {', '.join(novelty.TAILS)}. Complexity is of images.",
)
_ON_ERROR = flags.DEFINE_enum(
    "on_error",
    "column",
    ["column", "stop"],
    "A row that has no score gets the reason in a column `error`, or ends the program with its line and column.",
)
_IMPORTANCE_SAMPLES = flags.DEFINE_integer(
    "importance_samples", 1, "Noise samples for each row or image, k of the importance bound.", lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Events that the model sees at a time. By default 16384 rows, or 32 images.", lower_bound=1
)
# Names of Beam's runners, as users call them.
_RUNNERS = {name.removesuffix("Runner"): name for name in ("DataflowRunner", "FlinkRunner", "SparkRunner")}
_RUNNER = flags.DEFINE_enum(
    "runner", None, ["DirectRunner", *_RUNNERS], "Apache Beam's runner of a pipeline that scores tables in shards."
)
_BEAM_OPTIONS = flags.DEFINE_string("beam_options", "", "Options of Beam and its runner, as on a command line.")


def main() -> None:
    (file,) = arguments.positional()
    path = pathlib.Path(_OUTPUT_FILE.value)
    if path.suffix.lower() not in score_output.SUFFIXES:
        raise run.UsageError(f"expected a suffix {', '.join(score_output.SUFFIXES)} for --output_file, got {path}")
    if _LATENTS.value and re.fullmatch(r"latent_\d+", _ID.value or ""):
        raise run.UsageError(f"expected another name for --id beside --latents, whose columns have it, got {_ID.value}")
    try:
        if _RUNNER.value is not None:
            _run_pipeline(score_input.named(file))
            return
        if "://" in _OUTPUT_FILE.value:
            raise run.UsageError(f"expected a path on a local disk without --runner, got {_OUTPUT_FILE.value}")
        if score_input.named(file).partition(":")[0] in score_input.TABLES:
            # Batches of rows share the cores, see `_scored`; within a batch, small products are slower when shared.
            tf.config.threading.set_intra_op_parallelism_threads(1)
        model = source.open_model()
        outputs.check(path, score_input.named(file), run.DATASET.value or model.dataset)
        exported = _exported_calibration()
        scorer = _scorer(model, exported)
        calibrated = _calibration(model, scorer, exported)
        done, faults = _score(_batches(score_input.named(file), model, scorer), scorer, path, calibrated)
    except ModuleNotFoundError as error:
        raise run.UsageError(str(error)) from error
    bound = "" if scorer.is_exact else f"; log_prob is a lower bound, of {_IMPORTANCE_SAMPLES.value} noise samples"
    print(f"{done:,} scored, {faults:,} without a score{bound}", flush=True)
    source.wrote(path)


def _run_pipeline(name: str) -> None:
    from launch import score_beam

    if source.SAVED_MODEL.value is None:
        raise run.UsageError("expected an export, --saved_model, for --runner, got a run: its saved_model/ is one")
    if name.partition(":")[0] not in score_input.TABLES:
        raise run.UsageError(f"expected a table for --runner, got {name}")
    exported = _exported_calibration()
    lacking = [name for name in _NOVELTY.value if exported is None or name not in exported.statistics]
    if lacking:
        raise run.UsageError(
            f"expected an export with a calibration of {lacking[0]} for --runner, got one without: export it with "
            "--calibration_split"
        )
    if calibration.SPLIT.value is not None:
        raise run.UsageError("expected the export's own calibration for --runner, got --calibration_split")
    options = {
        "novelty": _NOVELTY.value,
        "importance_samples": _IMPORTANCE_SAMPLES.value,
        "latents": _LATENTS.value,
        "batch_size": _BATCH_SIZE.value or score_input.ROWS,
    }
    job = score_beam.Job(
        source=name,
        export=str(serving.version_path(source.SAVED_MODEL.value).absolute()),
        output=_OUTPUT_FILE.value,
        header=run.HEADER.value,
        id_column=_ID.value,
        on_error=_ON_ERROR.value,
        options=options,
    )
    runner = _RUNNERS.get(str(_RUNNER.value), _RUNNER.value)
    try:
        score_beam.run(job, [f"--runner={runner}", *shlex.split(_BEAM_OPTIONS.value)])
    except FileNotFoundError as error:
        raise run.UsageError(str(error)) from error
    print(f"Wrote the shards of {_OUTPUT_FILE.value}", flush=True)


def _exported_calibration() -> novelty.Calibration | None:
    export = source.SAVED_MODEL.value
    if not _NOVELTY.value and calibration.SPLIT.value is not None:
        raise run.UsageError("expected --novelty for --calibration_split, got none")
    if export is None or not _NOVELTY.value:
        return None
    try:
        return serving.calibration_of(serving.version_path(export))
    except (FileNotFoundError, serving.ExportError) as error:
        raise run.UsageError(str(error)) from error


def _codec(exported: novelty.Calibration | None) -> str:
    return calibration.CODEC.value if calibration.CODEC.present or exported is None else exported.codec


def _calibration(
    model: source.Source, scorer: serving.Scorer, exported: novelty.Calibration | None
) -> novelty.Calibration | None:
    """The calibration of the export, if it has what is asked for, and otherwise by a split of the model's data."""
    if not scorer.novelty:
        return None
    split = calibration.SPLIT.value
    has_all = exported is not None and exported.codec == scorer.codec and {*scorer.novelty} <= {*exported.statistics}
    if split is None and has_all:
        return exported
    return calibration.of_split(scorer, source.open_data(model), split or "validation")


def _scorer(model: source.Source, exported: novelty.Calibration | None) -> serving.Scorer:
    export = source.SAVED_MODEL.value
    about = {} if export is None else serving.describe(serving.version_path(export))
    try:
        scorer = serving.Scorer(
            model.distribution,
            columns=model.types,
            names=None if model.types is not None else model.columns,
            levels=model.levels,
            dequantizer=model.dequantizer,
            classes=model.classes,
            noise_seed=about.get("noise_seed", 0),
            importance_samples=_IMPORTANCE_SAMPLES.value,
            latents=_LATENTS.value,
            novelty=_NOVELTY.value,
            codec=_codec(exported),
            batch_size=_BATCH_SIZE.value or (score_input.ROWS if model.levels is None else 32),
            jit_compile=run.jit_compile(),
        )
    except ValueError as error:
        raise run.UsageError(str(error)) from error
    if scorer.is_exact and _IMPORTANCE_SAMPLES.value > 1:
        raise run.UsageError("expected a model of a bound for --importance_samples, got one whose log_prob is exact")
    return scorer


def _batches(name: str, model: source.Source, scorer: serving.Scorer) -> Iterator[Batch]:
    kind, _, path = name.partition(":")
    is_image = scorer.levels is not None
    if is_image and _ID.value is not None:
        raise run.UsageError("expected a table for --id, got images")
    if is_image and scorer.classes is not None and kind in ("folder", "npy"):
        raise run.UsageError(f"expected a set with labels for a conditional model, got {name}")
    if is_image and kind == "folder":
        size = data_flags.IMAGE_SIZE.value or model.image_size
        return score_input.folder(
            path, scorer.shape, Decoder(size, data_flags.FLATTEN_ALPHA.value or model.flatten_alpha)
        )
    if is_image and kind == "npy":
        return score_input.arrays(path, scorer)
    if not is_image and kind in score_input.TABLES:
        on_error = "keep" if _ON_ERROR.value == "column" else "raise"
        return score_input.tables(name, scorer, header=run.HEADER.value, id_column=_ID.value, on_error=on_error)
    events = run.open_data(name, scorer.classes is not None)
    if (events.shape, events.levels) != (scorer.shape, scorer.levels) or scorer.columns is not None:
        raise run.UsageError(f"expected events of shape {scorer.shape}, got {events.name} of shape {events.shape}")
    if _ID.value is not None:
        raise run.UsageError(f"expected a file for --id, got the set {name}")
    return score_input.events(events)


def _score(
    batches: Iterator[Batch], scorer: serving.Scorer, path: pathlib.Path, calibrated: novelty.Calibration | None
) -> tuple[int, int]:
    """Scores all batches into the file; the number of events, and of those without a score."""
    done = faults = 0
    bar = keras.utils.Progbar(None, unit_name="event") if terminal.is_live() else None
    with score_output.opened(path, path.suffix.lower()) as write:
        for batch, scores in _scored(batches, scorer):
            if scores.faults and _ON_ERROR.value == "stop":
                row = min(scores.faults)
                raise run.UsageError(batch.where(row, scores.faults[row]))
            has_errors = _ON_ERROR.value == "column"
            id_name = _ID.value or "id"
            write(score_output.table(batch, scores, scorer, id_name, with_errors=has_errors, calibration=calibrated))
            done, faults = done + len(batch), faults + len(scores.faults)
            if bar is not None:
                bar.update(done)
        if not done:
            raise run.UsageError("expected rows or images, got none")
    if bar is not None:
        print()
    return done, faults


def _scored(batches: Iterator[Batch], scorer: serving.Scorer) -> Iterator[tuple[Batch, serving.Scores]]:
    """The batches in their order, with their scores.

    Several are scored side by side, one more than there are cores: reading, encoding and writing fill the gaps.
    """
    workers = (os.cpu_count() or 1) + 1
    waiting: collections.deque[tuple[Batch, concurrent.futures.Future[serving.Scores]]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(batch.scored, scorer)))
            if len(waiting) > 2 * workers:
                first, scores = waiting.popleft()
                yield first, scores.result()
        for first, scores in waiting:
            yield first, scores.result()


if __name__ == "__main__":
    run.start(main)
