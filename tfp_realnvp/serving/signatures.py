"""What an exported flow answers, and what it says to a request that it cannot answer."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfp_realnvp.bijectors import DequantizedLogit, dequantize
from tfp_realnvp.flows import FlowDistribution

INVALID_ROWS = ("refuse", "minus_inf")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How an export answers.

    Attributes:
      max_samples: the most events that a call of `sample` draws, for a count is all that a request has to say to
        fill a server's memory.
      noise_seed: of the dequantisation of integer images.
      context_size: size of the context of a conditional flow, or None.
      labels: number of classes of a flow whose context is a class in one-hot coding, or None.
      invalid_rows: what `log_prob` does with an event outside the support: "refuse" the request, or give that row
        "minus_inf" and all others their answer.
    """

    max_samples: int = 1024
    noise_seed: int = 0
    context_size: int | None = None
    labels: int | None = None
    invalid_rows: str = "refuse"

    def __post_init__(self) -> None:
        if self.max_samples < 1:
            raise ValueError(f"expected max_samples of 1 or more, got {self.max_samples}")
        if self.context_size is not None and self.labels is not None:
            raise ValueError("expected a context_size or a number of labels, got both")
        if self.invalid_rows not in INVALID_ROWS:
            raise ValueError(f"expected invalid_rows to be one of {', '.join(INVALID_ROWS)}, got {self.invalid_rows!r}")


class Served(tf.Module):
    """A flow as functions of tensors, to be saved.

    Attributes:
      forward: data `[n, *event_shape]` (and context) to latents and `log|det|`, without a check.
      inverse: latents (and context) to data and `log|det|`, for images of any height and width that the flow takes.
      signatures: by name, what a server offers: these two with checks, in float32.
    """

    def __init__(self, distribution: FlowDistribution, settings: Settings):
        super().__init__(name="served")
        event_shape = distribution.event_shape.as_list()
        self._distribution = self._no_dependency(distribution)
        self._settings = settings
        self._is_image = len(event_shape) == 3
        self._levels = levels_of(distribution)
        self._event_shape = event_shape
        self._multiple = _least_side(distribution) if self._is_image else 1
        self._latent_shape = [None, None, event_shape[-1]] if self._is_image else event_shape
        dtype, contexts = distribution.dtype, self._context_specs(distribution.dtype)
        spec = functools.partial(tf.TensorSpec, dtype=dtype)
        self.forward = tf.function(self._forward, input_signature=[spec([None, *event_shape], name="x"), *contexts])
        latents = spec([None, *self._latent_shape], name="z")
        self.inverse = tf.function(self._inverse, input_signature=[latents, *contexts])
        self.signatures = self._no_dependency(self._named_signatures())

    def _context_specs(self, dtype: tf.DType) -> list[tf.TensorSpec]:
        size = self._settings.context_size or self._settings.labels
        return [tf.TensorSpec([None, size], dtype, name="context")] if size else []

    def _forward(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        return _of_rows(self._distribution.flow.forward_and_log_det, x, context)

    def _inverse(self, z: tf.Tensor, context: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        return _of_rows(self._distribution.flow.inverse_and_log_det, z, context)

    def _named_signatures(self) -> dict[str, Callable]:
        """A `tf.function` for each name."""
        events = "images" if self._is_image else "vectors"
        float_events = tf.TensorSpec([None, *self._event_shape], tf.float32, name=events)
        latents = tf.TensorSpec([None, *self._latent_shape], tf.float32, name="latents")
        condition = self._condition_specs()

        def function(answer: Callable, *specs: tf.TensorSpec) -> Callable:
            return tf.function(answer, input_signature=[*specs, *condition])

        of_events = {"log_prob": self._log_prob, "encode": self._encode, "reconstruct_error": self._reconstruct_error}
        named = {name: function(answer, float_events) for name, answer in of_events.items()}
        if self._levels is not None and self._levels <= 256:
            integers = tf.TensorSpec(float_events.shape, tf.uint8, name=events)
            for name, answer in of_events.items():
                named[f"{name}_uint8"] = function(self._of_integers(answer), integers)
        named["decode"] = function(self._decode, latents)
        named["sample"] = self._sample_signature(condition)
        named["serving_default"] = named["log_prob"]
        return named

    def _condition_specs(self) -> list[tf.TensorSpec]:
        if self._settings.labels is not None:
            return [tf.TensorSpec([None], tf.int32, name="labels")]
        if self._settings.context_size is not None:
            return [tf.TensorSpec([None, self._settings.context_size], tf.float32, name="context")]
        return []

    def _sample_signature(self, condition: Sequence[tf.TensorSpec]) -> Callable:
        """Of a flow without a context, one event for each of a count; with one, an event for each row of it."""
        first = condition or [tf.TensorSpec([], tf.int32, name="count")]
        seed = tf.TensorSpec([2], tf.int32, name="seed")
        temperature = tf.TensorSpec([], tf.float32, name="temperature")
        answer = self._sample_for_each if condition else self._sample

        one = tf.constant(1.0)

        # What has a default value, and may be left out of a request, is the last.
        def sample(first, seed, temperature=one):
            return answer(first, seed, temperature)

        return tf.function(sample, input_signature=[*first, seed, temperature])

    # The answers. What follows an `Assert` in a `tf.function` runs whether it fails or not, but nothing is returned.

    def _log_prob(self, events: tf.Tensor, *condition: tf.Tensor) -> dict[str, tf.Tensor]:
        z, log_det = self._latents(events, condition)
        nats = self._distribution.distribution.log_prob(z) + log_det
        is_valid = tf.math.is_finite(nats)
        if self._settings.invalid_rows == "refuse":
            self._refuse_unless(is_valid, events)
        nats = tf.where(is_valid, nats, tf.constant(-math.inf, nats.dtype))
        answers = {"log_prob": tf.cast(nats, tf.float32)}
        if self._is_image:
            bits = -nats / (math.prod(self._event_shape) * math.log(2))
            answers["bits_per_dim"] = tf.cast(bits, tf.float32)
        return answers

    def _encode(self, events: tf.Tensor, *condition: tf.Tensor) -> dict[str, tf.Tensor]:
        z, log_det = self._latents(events, condition)
        self._refuse_unless(tf.math.is_finite(log_det) & _each_finite(z), events)
        return {"latents": tf.cast(z, tf.float32)}

    def _reconstruct_error(self, events: tf.Tensor, *condition: tf.Tensor) -> dict[str, tf.Tensor]:
        z, log_det = self._latents(events, condition)
        x, _ = self.inverse(z, *self._context(condition, tf.shape(z)[0]))
        difference = tf.abs(x - tf.cast(events, x.dtype))
        error = tf.reduce_max(difference, axis=list(range(1, difference.shape.rank)))
        self._refuse_unless(tf.math.is_finite(log_det) & tf.math.is_finite(error), events)
        return {"reconstruct_error": tf.cast(error, tf.float32)}

    def _of_integers(self, answer: Callable) -> Callable:
        """The answer for integer images, with noise that is a function of a row alone."""

        def of_integers(images: tf.Tensor, *condition: tf.Tensor) -> dict[str, tf.Tensor]:
            images = tf.ensure_shape(images, [None, *self._event_shape])
            highest = tf.reduce_max(tf.cast(images, tf.int32))
            _assert(highest < self._levels, f"expected pixels in 0 ... {self._levels - 1}, got", highest)
            return answer(dequantize_rows(images, levels=self._levels, seed=self._settings.noise_seed), *condition)

        return of_integers

    def _decode(self, latents: tf.Tensor, *condition: tf.Tensor) -> dict[str, tf.Tensor]:
        latents = tf.ensure_shape(latents, [None, *self._latent_shape])
        _assert(tf.reduce_all(tf.math.is_finite(latents)), "expected finite latents, got", latents)
        checks = []
        if self._is_image:
            sides, multiple = tf.shape(latents)[1:3], self._multiple
            is_fit = tf.reduce_all((sides % multiple == 0) & (sides > 0))
            checks = [_assert(is_fit, f"expected a height and width that are multiples of {multiple}, got", sides)]
        with tf.control_dependencies(checks):  # Or the flow would fail first, in words of its own.
            z = tf.cast(tf.identity(latents), self._distribution.dtype)
        return self._events(z, condition)

    def _sample(self, count: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._drawn(tf.ensure_shape(count, []), seed, temperature, ())

    def _sample_for_each(self, rows: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._drawn(tf.shape(rows)[0], seed, temperature, (rows,))

    def _drawn(
        self, count: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor, condition: Sequence[tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        most = self._settings.max_samples
        checks = [_assert((count >= 1) & (count <= most), f"expected a count in 1 ... {most}, got", count)]
        temperature = tf.ensure_shape(temperature, [])
        is_temperature = tf.math.is_finite(temperature) & (temperature >= 0)
        checks += [_assert(is_temperature, "expected a temperature of 0 or more, got", temperature)]
        with tf.control_dependencies(checks):
            count = tf.identity(count)
        z = self._distribution.distribution.sample(count, seed=tf.ensure_shape(seed, [2]))
        answers = self._events(z * tf.cast(temperature, z.dtype), condition)
        return {name: tf.ensure_shape(value, [None, *self._event_shape]) for name, value in answers.items()}

    def _latents(self, events: tf.Tensor, condition: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        x = tf.cast(tf.ensure_shape(events, [None, *self._event_shape]), self._distribution.dtype)
        return self.forward(x, *self._context(condition, tf.shape(x)[0]))

    def _events(self, z: tf.Tensor, condition: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Of latents, the events, and for images what a viewer wants, too."""
        x, _ = self.inverse(z, *self._context(condition, tf.shape(z)[0]))
        _assert(tf.reduce_all(tf.math.is_finite(x)), "expected latents of finite events, got latents as far from 0 as",
                tf.reduce_max(tf.abs(z)))
        if not self._is_image:
            return {"vectors": tf.cast(x, tf.float32)}
        answers = {"images": tf.cast(x, tf.float32)}
        if self._levels is not None and self._levels <= 256:
            answers["pixels"] = tf.cast(tf.clip_by_value(tf.floor(x), 0, self._levels - 1), tf.uint8)
        return answers

    def _context(self, condition: Sequence[tf.Tensor], count: tf.Tensor) -> list[tf.Tensor]:
        """What the flow takes, of what a request says of its rows."""
        if not condition:
            return []
        (given,) = condition
        labels, dtype = self._settings.labels, self._distribution.dtype
        given = tf.ensure_shape(given, [None] if labels else [None, self._settings.context_size])
        name = "labels" if labels else "context rows"
        _assert(tf.shape(given)[0] == count, f"expected as many {name} as rows, got", tf.shape(given)[0], "and", count)
        if labels:
            is_known = tf.reduce_all((given >= 0) & (given < labels))
            _assert(is_known, f"expected labels in 0 ... {labels - 1}, got", given)
            return [tf.one_hot(given, labels, dtype=dtype)]
        _assert(tf.reduce_all(tf.math.is_finite(given)), "expected a finite context, got", given)
        return [tf.cast(given, dtype)]

    def _refuse_unless(self, is_valid: tf.Tensor, events: tf.Tensor) -> None:
        expected = "finite events" if self._levels is None else f"pixels in [0, {self._levels})"
        position = tf.argmin(tf.concat([tf.cast(is_valid, tf.int32), [0]], 0))
        # All are valid: the row past the last, which the slice then does not have.
        row = events[position : position + 1]
        _assert(
            tf.reduce_all(is_valid),
            f"expected {expected}, got in row",
            position,
            "values from",
            tf.reduce_min(row),
            "to",
            tf.reduce_max(row),
        )


def dequantize_rows(images: tf.Tensor, *, levels: int, seed: int) -> tf.Tensor:
    """`dequantize` with noise that depends on the seed and an image's own pixels, and on none beside it."""
    # 64 bits of each row, as two integers.
    hashes = tf.bitcast(tf.reshape(tf.fingerprint(images), [-1, 2, 4]), tf.int32)
    seeds = tf.bitwise.bitwise_xor(hashes, tf.constant([seed, 0], tf.int32))
    return tf.map_fn(
        lambda row: dequantize(row[0], seed=row[1], levels=levels),
        (images, seeds),
        fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32),
    )


def levels_of(distribution: FlowDistribution) -> int | None:
    """The number of levels of a pixel, of a flow that begins with them."""
    levels = [part.levels for part in distribution.flow.submodules if isinstance(part, DequantizedLogit)]
    return levels[0] if levels else None


def _least_side(distribution: FlowDistribution) -> int:
    """The height and width whose multiples the flow takes."""
    height, width, channels = distribution.event_shape.as_list()
    side = 1
    while side < min(height, width):
        try:
            distribution.flow.inverse_event_shape([side, side, channels])
            return side
        except ValueError:
            side *= 2
    return side


def _of_rows(
    pass_fn: Callable[..., tuple[tf.Tensor, tf.Tensor]], x: tf.Tensor, context: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """What a pass of a flow gives, with one log-det for each event, of any number of rows."""
    # TensorFlow's oneDNN convolution gives an empty batch another shape than it has: a row is added there.
    count = tf.shape(x)[0]
    missing = tf.maximum(1 - count, 0)

    def filled(rows: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.pad(rows, [[0, missing], *[[0, 0]] * (rows.shape.rank - 1)]), rows.shape)

    y, log_det = pass_fn(filled(x), None if context is None else filled(context))
    # Of a flow that gives a log-det for each part of an event, such as an elementwise one, their sum.
    log_det = tf.reduce_sum(log_det, axis=list(range(1, log_det.shape.rank)))
    return y[:count], log_det[:count]


def _each_finite(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(x), axis=list(range(1, x.shape.rank)))


def _assert(condition: tf.Tensor, *said: object) -> tf.Operation:
    return tf.debugging.Assert(condition, list(said), summarize=8)
