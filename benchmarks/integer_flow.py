"""A flow of integers after as much training as a flow of real numbers: which one would code images in fewer bits?

    python -m benchmarks.integer_flow                                          digits, some minutes
    python -m benchmarks.integer_flow --preset=mnist_glow --data_dir=DIR --minutes=30

The integer discrete flow maps pixels to integers, z_b = x_b + round(t(x_a)), so that an entropy coder writes z with the
probabilities of its base, without bits back. It has the squeezes and splits of the preset, ResidualNetworks like the
preset's for t, whose rounding has the gradient of the identity, and mixtures of discretised logistics: of the channels
that leave a scale given those that stay, and of the last ones for each entry. Its bits/dim are exact. The flow is the
preset with its own recipe, and its bits/dim are those of its file: the bound with one noise sample.

Both train for as long, by the preset's optimizer, warm-up and average of the weights, with a rate that falls as a
cosine of the time. The integer flow trains once with each of `--rates`: the preset's was chosen for the other flow.
"""

from __future__ import annotations

import dataclasses
import math
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved, speedrun
from tfp_realnvp import presets, training

_COMPONENTS = 8


def define_flags() -> None:
    flags.DEFINE_enum(
        "preset", "digits_glow", ["digits_glow", "mnist_glow", "cifar10_glow"], "The flow and its recipe."
    )
    flags.DEFINE_string("settings", "", "Settings in place of the preset's, such as 'width=96, ema=0.99'.")
    flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS sets; digits needs none.")
    flags.DEFINE_float("minutes", 3, "How long each model trains.", lower_bound=0.001)
    flags.DEFINE_list("rates", ["0.001", "0.004", "0.012"], "Learning rates of the integer flow.")
    flags.DEFINE_integer("scales", 2, "Scales of the integer flow.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of weights, order and noise.")
    flags.DEFINE_string("output", None, "File to write the result to, too.")


class IntegerFlow(keras.Layer):
    """Integers to integers, and the log-probabilities of images.

    Args:
      event_shape: height, width and channels.
      levels: number of levels of a pixel.
      scales: number of scales.
      steps: number of couplings at each scale.
      width, blocks: of each ResidualNetwork.
    """

    def __init__(self, event_shape: tuple[int, ...], levels: int, scales: int, steps: int, width: int, blocks: int):
        super().__init__()
        self._levels, self._squeeze = levels, nvp.bijectors.Squeeze("channel_major")
        self._scales: list[tuple[list[tuple[np.ndarray, keras.Layer]], keras.Layer | None]] = []
        # Keras finds the layers of a list, but not of tuples in it.
        self._networks: list[keras.Layer] = []
        height, breadth, channels = event_shape
        random = np.random.default_rng(0)

        def network(inputs: int, outputs: int, output_scale: float) -> keras.Layer:
            made = nvp.conditioners.ResidualNetwork(
                outputs=outputs,
                width=width,
                blocks=blocks,
                use_skips=False,
                normalization="none",
                output_scale=output_scale,
            )
            made.build((None, height, breadth, inputs))
            self._networks.append(made)
            return made

        for scale in range(scales):
            height, breadth, channels = height // 2, breadth // 2, 4 * channels
            half = channels // 2
            couplings = [(random.permutation(channels), network(half, channels - half, 0.1)) for _ in range(steps)]
            is_last = scale == scales - 1
            self._scales.append((couplings, None if is_last else network(half, 3 * _COMPONENTS * half, 0.1)))
            if not is_last:
                channels = half
        # Of the last integers: component weights, means and log-scales.
        self.base = self.add_weight(
            shape=(height, breadth, channels, 3 * _COMPONENTS), initializer=keras.initializers.RandomNormal(stddev=0.1)
        )

    def log_prob(self, images: tf.Tensor) -> tf.Tensor:
        """log2 of the probability of each image, `[batch]`."""
        z = tf.cast(images, tf.float32)
        total: tf.Tensor = 0.0
        for couplings, prior in self._scales:
            z = self._squeeze.forward(z)
            for permutation, network in couplings:
                kept, changed = tf.split(tf.gather(z, permutation, axis=-1), 2, -1)
                z = tf.concat([kept, changed + _rounded(self._levels * network(self._unit(kept)))], -1)
            if prior is not None:
                z, leaving = tf.split(z, 2, -1)
                parameters = tf.reshape(prior(self._unit(z)), [*tf.unstack(tf.shape(leaving)), 3 * _COMPONENTS])
                total += self._log_mass(leaving, parameters)
        return (total + self._log_mass(z, self.base)) / math.log(2)

    def _unit(self, z: tf.Tensor) -> tf.Tensor:
        return z / self._levels - 0.5

    def _log_mass(self, z: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """log of the mass of [z - 1/2, z + 1/2] under mixtures of logistics, summed over each event."""
        weights, means, log_scales = tf.split(parameters, 3, -1)
        # Means start spread over the levels, with scales of a few levels.
        means = self._levels * (means + tf.linspace(0.1, 0.9, _COMPONENTS))
        inverse = tf.exp(-tf.clip_by_value(log_scales + math.log(self._levels / 8), -4.0, 6.0))
        upper, lower = ((z[..., tf.newaxis] + half - means) * inverse for half in (0.5, -0.5))
        # sigmoid(upper) - sigmoid(lower), where neither factor underflows.
        log_mass = (
            -tf.math.softplus(-upper)
            - tf.math.softplus(lower)
            + tf.math.log(-tf.math.expm1(tf.minimum(-inverse, -1e-6)))
        )
        log_probs = tf.reduce_logsumexp(tf.nn.log_softmax(weights) + log_mass, -1)
        return tf.reduce_sum(log_probs, axis=[1, 2, 3])


@tf.custom_gradient
def _rounded(values: tf.Tensor) -> tuple[tf.Tensor, object]:
    return tf.round(values), lambda upstream: upstream


def main(_: list[str]) -> None:
    values = flags.FLAGS
    preset = presets.get(values.preset).replace(**speedrun.settings_of(values.settings))
    found = {"flow": speedrun.run(preset, values.minutes, values.seed, values.data_dir)}
    for rate in map(float, values.rates):
        other = preset.replace(recipe=dataclasses.replace(preset.recipe, learning_rate=rate))
        name = f"integer flow, rate {rate:g}"
        found[name] = of_integers(other, values.scales, values.minutes, values.seed, values.data_dir)
    about = (
        f"The `{values.preset}` preset {values.settings}".strip() + f", {values.minutes:g} minutes of training each."
    )
    columns = ["test bits/dim", "images", "parameters"]
    rows = [[name, *(cells[column] for column in columns)] for name, cells in found.items()]
    lines = interleaved.heading("benchmarks.integer_flow", about)
    interleaved.publish([*lines, *interleaved.table(["model", *columns], rows)], values.output)


def of_integers(preset: presets.Preset, scales: int, minutes: float, seed: int, data_dir: str | None) -> dict[str, str]:
    """Trains an integer flow for so long; returns what was reached, as `speedrun.run` does."""
    keras.utils.set_random_seed(seed)
    recipe, images, began = preset.recipe, nvp.data.load(preset.dataset, data_dir), time.monotonic()
    options = {name: preset.options[name] for name in ("steps", "width", "blocks")}
    model = IntegerFlow(preset.event_shape, preset.levels, scales, **options)
    average = nvp.training.WeightAverage([variable.value for variable in model.trainable_variables], recipe.ema or 0.99)
    optimizer = training.optimizer(recipe.optimizer, 0.0)
    optimizer.build(model.trainable_variables)
    number = tf.Variable(0, dtype=tf.int64)
    dims = math.prod(preset.event_shape)

    @tf.function(autograph=False)
    def step(batch: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            bits = -tf.reduce_mean(model.log_prob(batch)) / dims
            # In nats an event, as the flow's loss: clipping and Adam's epsilon mean the same.
            loss = bits * dims * math.log(2)
        gradients = tape.gradient(loss, model.trainable_variables)
        clipped, norm = tf.clip_by_global_norm(gradients, recipe.clip_norm)
        optimizer.apply(clipped, model.trainable_variables, skip=~tf.math.is_finite(norm))
        average.update(number)
        number.assign_add(1)
        return bits

    clock = speedrun.train(step, optimizer, images, recipe, minutes, seed, began)
    average.copy_to_variables()
    log_prob = tf.function(model.log_prob, autograph=False, reduce_retracing=True)
    found = np.concatenate([log_prob(batch).numpy() for batch in images.evaluation_batches("test", 100)]) / -dims
    return {
        "test bits/dim": f"{np.mean(found):.4f} +- {np.std(found, ddof=1) / math.sqrt(len(found)):.4f}",
        "images": f"{clock.images:,}",
        "parameters": f"{sum(math.prod(variable.shape) for variable in model.trainable_variables):,}",
    }


if __name__ == "__main__":
    define_flags()
    app.run(main)
