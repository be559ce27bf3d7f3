"""The cost of lower network precision in bits/dim: the same training in float32 and in bfloat16.

    python -m benchmarks.precision --data_dir=DIR

Trains a narrow `cifar10` model for the same number of steps with each dtype policy, from the same weights, on the same
batches with the same noise, and evaluates each on the same test images. Steps are deterministic on one machine.
"""

from __future__ import annotations

import itertools
import time

import keras
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved
from tfp_realnvp import data, presets, training

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS sets.")
_OUTPUT = flags.DEFINE_string("output", None, "File to write the table to, too.")
_STEPS = flags.DEFINE_integer("steps", 2_000, "Training steps.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images in a step.", lower_bound=1)
_WIDTH = flags.DEFINE_integer("width", 16, "Channels of the networks at the first scale.", lower_bound=1)
_BLOCKS = flags.DEFINE_integer("blocks", 1, "Residual blocks of each network.", lower_bound=0)
_TEST_IMAGES = flags.DEFINE_integer("test_images", 2_000, "Test images to evaluate on.", lower_bound=2)
_POLICIES = flags.DEFINE_list("policies", ["float32", "mixed_bfloat16"], "Dtype policies; the first is the measure.")


def main(_: list[str]) -> None:
    images = data.load("cifar10", _DATA_DIR.value)
    rows = {policy: _train(images, policy) for policy in _POLICIES.value}
    reference = next(iter(rows.values()))[0].mean
    model = f"width {_WIDTH.value}, {_BLOCKS.value} block, batch {_BATCH_SIZE.value}, {_STEPS.value:,} steps"
    lines = interleaved.heading(
        "benchmarks.precision",
        f"`cifar10` at {model}; bits/dim on {_TEST_IMAGES.value:,} test images, all with the same noise.",
    )
    cells = [
        [
            policy,
            f"{result.mean:.4f} +- {result.standard_error:.4f}",
            f"{result.mean - reference:+.4f}",
            f"{seconds:.3f}",
        ]
        for policy, (result, seconds) in rows.items()
    ]
    lines += interleaved.table(["dtype policy", "test bits/dim", "less the first's", "s/step"], cells)
    interleaved.publish(lines, _OUTPUT.value)


def _train(images: data.Events, policy: str) -> tuple[nvp.evaluation.Score, float]:
    """The evaluation after the steps, and the seconds of a step."""
    keras.utils.set_random_seed(0)
    preset = presets.get("cifar10")
    distribution = preset.build(width=_WIDTH.value, blocks=_BLOCKS.value, dtype_policy=policy)
    model = nvp.FlowModel(distribution, l2=preset.recipe.l2, clip_norm=preset.recipe.clip_norm)
    model.compile(training.Adam(preset.recipe.learning_rate), jit_compile=False)
    step = tf.function(model.train_step, autograph=False)
    bar = keras.utils.Progbar(_STEPS.value, unit_name=f"step of {policy}", stateful_metrics=["bits_per_dim"])
    epochs = (images.training_batches(_BATCH_SIZE.value, seed=0, epoch=i, flip=True) for i in itertools.count())
    for number, batch in enumerate(itertools.islice(itertools.chain.from_iterable(epochs), _STEPS.value), start=1):
        logs = step(batch)
        if number == 1:
            started = time.perf_counter()
        if number % 100 == 0:
            bar.update(number, [("bits_per_dim", float(logs["bits_per_dim"]))])
            model.reset_metrics()
    seconds = (time.perf_counter() - started) / max(_STEPS.value - 1, 1)
    batches = images.evaluation_batches("test", 100).take(-(-_TEST_IMAGES.value // 100))
    return nvp.evaluate(distribution, batches), seconds


if __name__ == "__main__":
    app.run(main)
