"""The affine transformer of Real NVP."""

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.transformer import Transformer


class Affine(Transformer):
    """Scales and shifts.

    With a shift `t` and a raw log-scale `r` from the conditioner, in this order:

        s = gain * tanh(r)
        forward, form="scale_first":  z = x * exp(s) + t       (the paper of Real NVP)
        forward, form="shift_first":  z = (x + t) * exp(s)     (the authors' program)
        inverse:                      x = (z - t) * exp(-s), or z * exp(-s) - t
        log dz/dx = s

    `gain` is one learned scalar; at 0 the map is a shift. `tanh` keeps `exp(s)` from overflowing.

    Args:
      form: "scale_first" or "shift_first".
      initial_gain: initial value of the gain.

    Raises:
      ValueError: for an unknown form.

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. arXiv 1605.08803, sections 3.2 to 3.4.
    """

    outputs = 2
    gain: keras.Variable  # Made by `build`.

    def __init__(self, form: str = "scale_first", *, initial_gain: float = 1.0):
        if form not in ("scale_first", "shift_first"):
            raise ValueError(f'expected form to be "scale_first" or "shift_first", got {form!r}')
        self.form = form
        self.initial_gain = initial_gain

    def build(self, dtype: str, name: str) -> None:
        gain = np.asarray(self.initial_gain, dtype)
        self.gain = keras.Variable(gain, dtype=dtype, autocast=False, name=f"{name}_gain")
        self.variables = (self.gain,)

    def _shift_and_log_scale(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, raw_log_scale = (tf.squeeze(part, -2) for part in tf.split(raw, 2, -2))
        return shift, self.gain.value * tf.tanh(raw_log_scale)

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = self._shift_and_log_scale(raw)
        if self.form == "scale_first":
            return x * tf.exp(log_scale) + shift, log_scale
        return (x + shift) * tf.exp(log_scale), log_scale

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = self._shift_and_log_scale(raw)
        if self.form == "scale_first":
            return (z - shift) * tf.exp(-log_scale), -log_scale
        return z * tf.exp(-log_scale) - shift, -log_scale

    def __str__(self) -> str:
        return "affine"
