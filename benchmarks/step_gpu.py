"""What a training step, log_prob and sampling take on a GPU.

    python -m benchmarks.step_gpu --preset=cifar10 --batch_size=64,128,256
    python -m benchmarks.step_gpu --allow_cpu --preset=digits --batch_size=4 --compiler=graph --repeats=1   (no GPU)

Rows are processes one after the other, for each takes the GPU's memory for itself. A run ends when its result is on
the host. Memory is the peak of TensorFlow's allocator on the first GPU.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys

import tensorflow as tf
from absl import app, flags

from benchmarks import interleaved, step
from benchmarks.interleaved import Candidate, Work
from tfp_realnvp import presets

# Read when TensorFlow first uses the GPU: what is asked for then is what is needed.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def define_flags() -> None:
    flags.DEFINE_enum("preset", "cifar10", presets.IMAGE_NAMES, "The model.")
    flags.DEFINE_list("batch_size", ["64", "128", "256"], "Images in a training step.")
    flags.DEFINE_integer("inference_batch_size", 64, "Images in log_prob and sample.", lower_bound=1)
    flags.DEFINE_integer("repeats", 20, "Timed runs of each.", lower_bound=1)
    flags.DEFINE_list("dtype_policy", ["float32", "mixed_bfloat16"], "Of the networks.")
    flags.DEFINE_list("compiler", ["graph", "xla"], "Some of graph, xla.")
    flags.DEFINE_list("backprop", ["store"], "Some of store, remat, invert.")
    flags.DEFINE_bool("allow_cpu", False, "Whether to run on the CPU where there is no GPU, to see that it runs.")
    flags.DEFINE_string("output", None, "File to write the table to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and not values.allow_cpu:
        sys.exit("TensorFlow sees no GPU here; --allow_cpu runs this on the CPU, to see that it runs.")
    device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "a GPU") if gpus else "no GPU"
    lines = interleaved.heading("benchmarks.step_gpu", f"The `{values.preset}` preset on {device}.")
    variants = list(itertools.product(values.dtype_policy, values.compiler))
    rows = []
    for batch_size, backprop, (policy, compiler) in itertools.product(values.batch_size, values.backprop, variants):
        settings = dict(dtype_policy=policy, compiler=compiler, backprop=backprop)
        rows.append(_row("training_step", int(batch_size), settings))
    for function, (policy, compiler) in itertools.product(("log_prob", "sample"), variants):
        rows.append(_row(function, values.inference_batch_size, dict(dtype_policy=policy, compiler=compiler)))
    columns = ["", "ms", "images/s", "GPU peak, MiB", "first, s"]
    interleaved.publish(lines + interleaved.table(columns, rows), values.output)


def _row(function: str, batch_size: int, settings: dict[str, str]) -> list[str]:
    name = ", ".join([function, f"batch {batch_size}", *settings.values()])
    values = flags.FLAGS
    settings = dict(function=function, preset=values.preset, batch_size=batch_size, **settings)
    result = interleaved.measure([Candidate(name, "benchmarks.step_gpu:on_gpu", settings)], values.repeats)[name]
    if result.error:
        return [name, result.error, "", "", ""]
    peak = result.facts["gpu_peak_bytes"]
    memory = "" if peak is None else interleaved.mebibytes(peak)
    rate = f"{batch_size / result.median:,.0f}"
    return [name, f"{1000 * result.median:.1f}", rate, memory, f"{result.first_seconds:.1f}"]


def on_gpu(function: str, **settings: object) -> Work:
    """A candidate of `benchmarks.step` that reports the GPU's memory."""
    return dataclasses.replace(getattr(step, function)(**settings), report=_gpu_memory)


def _gpu_memory() -> dict[str, int | None]:
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    return {"gpu_peak_bytes": tf.config.experimental.get_memory_info("GPU:0")["peak"] if has_gpu else None}


if __name__ == "__main__":
    define_flags()
    app.run(main)
