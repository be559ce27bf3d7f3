"""Splits a run's weights and log into pieces that are small enough to transfer, as a start for another run.

    python -m benchmarks.carry --output_dir=runs/cifar10 --pieces=carry    there: carry/cifar10.tar.xz.00 and so on
    cat carry/cifar10.tar.xz.* | tar -xJ -C runs                           here: a run's folder again
    python -m launch.train ... --init_from=runs/cifar10                    and another starts from it

The pieces contain the weights of the best checkpoint (averaged weights, if the run averages), rounded to bfloat16, so
that half the bytes of each number are zero and compress well. The run can be sampled, evaluated (results.json refers to
the weights before rounding), exported and used with --init_from, but not resumed: it lacks the optimizer, so the next
run needs some --warmup_steps. For runs on images.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import tarfile
import tempfile

import tensorflow as tf
from absl import app, flags

from tfp_realnvp import presets, training


def define_flags() -> None:
    flags.DEFINE_string("output_dir", None, "The run's folder.", required=True)
    flags.DEFINE_string("pieces", None, "Folder to write the pieces to.", required=True)
    flags.DEFINE_integer("bytes", 15_000_000, "Maximum size of a piece in bytes.", lower_bound=1)


def main(_: list[str]) -> None:
    values = flags.FLAGS
    for piece in pack(pathlib.Path(values.output_dir), pathlib.Path(values.pieces), values.bytes):
        print(f"{piece}: {piece.stat().st_size:,} bytes")


def pack(run: pathlib.Path, folder: pathlib.Path, size: int) -> list[pathlib.Path]:
    """Writes the pieces of a run into a folder, each of at most so many bytes."""
    config = training.read_config(run)
    preset = presets.of_settings(config["model"])
    if len(preset.event_shape) == 1:
        raise app.UsageError(f"expected a run of images, got one of vectors in {run}")
    path = training.best_checkpoint(run)
    learned = dict(distribution=preset.build())
    if (dequantizer := preset.build_dequantizer()) is not None:
        learned["dequantizer"] = dequantizer
    training.restore(path=path, **learned)
    for part in learned.values():
        for variable in part.variables:
            if variable.dtype.is_floating:
                variable.assign(tf.cast(tf.cast(variable, tf.bfloat16), variable.dtype))
    name = run.absolute().name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as aside:
        part = pathlib.Path(aside) / name
        best = tf.train.CheckpointManager(tf.train.Checkpoint(**learned), str(part / "checkpoints/best"), max_to_keep=1)
        best.save(int(path.rpartition("-")[2]))
        # `launch.train` must not resume a carried run: it starts again in that folder.
        config["model"]["carried"] = True
        (part / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        for file in ("metrics.jsonl", "results.json"):
            if (run / file).exists():
                shutil.copy(run / file, part)
        archive = pathlib.Path(aside) / "archive"
        with tarfile.open(archive, "w:xz", preset=0) as tar:  # Higher ones take minutes for 3 % less.
            tar.add(part, name)
        pieces = []
        with archive.open("rb") as file:
            while content := file.read(size):
                pieces.append(folder / f"{name}.tar.xz.{len(pieces):02}")
                pieces[-1].write_bytes(content)
    return pieces


if __name__ == "__main__":
    define_flags()
    app.run(main)
