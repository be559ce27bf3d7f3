"""Rows a second of `launch.score`, beside a bare call of the SavedModel.

    python -m benchmarks.score                                      (10 million rows: minutes on a quiet machine)
    python -m benchmarks.score --rows=100000 --output=scores.md

Writes a Parquet file of generated rows (a real number, a positive one, an integer and a category) and exports a flow of
them. The bare call has encoded rows in memory and nothing to read or write, at the best of some batch sizes.
`launch.score` runs on a tenth of the rows and on all, each in a process of its own: the rate is that of the other nine
tenths, which excludes the start, and the peak of memory is quoted for both. Then the Beam pipeline scores rows in four
files on two processes, and each score must be bit for bit that of `launch.score`.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf
from absl import app, flags, logging

import tfp_realnvp as nvp
from benchmarks import interleaved

_AT_A_TIME = 2**17
_BEAM_FILES = 4
_BATCHES = (1024, 4096, 16384, 65536)


def define_flags() -> None:
    flags.DEFINE_integer("rows", 10_000_000, "Rows of the table.", lower_bound=100)
    flags.DEFINE_integer("beam_rows", 1_000_000, "Rows that the Beam pipeline scores, too; 0 for none.", lower_bound=0)
    flags.DEFINE_integer("couplings", 6, "Couplings of the flow.", lower_bound=1)
    flags.DEFINE_integer("width", 64, "Hidden units of a coupling's network.", lower_bound=1)
    flags.DEFINE_string("output", None, "File to write the table to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    logging.set_verbosity(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        columns = nvp.columns.infer(_rows(0, 10_000))
        flow = nvp.coupling_flow(
            event_shape=(columns.entries,), couplings=values.couplings, hidden_units=(values.width,) * 2
        )
        nvp.save(flow, folder / "model", columns=columns, max_rows=max(_BATCHES))
        batch, bare = _bare(folder / "model", columns)
        found = [_score(folder, count) for count in (values.rows // 10, values.rows)]
        seconds_of_beam = _beam(folder, values.beam_rows) if values.beam_rows else None
    (few, fewer_seconds, less), (many, seconds, more) = found
    rate = (many - few) / (seconds - fewer_seconds)
    what = f"{many:,} rows of 4 columns, {values.couplings} couplings of width {values.width}."
    lines = [
        *interleaved.heading("benchmarks.score", what),
        "| | rows/s | of the bare call | peak memory, MiB |",
        "|---|---|---|---|",
        f"| bare call, batches of {batch:,} | {bare:,.0f} | 1 | |",
        f"| launch.score | {rate:,.0f} | {rate / bare:.2f} | {less:,.0f} for {few:,} rows, {more:,.0f} for {many:,} |",
    ]
    if seconds_of_beam is not None:
        lines += [
            "",
            f"The Beam pipeline gave {values.beam_rows:,} equal scores in {seconds_of_beam:,.0f} s, start included.",
        ]
    print("\n".join(lines))
    if values.output:
        pathlib.Path(values.output).write_text("\n".join(lines) + "\n")


def _rows(start: int, count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(start)
    return {
        "height": random.normal(170, 10, count),
        "income": random.gamma(2, size=count),
        "age": random.integers(0, 100, count),
        "kind": random.choice(np.array(["a", "b", "c"], object), count),
    }


def _bare(path: pathlib.Path, columns: nvp.columns.Columns) -> tuple[int, float]:
    """The best batch size, and rows a second with it."""
    log_prob = tf.saved_model.load(str(path)).signatures["log_prob"]
    rates = {}
    for size in _BATCHES:
        rows = tf.constant(columns.encode(_rows(0, size)))
        log_prob(rows=rows)
        started, calls = time.monotonic(), 0
        while time.monotonic() - started < 2:
            log_prob(rows=rows)["log_prob"].numpy()
            calls += 1
        rates[size] = calls * size / (time.monotonic() - started)
    best = max(rates, key=lambda size: rates[size])
    return best, rates[best]


def _score(folder: pathlib.Path, count: int) -> tuple[int, float, float]:
    """Seconds and peak MiB of scoring so many rows."""
    table = folder / "rows.parquet"
    with pa.parquet.ParquetWriter(table, pa.table(_rows(0, 1)).schema) as writer:
        for start in range(0, count, _AT_A_TIME):
            writer.write_table(pa.table(_rows(start, min(_AT_A_TIME, count - start))))
    command = [sys.executable, "-m", "launch.score", str(table), f"--saved_model={folder / 'model'}"]
    started = time.monotonic()
    process = subprocess.Popen([*command, f"--output_file={folder / 'scores.parquet'}"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"expected scores, got status {os.waitstatus_to_exitcode(status)}")
    return count, time.monotonic() - started, usage.ru_maxrss / 1024


def _beam(folder: pathlib.Path, count: int) -> float:
    """Seconds of the Beam pipeline, whose scores are compared with those of a single process."""
    parts, of_beam = folder / "parts", folder / "of_beam"
    parts.mkdir()
    for part in range(_BEAM_FILES):
        first, last = (count * n // _BEAM_FILES for n in (part, part + 1))
        rows = _rows(first, last - first) | {"id": np.arange(first, last)}
        pa.parquet.write_table(pa.table(rows), parts / f"{part}.parquet")
    command = [sys.executable, "-m", "launch.score", f"parquet:{parts}/*.parquet", f"--saved_model={folder / 'model'}"]
    command.append("--id=id")
    options = "--direct_num_workers=2 --direct_running_mode=multi_processing"
    single = folder / "single.parquet"
    subprocess.run([*command, f"--output_file={single}"], check=True, stdout=subprocess.DEVNULL)
    runner = [f"--output_file={of_beam / 'scores.parquet'}", "--runner=DirectRunner", f"--beam_options={options}"]
    started = time.monotonic()
    subprocess.run([*command, *runner], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    expected, found = (
        pa.parquet.read_table(path, columns=["id", "log_prob"]).sort_by("id") for path in (single, of_beam)
    )
    if len(found) != count or not found.equals(expected):
        raise RuntimeError(f"expected the scores of {count:,} rows in both, bit for bit, got others from Beam")
    return seconds


if __name__ == "__main__":
    define_flags()
    app.run(main)
