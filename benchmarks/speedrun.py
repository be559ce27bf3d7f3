"""How good a model of CIFAR-10 is after some minutes of training from nothing.

    python -m benchmarks.speedrun --data_dir=DIR                       30 minutes of the cifar10_glow recipe
    python -m benchmarks.speedrun --data_dir=DIR --minutes=120
    python -m benchmarks.speedrun --data_dir=DIR --settings='width=96, learning_rate=0.01'

The clock counts training steps and the reading of their images, but neither the first step, which traces, nor the
evaluation at the end. The learning rate is a cosine of the time, so that a faster machine or program makes more steps.
The moving average of the weights is evaluated on all test images, with one noise sample each. Beat it.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved
from launch import machine
from tfp_realnvp import presets, training


def define_flags() -> None:
    flags.DEFINE_enum("preset", "cifar10_glow", presets.IMAGE_NAMES, "The model and its recipe.")
    flags.DEFINE_string("settings", "", "Settings in place of the preset's, such as 'width=96, ema=0.99'.")
    flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS sets; digits needs none.")
    flags.DEFINE_float("minutes", 30, "How long to train.", lower_bound=0.001)
    flags.DEFINE_integer("seed", 0, "Of weights, order and noise.")
    flags.DEFINE_string("output", None, "File to write the result to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    preset = presets.get(values.preset).replace(**settings_of(values.settings))
    lines = interleaved.heading("benchmarks.speedrun", f"The `{values.preset}` preset {values.settings}".strip() + ".")
    cells = run(preset, values.minutes, values.seed, values.data_dir)
    interleaved.publish([*lines, *interleaved.table(list(cells), [list(cells.values())])], values.output)


def settings_of(text: str) -> dict[str, Any]:
    """The keywords of a text such as "width=96, ema=0.99"."""
    call = ast.parse(f"f({text})", mode="eval").body
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def run(preset: presets.Preset, minutes: float, seed: int, data_dir: str | None) -> dict[str, str]:
    """Trains for so long; returns what was reached."""
    recipe, began = preset.recipe, time.monotonic()
    keras.utils.set_random_seed(seed)
    images = nvp.data.load(preset.dataset, data_dir)
    distribution, dequantizer = preset.build(seed=seed), preset.build_dequantizer()
    model = nvp.FlowModel(
        distribution,
        levels=preset.levels,
        l2=recipe.l2,
        clip_norm=recipe.clip_norm,
        dequantizer=dequantizer,
        average_decay=recipe.ema,
        seed=seed,
    )
    model.compile(training.optimizer(recipe.optimizer, 0.0))
    train_step = tf.function(model.train_step, autograph=False, jit_compile=model.jit_compile)

    def step(batch: tf.Tensor) -> tf.Tensor:
        return train_step(batch)["bits_per_dim"]

    clock = train(step, model.optimizer, images, recipe, minutes, seed, began, at_report=model.loss_metric.reset_state)
    began = time.monotonic()
    if model.average is not None:
        model.average.copy_to_variables()
    tests = images.evaluation_batches("test", 100)
    score = nvp.evaluate(distribution, tests, levels=preset.levels, dequantizer=dequantizer)
    return {
        "test bits/dim": f"{score.mean:.4f} +- {score.standard_error:.4f}",
        "minutes": f"{clock.trained / 60:.1f}",
        "images": f"{clock.images:,}",
        "ms/image": f"{1000 * clock.trained / clock.images:.2f}",
        "parameters": f"{nvp.trainable_parameters(distribution):,}",
        "skipped steps": str(int(model.skipped_steps.value)),
        "first step, s": f"{clock.prepared:.0f}",
        "evaluation, s": f"{time.monotonic() - began:.0f}",
        "machine": machine.processor(),
    }


@dataclasses.dataclass(frozen=True)
class Clock:
    """Seconds until the training began and of training, and the number of images."""

    prepared: float
    trained: float
    images: int


def train(
    step: Callable[[tf.Tensor], tf.Tensor],
    optimizer: keras.Optimizer,
    images: nvp.data.Events,
    recipe: presets.Recipe,
    minutes: float,
    seed: int,
    began: float,
    at_report: Callable[[], None] = lambda: None,
) -> Clock:
    """Trains for so long, by a step that gives the bits/dim of training; the rate is a cosine of the time."""
    batches = _batches(images, recipe, seed)
    step(next(batches))  # At a rate of 0.
    prepared = time.monotonic() - began
    trained, steps = 0.0, 0
    while trained < 60 * minutes:
        began = time.monotonic()
        # 45,000 images a report.
        for _ in range(max(45_000 // recipe.batch_size, 1)):
            passed = (trained + time.monotonic() - began) / (60 * minutes)
            if passed >= 1:
                break
            rise = min((steps + 1) / max(recipe.warmup_steps, 1), 1)
            optimizer.learning_rate = recipe.learning_rate * rise * (1 + math.cos(math.pi * passed)) / 2
            bits = step(next(batches))
            steps += 1
        trained += time.monotonic() - began
        number = steps * recipe.batch_size
        print(f"{trained / 60:.1f} minutes, {number:,} images: {float(bits):.3f} in training", flush=True)
        at_report()
    return Clock(prepared, trained, number)


def _batches(images: nvp.data.Events, recipe: presets.Recipe, seed: int) -> Iterator[tf.Tensor]:
    epoch = 0
    while True:
        yield from images.training_batches(recipe.batch_size, seed=seed, epoch=epoch, flip=recipe.flip)
        epoch += 1


if __name__ == "__main__":
    define_flags()
    app.run(main)
