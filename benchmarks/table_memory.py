"""Memory of streaming a table and of training on it, beside the size of its files.

    python -m benchmarks.table_memory --folder=/tmp
    python -m benchmarks.table_memory --folder=/tmp --work=train
    python -m benchmarks.table_memory --folder=/tmp --gigabytes=0.01,0.05    (seconds)

Generates tables of 8 columns of numbers, one of counts with gaps and one of text, as CSV, as compressed CSV and as a
folder of Parquet files, reads each in a process of its own, and deletes it. A row is a table: its bytes on disk, its
rows, rows a second of processor time, and by how much the process grew at most over what it was before the first row
(VmHWM less VmRSS, in MiB). Memory is flat if the last column does not grow with the second.

--work=stream reads with `data.stream_columns`, and compares the sum of all values with the sum of the generated ones.
--work=train opens the table with `data.load` and a shuffle buffer, trains a flow for some steps, and reads the rest of
the epoch and the test split. TensorFlow and the flow are in its memory.
"""

import gzip
import multiprocessing
import pathlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from absl import app, flags

_CHUNK = 250_000
_CHUNKS_IN_A_FILE = 8
_TRAINED = 1024  # Rows of a training step.
_FORMATS = ("csv", "csv.gz", "parquet")


def define_flags() -> None:
    flags.DEFINE_enum("work", "stream", ["stream", "train"], "What is done with each table.")
    flags.DEFINE_list("gigabytes", ["0.2", "2"], "Sizes of the tables on disk.")
    flags.DEFINE_list("formats", ["csv", "parquet"], f"Of {', '.join(_FORMATS)}.")
    flags.DEFINE_string("folder", None, "Where to write them.", required=True)
    flags.DEFINE_integer("rows", 65536, "Rows of a batch that is streamed.", lower_bound=1)
    flags.DEFINE_integer("shuffle_buffer", 200_000, "Rows in the shuffle buffer.", lower_bound=1)
    flags.DEFINE_integer("steps", 100, "Training steps.", lower_bound=1)
    flags.DEFINE_string("output", None, "File to write the table to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    lines = ["| format | MB on disk | rows | rows/s of CPU | MiB at most |", "|---|---|---|---|---|"]
    print(*lines, sep="\n")
    for kind in values.formats:
        for gigabytes in values.gigabytes:
            folder = pathlib.Path(tempfile.mkdtemp(dir=values.folder, prefix="table_memory_"))
            try:
                source, size, total = generate(folder, kind, float(gigabytes) * 1e9)
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    if values.work == "stream":
                        rows, seconds, mib, found = pool.apply(stream, (source, values.rows))
                    else:
                        rows, seconds, mib = pool.apply(train, (source, values.shuffle_buffer, values.steps))
            finally:
                shutil.rmtree(folder)
            if values.work == "stream" and not np.isclose(total, found, rtol=1e-9):
                raise SystemExit(f"{source}: expected a sum of {total}, got {found}")
            lines.append(f"| {kind} | {size / 1e6:,.0f} | {rows:,} | {rows / seconds:,.0f} | {mib:,.0f} |")
            print(lines[-1], flush=True)
    if values.output:
        pathlib.Path(values.output).write_text("\n".join(lines) + "\n")


def generate(folder: pathlib.Path, kind: str, size: float) -> tuple[str, int, float]:
    """Writes a table of about that many bytes; its source, bytes, and the sum of its values."""
    total = 0.0

    def chunks() -> Iterator[pa.Table]:
        nonlocal total
        random = np.random.default_rng(0)
        while _size(folder) < size:
            numbers = random.normal(size=[8, _CHUNK])
            counts = random.integers(0, 10_000, _CHUNK)
            texts = np.array(["red", "green", "blue, or so"])[random.integers(0, 3, _CHUNK)]
            gaps = random.random(_CHUNK) < 0.1
            total += numbers.sum() + counts[~gaps].sum() + np.char.str_len(texts).sum()
            columns = {f"x{i}": column for i, column in enumerate(numbers)}
            yield pa.table({**columns, "count": pa.array(counts, mask=gaps), "colour": texts})

    if kind == "parquet":
        for i, chunk in enumerate(chunks()):
            path = folder / f"part{i // _CHUNKS_IN_A_FILE:05}.parquet"
            if i % _CHUNKS_IN_A_FILE == 0:
                writer = pyarrow.parquet.ParquetWriter(path, chunk.schema)
            writer.write_table(chunk)
            if (i + 1) % _CHUNKS_IN_A_FILE == 0:
                writer.close()
        writer.close()
        return f"parquet:{folder}/*.parquet", _size(folder), total
    path = folder / f"table.{kind}"
    with gzip.open(path, "wb", 1) if kind == "csv.gz" else path.open("wb") as file:
        for i, chunk in enumerate(chunks()):
            pyarrow.csv.write_csv(chunk, file, pyarrow.csv.WriteOptions(include_header=i == 0))
    return f"csv:{path}", _size(folder), total


def stream(source: str, rows: int) -> tuple[int, float, float, float]:
    """Rows, seconds of all processors, MiB that the process grew, and the sum of all values."""
    from tfp_realnvp import data

    before = _memory("VmRSS")
    started, count, total = time.process_time(), 0, 0.0
    for table in data.stream_columns(source, rows):
        count += len(table)
        for name, column in table.columns.items():
            total += sum(map(len, column)) if column.dtype == object else np.nansum(column)
    return count, time.process_time() - started, _memory("VmHWM") - before, total


def train(source: str, shuffle_buffer: int, steps: int) -> tuple[int, float, float]:
    """Rows, seconds of all processors, and MiB that the process grew."""
    import tfp_realnvp as nvp
    from tfp_realnvp import data

    before, started = _memory("VmRSS"), time.process_time()
    events = data.load(source, shuffle_buffer=shuffle_buffer)
    flow = nvp.coupling_flow(event_shape=(events.types.entries,), couplings=4, hidden_units=(32, 32))
    model = nvp.FlowModel(flow, columns=events.types)
    model.compile()
    batches = events.training_batches(_TRAINED, seed=0, epoch=0)
    model.fit(batches.take(steps), verbose=0)
    rest = events.training_batches(_TRAINED, seed=0, epoch=0, skip=steps)
    read = sum(len(batch) for part in (rest, events.evaluation_batches("test", _TRAINED)) for batch in part)
    expected = (events.num_examples("train") // _TRAINED - steps) * _TRAINED + events.num_examples("test")
    if read != expected:
        raise ValueError(f"{source}: expected {expected} rows, got {read}")
    rows = sum(map(events.num_examples, ("train", "validation", "test")))
    return rows, time.process_time() - started, _memory("VmHWM") - before


def _memory(what: str) -> float:
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1024


def _size(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


if __name__ == "__main__":
    define_flags()
    app.run(main)
