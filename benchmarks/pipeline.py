"""Images per second of the input pipeline, compared with a training step's.

    python -m benchmarks.pipeline --data_dir=DIR
    python -m benchmarks.pipeline --data_dir=DIR --datasets=mnist --batches=20 --repeats=1 --nosteps    (seconds)

DIR is a folder of prepared TFDS sets. Each set is read as training reads it, shuffled and with flips, in two ways:
from the memory it is decoded into at first use (what sets of up to a GiB get), and from its files (what larger sets
get). A run reads the next batches of an epoch, and continues with the next epoch at its end. "First" is the time to the
first batch of all, with decoding or filling the first block to shuffle; "next epoch" is the time to the first batch of
a second epoch.

"Feeds" is the step that the pipeline just keeps up with: a shorter one would wait for data. The training steps of
presets on this machine are listed below; the rows take turns, and every row has all cores to itself.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from unittest import mock

import tensorflow as tf
from absl import app, flags

from benchmarks import interleaved
from benchmarks.interleaved import Candidate, Work
from tfp_realnvp import data
from tfp_realnvp.data import image_source

_DATASETS = ("cifar10", "mnist", "tiny_imagenet")


def define_flags() -> None:
    flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS sets.", required=True)
    flags.DEFINE_list("datasets", list(_DATASETS), "TFDS names.")
    flags.DEFINE_integer("batch_size", 64, "Images in a batch.", lower_bound=1)
    flags.DEFINE_integer("batches", 200, "Batches in a run.", lower_bound=1)
    flags.DEFINE_integer("repeats", 5, "Rounds in which every candidate runs once.", lower_bound=1)
    flags.DEFINE_bool("steps", True, "Whether to time training steps, too.")
    flags.DEFINE_list("step_presets", ["cifar10", "cifar10_cpu", "mnist"], "Presets whose steps are timed.")
    flags.DEFINE_integer("step_batch_size", 16, "Images in such a step.", lower_bound=1)
    flags.DEFINE_string("output", None, "File to write the table to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    shared = dict(data_dir=values.data_dir, batch_size=values.batch_size, batches=values.batches)
    reads = [
        Candidate(f"{name}, from {source}", "benchmarks.pipeline:read", dict(name=name, source=source, **shared))
        for name in values.datasets
        for source in ("memory", "files")
    ]
    steps = [
        Candidate(
            f"training step, {preset}",
            "benchmarks.step:training_step",
            dict(preset=preset, batch_size=values.step_batch_size, dtype_policy="float32"),
        )
        for preset in values.step_presets
        if values.steps
    ]
    lines = interleaved.heading("benchmarks.pipeline", f"Batches of {values.batch_size}, shuffled, with flips.")
    results = interleaved.measure([*reads, *steps], values.repeats)

    rows = []
    for name in (candidate.name for candidate in reads):
        result = results[name]
        if result.error:
            rows.append([name, result.error, "", "", "", ""])
            continue
        rate = values.batch_size * values.batches / result.median
        latencies = f"{result.facts['first_batch']:.2f}", f"{result.facts['next_epoch']:.3f}"
        feeds = f"{1000 * values.batch_size / rate:.2f}"
        rows.append([name, f"{rate:,.0f}", feeds, *latencies, interleaved.mebibytes(result.peak_bytes)])
    feeds = f"feeds a step of, ms at batch {values.batch_size}"
    columns = ["pipeline", "images/s", feeds, "first, s", "next epoch, s", "peak, MiB"]
    lines += interleaved.table(columns, rows)

    rows = []
    for name in (candidate.name for candidate in steps):
        result = results[name]
        rate = "" if result.error else f"{values.step_batch_size / result.median:,.1f}"
        rows.append([name, result.error or rate])
    if rows:
        lines += interleaved.table([f"takes, batch {values.step_batch_size}, float32", "images/s"], rows)
    interleaved.publish(lines + interleaved.idle(list(results.values())), values.output)


def read(name: str, source: str, data_dir: str, batch_size: int, batches: int) -> Work:
    """Takes the next `batches` of training from `source`, "memory" or "files"."""
    images = data.load(name, data_dir)
    limit = 0 if source == "files" else image_source._IN_MEMORY_BYTES

    def epoch_from(number: int) -> Iterator[tf.Tensor]:
        return iter(images.training_batches(batch_size, seed=0, epoch=number, flip=True))

    with mock.patch.object(image_source, "_IN_MEMORY_BYTES", limit):
        latencies = []
        for epoch in range(2):
            started = time.perf_counter()
            next(epoch_from(epoch))
            latencies.append(time.perf_counter() - started)
        endless = itertools.chain.from_iterable(map(epoch_from, itertools.count(2)))

    def run() -> None:
        with mock.patch.object(image_source, "_IN_MEMORY_BYTES", limit):
            for _ in range(batches):
                next(endless)

    return Work(run, report=lambda: dict(zip(("first_batch", "next_epoch"), latencies)))


if __name__ == "__main__":
    define_flags()
    app.run(main)
