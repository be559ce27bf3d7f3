"""What training, log_prob and sampling cost beside the bare convolutions of their networks.

    python -m benchmarks.step --preset=cifar10 --batch_size=16
    python -m benchmarks.step --preset=digits --repeats=1          (seconds, to see that it runs)
    python -m benchmarks.step --compiler=graph,xla                 (XLA takes minutes to compile a step)

The floor runs the same convolutions, forward and for training backward too, and nothing else: no normalisation of any
kind, no activation, no coupling, no optimizer. "Networks" are the residual networks as they are, outside a flow.

Each row is a process of its own; the rows of a table take turns, so that a machine whose speed drifts slows all of
them: quote the ratios. "Activations" is the peak of a process in its first step above what it was after the same
program had run on one image: the traced program, gradients and optimizer slots are there already. "With the program"
is the peak above the process before anything was traced, gradients and slots taken off.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved
from benchmarks.interleaved import Candidate, Result, Work
from tfp_realnvp import presets, training
from tfp_realnvp.bijectors import Checkerboard, Coupling

_BACKPROP = ("store", "remat", "invert")
_COMPILERS = ("graph", "xla")
_DTYPES = {"float32": "float32", "mixed_bfloat16": "bfloat16"}


def define_flags() -> None:
    # In a function: other benchmarks import this module, and have flags of these names.
    flags.DEFINE_enum("preset", "cifar10", presets.IMAGE_NAMES, "The model.")
    flags.DEFINE_integer("batch_size", 16, "Images in a training step.", lower_bound=1)
    flags.DEFINE_integer("inference_batch_size", 64, "Images in log_prob and sample.", lower_bound=1)
    flags.DEFINE_integer("repeats", 5, "Rounds in which every candidate runs once.", lower_bound=1)
    flags.DEFINE_list("backprop", list(_BACKPROP), f"Some of {', '.join(_BACKPROP)}.")
    flags.DEFINE_list("dtype_policy", list(_DTYPES), f"Some of {', '.join(_DTYPES)}.")
    flags.DEFINE_list("compiler", ["graph"], f"Some of {', '.join(_COMPILERS)}.")
    flags.DEFINE_string("output", None, "File to write the tables to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    lines = interleaved.heading("benchmarks.step", f"The `{values.preset}` preset.")

    inference = dict(preset=values.preset, batch_size=values.inference_batch_size)
    train = dict(preset=values.preset, batch_size=values.batch_size)
    floors, networks, steps, log_probs, samples = [], [], [], [], []
    for policy in values.dtype_policy:
        dtype = _DTYPES[policy]
        floor = dict(dtype=dtype, backward=True)
        floors.append(_candidate(f"bare convolutions, {dtype}", "bare_convolutions", **floor, **train))
        networks.append(_candidate(f"networks, {policy}", "networks", dtype_policy=policy, **train))
        for compiler in values.compiler:
            settings = dict(dtype_policy=policy, compiler=compiler)
            for backprop in values.backprop:
                name = f"training step, {policy}, {backprop}, {compiler}"
                steps.append(_candidate(name, "training_step", backprop=backprop, **settings, **train))
            log_probs.append(_candidate(f"log_prob, {policy}, {compiler}", "log_prob", **settings, **inference))
            samples.append(_candidate(f"sample, {policy}, {compiler}", "sample", **settings, **inference))
    lines += _training_table([*floors, *networks, *steps], values.batch_size, values.repeats)

    floors = [
        _candidate(f"bare convolutions, {dtype}", "bare_convolutions", dtype=dtype, backward=False, **inference)
        for dtype in (_DTYPES[policy] for policy in values.dtype_policy)
    ]
    lines += _inference_table([*floors, *log_probs, *samples], values.inference_batch_size, values.repeats)
    interleaved.publish(lines, values.output)


def _candidate(name: str, function: str, **settings: object) -> Candidate:
    return Candidate(name, f"benchmarks.step:{function}", settings)


def _training_table(candidates: Sequence[Candidate], batch_size: int, repeats: int) -> list[str]:
    results = interleaved.measure(candidates, repeats)
    floor = results[candidates[0].name]
    columns = [f"training, batch {batch_size}", "s/image", "times the floor", "peak, MiB"]
    columns += ["activations, MiB", "with the program, MiB", "first, s"]
    rows = []
    for name, result in results.items():
        sizes = result.peak_bytes, result.activation_bytes, result.training_bytes
        memory = [interleaved.mebibytes(size) for size in sizes]
        rows.append(_row(name, result, floor, batch_size, [*memory, f"{result.first_seconds:.1f}"]))
    return interleaved.table(columns, rows) + interleaved.idle(list(results.values()))


def _inference_table(candidates: Sequence[Candidate], batch_size: int, repeats: int) -> list[str]:
    results = interleaved.measure(candidates, repeats)
    floor = results[candidates[0].name]
    columns = [f"inference, batch {batch_size}", "s/image", "times the floor", "peak, MiB", "first, s"]
    rows = []
    for name, result in results.items():
        more = [interleaved.mebibytes(result.peak_bytes), f"{result.first_seconds:.1f}"]
        rows.append(_row(name, result, floor, batch_size, more))
    return interleaved.table(columns, rows) + interleaved.idle(list(results.values()))


def _row(name: str, result: Result, floor: Result, batch_size: int, more: Sequence[str]) -> list[str]:
    if result.error:
        return [name, result.error, *["" for _ in more], ""]
    return [name, f"{result.median / batch_size:.4f}", f"{result.ratio(floor):.2f}", *more]


# What a candidate's process runs.


def training_step(
    preset: str, batch_size: int, dtype_policy: str, backprop: str = "store", compiler: str = "graph"
) -> Work:
    chosen = presets.get(preset)
    distribution = chosen.build(dtype_policy=dtype_policy, backprop=backprop)
    model = nvp.FlowModel(distribution, levels=chosen.levels, l2=chosen.recipe.l2, clip_norm=chosen.recipe.clip_norm)
    optimizer = training.optimizer(chosen.recipe.optimizer, chosen.recipe.learning_rate)
    return work_of_step(model, pixels(chosen, batch_size), compiler, optimizer)


def work_of_step(
    model: nvp.FlowModel, images: tf.Tensor, compiler: str, optimizer: keras.optimizers.Optimizer | None = None
) -> Work:
    model.compile(optimizer or training.Adam(1e-3), jit_compile=compiler == "xla")
    model.optimizer.build(model.trainable_variables)
    # Of any batch size, so that one image runs through the same program.
    signature = [tf.TensorSpec([None, *images.shape[1:]], images.dtype)]
    step = tf.function(model.train_step, signature, jit_compile=compiler == "xla", autograph=False)
    return Work(
        lambda: step(images)["loss"].numpy(),
        small_run=lambda: step(images[:1])["loss"].numpy(),
        gradient_bytes=_bytes(model.trainable_variables),
    )


def log_prob(preset: str, batch_size: int, dtype_policy: str, compiler: str = "graph", exported: bool = False) -> Work:
    """`tf.function(distribution.log_prob)`, or the signature of what `nvp.save` wrote; in the policy's precision."""
    chosen = presets.get(preset)
    events = tf.cast(pixels(chosen, batch_size), tf.float32) + 0.5
    distribution = chosen.build(dtype_policy=dtype_policy)
    if exported:
        signature = _exported(distribution, chosen).signatures["log_prob"]
        return Work(lambda: signature(images=events)["log_prob"].numpy())
    function = tf.function(_in_policys_precision(distribution.log_prob), jit_compile=compiler == "xla")
    return Work(lambda: function(events).numpy())


def sample(preset: str, batch_size: int, dtype_policy: str, compiler: str = "graph", exported: bool = False) -> Work:
    chosen = presets.get(preset)
    distribution = chosen.build(dtype_policy=dtype_policy)
    seed, one = tf.constant([0, 1]), tf.constant(1.0)
    if exported:
        signature = _exported(distribution, chosen).signatures["sample"]
        return Work(lambda: signature(count=tf.constant(batch_size), seed=seed, temperature=one)["images"].numpy())
    draw = _in_policys_precision(lambda seed: distribution.sample(batch_size, seed=seed))
    function = tf.function(draw, jit_compile=compiler == "xla")
    return Work(lambda: function(seed).numpy())


def _in_policys_precision(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """`function`, in inference mode too with networks in half precision where their policy is mixed."""

    def call(argument: tf.Tensor) -> tf.Tensor:
        with nvp.bijectors.half_precision_inference():
            return function(argument)

    return call


def _exported(distribution: nvp.FlowDistribution, chosen: presets.Preset) -> tf.Module:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        nvp.save(distribution, path)
        return tf.saved_model.load(path)


def networks(preset: str, batch_size: int, dtype_policy: str) -> Work:
    """All residual networks on inputs of their shapes, in training mode, forward and backward."""
    chosen = presets.get(preset)
    inputs_and_networks = [
        (tf.random.normal([batch_size, *shape]), network)
        for shape, network in _networks(chosen.build(dtype_policy=dtype_policy), chosen)
    ]

    def gradients(inputs: tf.Tensor, network: Callable[..., tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = network(inputs, training=True)
        return tape.gradient(outputs, [inputs, *network.trainable_variables], tf.random.normal(tf.shape(outputs)))

    @tf.function
    def run() -> tf.Tensor:
        return _one_number([g for inputs, network in inputs_and_networks for g in gradients(inputs, network)])

    weights = [variable for _, network in inputs_and_networks for variable in network.trainable_variables]
    return Work(lambda: run().numpy(), gradient_bytes=_bytes(weights))


def bare_convolutions(preset: str, batch_size: int, dtype: str, backward: bool) -> Work:
    """The convolutions of all networks: forward, and if asked backward to inputs and kernels."""
    chosen = presets.get(preset)
    floors = []
    for (height, width, _), network in _networks(chosen.build(), chosen):
        convolutions = (network.conv_in, *network.convs_1, *network.convs_2, *network.skips, network.conv_out)
        kernels = {layer.name: tf.Variable(tf.cast(0.01 * layer.direction, dtype)) for layer in convolutions}
        inputs = tf.random.normal([batch_size, height, width, kernels["conv_in"].shape[2]], dtype=dtype)
        floors.append((inputs, kernels, network.blocks))

    def outputs(inputs: tf.Tensor, kernels: dict[str, tf.Variable], blocks: int) -> tf.Tensor:
        hidden = _conv(inputs, kernels["conv_in"])
        skips = [_conv(hidden, kernels["skip_0"])]
        for i in range(blocks):
            hidden = _conv(_conv(hidden, kernels[f"block_{i}_conv_1"]), kernels[f"block_{i}_conv_2"])
            skips.append(_conv(hidden, kernels[f"skip_{i + 1}"]))
        return _conv(tf.add_n(skips), kernels["conv_out"])

    def gradients(inputs: tf.Tensor, kernels: dict[str, tf.Variable], blocks: int) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = outputs(inputs, kernels, blocks)
        return tape.gradient(result, [inputs, *kernels.values()])

    @tf.function
    def run() -> tf.Tensor:
        if backward:
            return _one_number([gradient for floor in floors for gradient in gradients(*floor)])
        return _one_number([outputs(*floor) for floor in floors])

    weights = [kernel for _, kernels, _ in floors for kernel in kernels.values()]
    return Work(lambda: run().numpy(), gradient_bytes=_bytes(weights) if backward else 0)


def pixels(chosen: presets.Preset, batch_size: int) -> tf.Tensor:
    values = np.random.default_rng(0).integers(0, chosen.levels, [batch_size, *chosen.event_shape])
    return tf.constant(values, tf.uint8)


def _networks(
    distribution: nvp.FlowDistribution, chosen: presets.Preset
) -> list[tuple[tuple[int, int, int], nvp.conditioners.ResidualNetwork]]:
    """Each coupling's network, with the shape of its input."""
    shapes_and_networks = []
    height, width, _ = chosen.event_shape
    for coupling in (m for m in distribution.flow.submodules if isinstance(m, Coupling)):
        scale = int(coupling.name.split("_")[1])
        factor = 2**scale * (1 if isinstance(coupling.mask, Checkerboard) else 2)
        channels = coupling.conditioner.conv_in.direction.shape[2]
        # Of the convolution's input, twice the data and the mask; the network's has the data once.
        channels = (channels - 1) // 2 + 1 if isinstance(coupling.mask, Checkerboard) else channels // 2
        shapes_and_networks.append(((height // factor, width // factor, channels), coupling.conditioner))
    return shapes_and_networks


def _conv(x: tf.Tensor, kernel: tf.Variable) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")


def _one_number(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Depends on all tensors, so that none is pruned."""
    return tf.add_n([tf.cast(tf.reshape(tensor, [-1])[0], tf.float32) for tensor in tensors])


def _bytes(variables: Sequence[tf.Variable]) -> int:
    return sum(int(np.prod(variable.shape)) * tf.as_dtype(variable.dtype).size for variable in variables)


if __name__ == "__main__":
    define_flags()
    app.run(main)
