"""What a training step costs beside the bare convolutions of its networks.

    python -m benchmarks.step --preset=cifar10 --batch_size=16

The floor runs the same convolutions, forward and backward, and nothing else: no normalisation of any kind, no
activation, no coupling, no optimizer. All candidates take turns, so that a machine whose speed drifts slows all of
them; quote the ratios.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from tfp_realnvp import presets, training
from tfp_realnvp.bijectors import AffineCoupling, Checkerboard

_PRESET = flags.DEFINE_enum("preset", "cifar10", presets.NAMES, "The model.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images in a training step.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Rounds in which every candidate runs once.")
_XLA = flags.DEFINE_bool("xla", False, "Whether to time the step compiled with XLA, too; compiling takes minutes.")


def main(_: list[str]) -> None:
    preset = presets.get(_PRESET.value)
    distribution = preset.build()
    shape = [_BATCH_SIZE.value, *preset.event_shape]
    images = tf.cast(tf.random.uniform(shape, 0, preset.levels, tf.int32), tf.uint8)
    candidates = {"bare convolutions": bare_convolutions(distribution, preset, _BATCH_SIZE.value)}
    candidates["training step, graph"] = training_step(distribution, preset, images, jit_compile=False)
    if _XLA.value:
        candidates["training step, XLA"] = training_step(preset.build(), preset, images, jit_compile=True)

    first = {}
    for name, run in candidates.items():
        started = time.perf_counter()
        run()
        first[name] = time.perf_counter() - started
        run()
    seconds = {name: [] for name in candidates}
    for _ in range(_REPEATS.value):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)

    floor = np.asarray(seconds["bare convolutions"])
    print(f"{_PRESET.value}, batch {_BATCH_SIZE.value}, float32, {platform.processor() or platform.machine()}, ")
    print(f"{tf.config.threading.get_inter_op_parallelism_threads() or 'all'} threads, TensorFlow {tf.__version__}\n")
    print(f"| {'candidate':24} | s/image | times the floor | first call, s |")
    print(f"|{'-' * 26}|---------|-----------------|---------------|")
    for name, values in seconds.items():
        ratio = np.median(np.asarray(values) / floor)
        per_image = np.median(values) / _BATCH_SIZE.value
        print(f"| {name:24} | {per_image:7.4f} | {ratio:15.2f} | {first[name]:13.1f} |")


def training_step(
    distribution: nvp.FlowDistribution, preset: presets.Preset, images: tf.Tensor, jit_compile: bool
) -> Callable[[], None]:
    model = nvp.FlowModel(distribution, levels=preset.levels, l2=preset.l2, clip_norm=preset.clip_norm)
    model.compile(training.Adam(preset.learning_rate), jit_compile=jit_compile)
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step, jit_compile=jit_compile)
    return lambda: step(images)["loss"].numpy()


def bare_convolutions(
    distribution: nvp.FlowDistribution, preset: presets.Preset, batch_size: int
) -> Callable[[], None]:
    """The convolutions of all networks, forward and backward."""
    networks = []
    height, width, _ = preset.event_shape
    for coupling in (m for m in distribution.flow.submodules if isinstance(m, AffineCoupling)):
        network = coupling.conditioner
        scale = int(coupling.name.split("_")[1])
        factor = 2**scale * (1 if isinstance(coupling.mask, Checkerboard) else 2)
        convolutions = (network.conv_in, *network.convs_1, *network.convs_2, *network.skips, network.conv_out)
        kernels = {layer.name: tf.Variable(layer.direction.numpy() * 0.01) for layer in convolutions}
        channels = kernels["conv_in"].shape[2]
        inputs = tf.random.normal([batch_size, height // factor, width // factor, channels])
        networks.append((inputs, kernels, network.blocks))

    def run_network(inputs: tf.Tensor, kernels: dict[str, tf.Tensor], blocks: int) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            hidden = _conv(inputs, kernels["conv_in"])
            outputs = [_conv(hidden, kernels["skip_0"])]
            for i in range(blocks):
                hidden = _conv(_conv(hidden, kernels[f"block_{i}_conv_1"]), kernels[f"block_{i}_conv_2"])
                outputs.append(_conv(hidden, kernels[f"skip_{i + 1}"]))
            result = _conv(tf.add_n(outputs), kernels["conv_out"])
        return tape.gradient(result, [inputs, *kernels.values()])

    @tf.function
    def run_all() -> tf.Tensor:
        gradients = [gradient for network in networks for gradient in run_network(*network)]
        # One number that depends on all of them, so that none is pruned.
        return tf.add_n([tf.reshape(gradient, [-1])[0] for gradient in gradients])

    return lambda: run_all().numpy()


def _conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")


if __name__ == "__main__":
    app.run(main)
