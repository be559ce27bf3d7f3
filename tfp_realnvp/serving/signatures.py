"""The signatures of an exported flow, with their checks and error messages."""

import functools
import math
import types
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.novelty import Calibration
from tfp_realnvp.novelty.conformal import two_sided_p_values
from tfp_realnvp.serving.functions import Function, function, functions_of
from tfp_realnvp.serving.row_noise import dequantize_rows
from tfp_realnvp.serving.saved_flow import saved_dequantizer
from tfp_realnvp.serving.settings import Settings
from tfp_realnvp.serving.structure import least_side, levels_of

# Maps a request's tensors to its answers by name.
Answer = Callable[..., dict[str, tf.Tensor]]


class Served:
    """A flow as functions of tensors, ready to be saved.

    Attributes:
      functions: unchecked functions by name, for `load`, see `functions_of`.
      signatures: checked float32 functions by name, for servers.
    """

    def __init__(
        self,
        distribution: FlowDistribution,
        settings: Settings,
        calibration: Calibration | None = None,
        dequantizer: Dequantizer | None = None,
    ):
        event_shape = distribution.event_shape.as_list()
        self._distribution = distribution
        self._settings = settings
        self._calibration = None if calibration is None else calibration.statistics["typicality"]
        self._dequantizer: Dequantizer | None = None
        self._is_image = len(event_shape) == 3
        self._levels = levels_of(distribution)
        has_integers = self._is_image and self._levels is not None and self._levels <= 256
        self._integer_levels = self._levels if has_integers else None
        self._event_shape = event_shape
        self._multiple = least_side(distribution) if self._is_image else 1
        # Vectors have no pixels.
        pixels = math.prod(event_shape[:2]) if self._is_image else 0
        self._max_pixels = settings.max_pixels or settings.max_rows * pixels
        self._latent_shape = [None, None, event_shape[-1]] if self._is_image else event_shape
        size = settings.context_size or settings.classes
        self.functions = functions_of(distribution, dequantizer, context_size=size)
        self._forward, self._inverse = self.functions["forward"], self.functions["inverse"]
        if dequantizer is not None:
            module = types.SimpleNamespace(**self.functions)
            self._dequantizer = saved_dequantizer(module, event_shape, dequantizer.levels, distribution.dtype)
        self.signatures = self._named_signatures()

    def _named_signatures(self) -> dict[str, Function]:
        """A `tf.function` for each name."""
        events = "images" if self._is_image else "vectors"
        float_events = tf.TensorSpec([None, *self._event_shape], tf.float32, name=events)
        latents = tf.TensorSpec([None, *self._latent_shape], tf.float32, name="latents")
        condition = self._condition_specs()

        def conditional(answer: Answer, *specs: tf.TensorSpec) -> Function:
            return function(answer, [*specs, *condition])

        of_events = {
            "log_prob": self._log_prob,
            "encode": self._encode,
            "reconstruct_error": self._reconstruct_error,
            **({} if self._calibration is None else {"p_value": self._p_value}),
        }
        named = {name: conditional(answer, float_events) for name, answer in of_events.items()}
        if self._dequantizer is not None:  # The calibration's statistic is a bound, which floats do not have.
            named.pop("p_value", None)
        if self._integer_levels is not None:
            integers = tf.TensorSpec(float_events.shape, tf.uint8, name=events)
            for name, answer in of_events.items():
                of_integers = functools.partial(self._of_integers, answer, self._integer_levels)
                named[f"{name}_uint8"] = conditional(of_integers, integers)
        named["decode"] = conditional(self._decode, latents)
        named["sample"] = self._sample_signature(condition)
        named["serving_default"] = named["log_prob"]
        return named

    def _condition_specs(self) -> list[tf.TensorSpec]:
        if self._settings.classes is not None:
            return [tf.TensorSpec([None], tf.int32, name="labels")]
        if self._settings.context_size is not None:
            return [tf.TensorSpec([None, self._settings.context_size], tf.float32, name="context")]
        return []

    def _sample_signature(self, condition: Sequence[tf.TensorSpec]) -> Function:
        """Draws `count` events or, for a flow with a context, one event per row of the context."""
        first = condition or [tf.TensorSpec([], tf.int32, name="count")]
        seed = tf.TensorSpec([2], tf.int32, name="seed")
        temperature = tf.TensorSpec([], tf.float32, name="temperature")
        answer = self._sample_for_each if condition else self._sample
        one = tf.constant(1.0)

        # Optional inputs, with default values, come last.
        def sample(first: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor = one) -> dict[str, tf.Tensor]:
            return answer(first, seed, temperature)

        return function(sample, [*first, seed, temperature])

    # The answers. An `Assert` in a `tf.function` always runs. "Finite" means finite in float32, the dtype of all
    # answers.

    def _log_prob(
        self,
        events: tf.Tensor,
        *condition: tf.Tensor,
        has_levels: tf.Tensor | None = None,
        log_q: tf.Tensor | float = 0.0,
    ) -> dict[str, tf.Tensor]:
        (z, log_det), has_context = self._latents(events, condition)
        nats = tf.cast(self._distribution.distribution.log_prob(z) + log_det - tf.cast(log_q, z.dtype), tf.float32)
        is_valid = tf.math.is_finite(nats)
        if self._settings.invalid_rows == "refuse":
            self._refuse_context_unless(has_context, condition)
            self._refuse_unless(is_valid, events)
        else:
            is_valid &= has_context if has_levels is None else has_context & has_levels
            nats = tf.where(is_valid, nats, -math.inf)
        answers = {"log_prob": nats}
        if self._is_image:
            answers["bits_per_dim"] = -nats / (math.prod(self._event_shape) * math.log(2))
        return answers

    def _p_value(self, events: tf.Tensor, *condition: tf.Tensor, **noise: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._with_p_values(self._log_prob(events, *condition, **noise))

    def _with_p_values(self, answers: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        assert self._calibration is not None  # Or there is no such signature.
        return {"p_value": two_sided_p_values(answers["log_prob"], self._calibration), **answers}

    def _encode(self, events: tf.Tensor, *condition: tf.Tensor, **unused: tf.Tensor) -> dict[str, tf.Tensor]:
        (z, log_det), has_context = self._latents(events, condition)
        self._refuse_context_unless(has_context, condition)
        latents = tf.cast(z, tf.float32)
        self._refuse_unless(tf.math.is_finite(log_det) & _each_finite(latents), events)
        return {"latents": latents}

    def _reconstruct_error(self, events: tf.Tensor, *condition: tf.Tensor, **unused: tf.Tensor) -> dict[str, tf.Tensor]:
        (z, log_det), has_context = self._latents(events, condition)
        self._refuse_context_unless(has_context, condition)
        x, _ = self._inverse(z, *self._context(condition, tf.shape(z)[0])[0])
        difference = tf.abs(x - tf.cast(events, x.dtype))
        error = tf.cast(tf.reduce_max(difference, axis=list(range(1, difference.shape.rank))), tf.float32)
        self._refuse_unless(tf.math.is_finite(log_det) & tf.math.is_finite(error), events)
        return {"reconstruct_error": error}

    def _of_integers(
        self, answer: Answer, levels: int, images: tf.Tensor, *condition: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The answer for integer images, with noise that depends on each row alone."""
        images = tf.ensure_shape(images, [None, *self._event_shape])
        with tf.control_dependencies([self._check_rows(images)]):
            images = tf.identity(images)
        highest = tf.reduce_max(tf.cast(images, tf.int32), axis=[1, 2, 3])
        has_levels = highest < levels
        if answer not in (self._log_prob, self._p_value) or self._settings.invalid_rows == "refuse":
            _assert(tf.reduce_all(has_levels), f"expected pixels in 0 ... {levels - 1}, got", tf.reduce_max(highest))
        # A placeholder image for an invalid row.
        images = tf.minimum(images, tf.cast(levels - 1, tf.uint8))
        events, log_q = dequantize_rows(
            images, levels=levels, seed=self._settings.noise_seed, dequantizer=self._dequantizer
        )
        return answer(tf.cast(events, tf.float32), *condition, has_levels=has_levels, log_q=log_q)

    def _decode(self, latents: tf.Tensor, *condition: tf.Tensor) -> dict[str, tf.Tensor]:
        latents = tf.ensure_shape(latents, [None, *self._latent_shape])
        _assert(tf.reduce_all(tf.math.is_finite(latents)), "expected finite latents, got", latents)
        checks = [self._check_rows(latents)]
        if self._is_image:
            sides, multiple = tf.shape(latents)[1:3], self._multiple
            is_fit = tf.reduce_all((sides % multiple == 0) & (sides > 0))
            checks.append(_assert(is_fit, f"expected a height and width that are multiples of {multiple}, got", sides))
            # The flow evaluates a row even if there is none.
            sizes, most = tf.shape(latents, tf.int64), self._max_pixels
            pixels = tf.maximum(sizes[0], 1) * sizes[1] * sizes[2]
            expected = f"expected at most {most} pixels of latents (max_pixels), got"
            checks.append(_assert(pixels <= most, expected, pixels))
        with tf.control_dependencies(checks):  # Otherwise the flow would fail first, with another message.
            z = tf.cast(tf.identity(latents), self._distribution.dtype)
        return self._events(z, condition)

    def _check_rows(self, rows: tf.Tensor) -> tf.Operation:
        count, most = tf.shape(rows)[0], self._settings.max_rows
        return _assert(count <= most, f"expected at most {most} rows (max_rows), got", count)

    def _sample(self, count: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._drawn(tf.ensure_shape(count, []), seed, temperature, ())

    def _sample_for_each(self, rows: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._drawn(tf.shape(rows)[0], seed, temperature, (rows,))

    def _drawn(
        self, count: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor, condition: Sequence[tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        most = self._settings.max_samples
        what = "a number of rows" if condition else "a count"
        checks = [_assert((count >= 1) & (count <= most), f"expected {what} in 1 ... {most} (max_samples), got", count)]
        temperature = tf.ensure_shape(temperature, [])
        is_temperature = tf.math.is_finite(temperature) & (temperature >= 0)
        checks += [_assert(is_temperature, "expected a temperature of 0 or more, got", temperature)]
        if not self._distribution.has_default_base:
            checks += [_assert(temperature == 1, "expected a temperature of 1 for a custom base, got", temperature)]
        with tf.control_dependencies(checks):
            count = tf.identity(count)
        z = self._distribution.distribution.sample(count, seed=tf.ensure_shape(seed, [2]))
        answers = self._events(z * tf.cast(temperature, z.dtype), condition)
        return {name: tf.ensure_shape(value, self._drawn_shape()) for name, value in answers.items()}

    def _drawn_shape(self) -> list[int | None]:
        return [None, *self._event_shape]

    def _latents(
        self, events: tf.Tensor, condition: Sequence[tf.Tensor]
    ) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The latents and log-dets of each row, and whether its context is valid."""
        events = tf.ensure_shape(events, [None, *self._event_shape])
        with tf.control_dependencies([self._check_rows(events)]):  # Checked before the flow allocates memory for them.
            x = tf.cast(tf.identity(events), self._distribution.dtype)
        context, has_context = self._context(condition, tf.shape(x)[0])
        return self._forward(x, *context), has_context

    def _events(self, z: tf.Tensor, condition: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """The events of latents, and for images also 8-bit pixels."""
        context, has_context = self._context(condition, tf.shape(z)[0])
        self._refuse_context_unless(has_context, condition)
        events = tf.cast(self._inverse(z, *context)[0], tf.float32)
        furthest = tf.reduce_max(tf.abs(z))
        is_finite = tf.reduce_all(tf.math.is_finite(events))
        _assert(is_finite, "expected latents of finite events, got latents as far from 0 as", furthest)
        if not self._is_image:
            return {"vectors": events}
        answers = {"images": events}
        if self._integer_levels is not None:
            answers["pixels"] = tf.cast(tf.clip_by_value(tf.floor(events), 0, self._integer_levels - 1), tf.uint8)
        return answers

    def _context(self, condition: Sequence[tf.Tensor], count: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The flow's context from a request's context or labels, and which rows are valid."""
        if not condition:
            return [], tf.fill([count], True)
        (given,) = condition
        classes, dtype = self._settings.classes, self._distribution.dtype
        given = tf.ensure_shape(given, [None] if classes else [None, self._settings.context_size])
        name = "labels" if classes else "context rows"
        _assert(tf.shape(given)[0] == count, f"expected as many {name} as rows, got", tf.shape(given)[0], "and", count)
        if classes:
            # Invalid labels become zeros.
            return [tf.one_hot(given, classes, dtype=dtype)], (given >= 0) & (given < classes)
        is_finite = _each_finite(given)
        return [tf.cast(tf.where(is_finite[:, tf.newaxis], given, 0.0), dtype)], is_finite

    def _refuse_context_unless(self, is_valid: tf.Tensor, condition: Sequence[tf.Tensor]) -> None:
        if condition:
            classes = self._settings.classes
            expected = f"labels in 0 ... {classes - 1}" if classes else "a finite context"
            _assert(tf.reduce_all(is_valid), f"expected {expected}, got", *condition)

    def _refuse_unless(self, is_valid: tf.Tensor, events: tf.Tensor) -> None:
        expected = "finite events" if self._levels is None else f"pixels in [0, {self._levels})"
        position = tf.argmin(tf.concat([tf.cast(is_valid, tf.int32), [0]], 0))
        # If all rows are valid, the slice past the last row is empty.
        row = events[position : position + 1]
        values = "values from", tf.reduce_min(row), "to", tf.reduce_max(row)
        _assert(tf.reduce_all(is_valid), f"expected {expected}, got in row", position, *values)


def _each_finite(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(x), axis=list(range(1, x.shape.rank)))


def _assert(condition: tf.Tensor, *said: object) -> tf.Operation:
    return tf.debugging.Assert(condition, list(said), summarize=8)
