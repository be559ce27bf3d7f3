"""What an exported flow of a table answers."""

import math
from collections.abc import Sequence

import tensorflow as tf

from tfp_realnvp.columns import Columns
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.novelty import Calibration
from tfp_realnvp.serving.functions import Function
from tfp_realnvp.serving.row_noise import noise_of_rows
from tfp_realnvp.serving.settings import Settings
from tfp_realnvp.serving.signatures import Served


class ServedTable(Served):
    """A flow of a table with columns of several types as functions of tensors, to be saved.

        log_prob  rows float32 [n, size]                                            -> log_prob float32 [n], nats
        sample    count int32 [] or context float32 [n, context columns],
                  seed int32 [2], temperature float32 []                            -> rows float32 [n, columns]
        p_value   as log_prob, with a calibration                                   -> p_value float32 [n], log_prob

    Rows are as `Columns.encode` makes them and `Columns.decode` takes them. The noise of `log_prob` is a function of
    `noise_seed` and of the row alone.
    """

    def __init__(
        self,
        distribution: FlowDistribution,
        settings: Settings,
        columns: Columns,
        calibration: Calibration | None = None,
    ):
        self._columns = columns
        super().__init__(distribution, settings, calibration)

    def _named_signatures(self) -> dict[str, Function]:
        rows = tf.TensorSpec([None, self._columns.size], tf.float32, name="rows")
        log_prob = tf.function(self._log_prob_of_rows, input_signature=[rows], autograph=False)
        has_context = len(self._columns.context) > 0
        context = [tf.TensorSpec([None, len(self._columns.context)], tf.float32, name="context")] if has_context else []
        named = {"log_prob": log_prob, "sample": self._sample_signature(context), "serving_default": log_prob}
        if self._calibration is not None:
            named["p_value"] = tf.function(
                lambda rows: self._with_p_values(self._log_prob_of_rows(rows)), input_signature=[rows], autograph=False
            )
        return named

    def _log_prob_of_rows(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.ensure_shape(rows, [None, self._columns.size])
        with tf.control_dependencies([self._check_rows(rows)]):
            rows = tf.identity(rows)
        known = len(self._columns.columns) + len(self._columns.context)  # A weight does not change a density.
        noise = noise_of_rows(rows[:, :known], self._columns.noises, self._settings.noise_seed)
        v, context, log_q = self._columns.dequantize(rows, noise)
        dtype = self._distribution.dtype
        given = [] if context is None else [tf.cast(context, dtype)]
        z, log_det = self._forward(tf.cast(v, dtype), *given)
        nats = tf.cast(self._distribution.distribution.log_prob(z) + log_det, tf.float32) - log_q
        is_valid = tf.math.is_finite(nats)
        if self._settings.invalid_rows == "refuse":
            self._refuse_unless(is_valid, rows)
        return {"log_prob": tf.where(is_valid, nats, -math.inf)}

    def _events(self, z: tf.Tensor, condition: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        (given,) = condition or [tf.zeros([tf.shape(z)[0], 0])]
        context = self._columns.context_of(given)
        is_finite = True if context is None else tf.reduce_all(tf.math.is_finite(context))
        tf.debugging.Assert(is_finite, ["expected a finite context, got", given], summarize=8)
        v = self._inverse(z, *([] if context is None else [tf.cast(context, z.dtype)]))[0]
        return {"rows": self._columns.quantize(tf.cast(v, tf.float32))}

    def _drawn_shape(self) -> list[int | None]:
        return [None, len(self._columns.columns)]
