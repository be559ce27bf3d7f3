"""Growth of a training step's memory and time with couplings, replicas and batch size.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --couplings=2,4 --batch_size=4 --batch_sizes=2,4 --repeats=1    (to see that it runs)

The model is one scale of checkerboard couplings on 32x32x3 images, each with a narrow residual network (8 channels,
one block) and a batch norm: activations, not weights, are what it holds.

Each row is a process of its own; the rows of a table take turns: quote the ratios. "Activations" and "with the
program" are defined in `benchmarks.step`. Replicas are logical CPU devices that share the cores and the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved, step
from benchmarks.interleaved import Candidate, Result, Work
from tfp_realnvp import training
from tfp_realnvp.bijectors import BatchNorm, Chain, Checkerboard, Coupling, DequantizedLogit
from tfp_realnvp.conditioners import ResidualNetwork
from tfp_realnvp.transformers import Affine

_EVENT_SHAPE = (32, 32, 3)
_WIDTH, _BLOCKS = 8, 1
_BACKPROP = ("store", "remat", "invert")


def define_flags() -> None:
    flags.DEFINE_list("couplings", ["10", "20", "40"], "Numbers of couplings, the smallest first.")
    flags.DEFINE_list("backprop", list(_BACKPROP), f"Some of {', '.join(_BACKPROP)}.")
    flags.DEFINE_integer("batch_size", 32, "Images in a step, over all replicas.", lower_bound=2)
    flags.DEFINE_list("batch_sizes", ["8", "16", "32"], "For the table that compares them.")
    flags.DEFINE_integer("repeats", 5, "Rounds in which every candidate runs once.", lower_bound=1)
    flags.DEFINE_string("output", None, "File to write the tables to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    numbers = [int(number) for number in values.couplings]
    about = f"One scale of {_EVENT_SHAPE} images, networks of {_WIDTH} channels and {_BLOCKS} block, float32, graph."
    lines = interleaved.heading("benchmarks.scaling", about)

    settings = {
        f"{number} couplings, {backprop}": dict(couplings=number, backprop=backprop, batch_size=values.batch_size)
        for number in numbers
        for backprop in values.backprop
    }
    results = _measure("training_step", settings)
    lines += _table(results, f"couplings, batch {values.batch_size}", {name: values.batch_size for name in results})
    lines += _growth(results, numbers)

    settings = {
        f"replicas: {replicas}": dict(couplings=numbers[0], replicas=replicas, batch_size=values.batch_size)
        for replicas in (1, 2)
    }
    results = _measure("replicated_step", settings)
    title = f"replicas, {numbers[0]} couplings, batch {values.batch_size}"
    lines += _table(results, title, {name: values.batch_size for name in results})

    batch_sizes = {f"batch {size}": int(size) for size in values.batch_sizes}
    settings = {
        name: dict(couplings=numbers[0], backprop="store", batch_size=size) for name, size in batch_sizes.items()
    }
    lines += _table(_measure("training_step", settings), f"batch, {numbers[0]} couplings", batch_sizes)
    interleaved.publish(lines, values.output)


def _measure(function: str, settings: dict[str, dict[str, object]]) -> dict[str, Result]:
    candidates = [Candidate(name, f"benchmarks.scaling:{function}", given) for name, given in settings.items()]
    return interleaved.measure(candidates, flags.FLAGS.repeats)


def _table(results: dict[str, Result], title: str, batch_sizes: dict[str, int]) -> list[str]:
    first = next(iter(results.values()))
    rows = []
    for name, result in results.items():
        if result.error:
            rows.append([name, result.error, "", "", "", "", "", ""])
            continue
        ratio = "" if first.error else f"{result.ratio(first):.2f}"
        sizes = result.peak_bytes, result.activation_bytes, result.training_bytes
        memory = [interleaved.mebibytes(size) for size in sizes]
        seconds = f"{result.median:.3f}", f"{result.median / batch_sizes[name]:.4f}"
        rows.append([name, *seconds, ratio, *memory, f"{result.first_seconds:.1f}"])
    columns = [title, "s/step", "s/image", "times the first row", "peak, MiB", "activations, MiB"]
    columns += ["with the program, MiB", "first, s"]
    return interleaved.table(columns, rows) + interleaved.idle(list(results.values()))


def _growth(results: dict[str, Result], numbers: Sequence[int]) -> list[str]:
    """From the fewest couplings to the most: memory of each kind, and its time beside `store`'s."""
    few, many = numbers[0], numbers[-1]
    rows = []
    for backprop in flags.FLAGS.backprop:
        first, last = (results[f"{number} couplings, {backprop}"] for number in (few, many))
        stored = results.get(f"{many} couplings, store")
        if first.error or last.error:
            continue
        memory = [f"{last.activation_bytes / first.activation_bytes:.2f}"]
        memory.append(f"{last.training_bytes / first.training_bytes:.2f}")
        beside = ["", ""]
        if stored is not None and not stored.error:
            beside = [f"{last.activation_bytes / stored.activation_bytes:.2f}", f"{last.ratio(stored):.2f}"]
        rows.append([backprop, *memory, f"{last.ratio(first):.2f}", *beside])
    columns = [f"{few} to {many} couplings", "activations grow", "with the program", "s/step grows"]
    columns += [f"activations / store's at {many}", f"s/step / store's at {many}"]
    return interleaved.table(columns, rows)


# What a candidate's process runs.


def training_step(couplings: int, backprop: str, batch_size: int) -> Work:
    return step.work_of_step(nvp.FlowModel(_flow(couplings, backprop)), _images(batch_size), compiler="graph")


def replicated_step(couplings: int, replicas: int, batch_size: int) -> Work:
    """A step under MirroredStrategy, which for one replica is the same code with nothing to share."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        model = nvp.FlowModel(_flow(couplings, "store"))
        model.compile(training.Adam(1e-3), jit_compile=False)
        model.optimizer.build(model.trainable_variables)
    images = tf.split(_images(batch_size), replicas)
    parts = strategy.experimental_distribute_values_from_function(lambda part: images[part.replica_id_in_sync_group])

    @tf.function
    def run() -> tf.Tensor:
        losses = strategy.run(model.train_step, args=(parts,))["loss"]
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)

    gradient_bytes = 4 * nvp.trainable_parameters(model.distribution) * replicas
    return Work(lambda: run().numpy(), gradient_bytes=gradient_bytes)


def _flow(couplings: int, backprop: str) -> nvp.FlowDistribution:
    channels = _EVENT_SHAPE[-1]
    layers = [DequantizedLogit()]
    for i in range(couplings):
        mask = Checkerboard(parity=(i + 1) % 2)
        outputs = 2 * mask.changed_size(channels)
        network = ResidualNetwork(outputs=outputs, width=_WIDTH, blocks=_BLOCKS, mask_channel=True, name=f"network_{i}")
        network.build((None, None, None, mask.kept_size(channels)))
        layers += [
            Coupling(Affine("shift_first", initial_gain=0.0), network, mask, name=f"coupling_{i}"),
            BatchNorm(channels, mask=mask, name=f"batch_norm_{i}"),
        ]
    return nvp.FlowDistribution(Chain(layers, backprop=backprop), _EVENT_SHAPE)


def _images(batch_size: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).integers(0, 256, [batch_size, *_EVENT_SHAPE]), tf.uint8)


if __name__ == "__main__":
    define_flags()
    app.run(main)
