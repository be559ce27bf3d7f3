"""The affine transformer of Real NVP."""

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.transformers.transformer import Transformer

_LEAST = 1e-3  # The minimum of a sigmoid scale.


class Affine(Transformer):
    """Scales and shifts.

    With a shift `t` and a raw log-scale `r` from the conditioner, in this order:

        scale="gain":     s = gain * tanh(r),        one learned gain
        scale="tanh":     s = 2 tanh(r / 2),         exp(s) in (0.14, 7.4)
        scale="sigmoid":  s = log(0.001 + 0.999 sigmoid(r + 2))

        forward, form="scale_first":  z = x * exp(s) + t       (the paper of Real NVP)
        forward, form="shift_first":  z = (x + t) * exp(s)     (the authors' program)
        inverse:                      x = (z - t) * exp(-s), or z * exp(-s) - t
        log dz/dx = s

    All scales are bounded, so that `exp(s)` cannot overflow. `gain` is one learned scalar; at 0 the map is a shift. For
    raw numbers near 0, "tanh" is `exp(r)`. "sigmoid" only contracts, by .88 where `r` is 0.

    Args:
      form: "scale_first" or "shift_first".
      scale: "gain", "tanh" or "sigmoid".
      initial_gain: initial value of the gain.

    Raises:
      ValueError: for an unknown form or scale.

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. arXiv 1605.08803, sections 3.2 to 3.4.
    Kingma, Dhariwal. Glow. NeurIPS 2018. arXiv 1807.03039 (whose program has the sigmoid).
    """

    outputs = 2
    gain: keras.Variable  # Made by `build`.

    def __init__(self, form: str = "scale_first", *, scale: str = "gain", initial_gain: float = 1.0):
        if form not in ("scale_first", "shift_first"):
            raise ValueError(f'expected form to be "scale_first" or "shift_first", got {form!r}')
        if scale not in ("gain", "tanh", "sigmoid"):
            raise ValueError(f'expected scale to be "gain", "tanh" or "sigmoid", got {scale!r}')
        self.form = form
        self.scale = scale
        self.initial_gain = initial_gain

    def build(self, dtype: str, name: str) -> None:
        if self.scale != "gain":
            return
        gain = np.asarray(self.initial_gain, dtype)
        self.gain = keras.Variable(gain, dtype=dtype, autocast=False, name=f"{name}_gain")
        self.variables = (self.gain,)

    def _shift_and_log_scale(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, raw_log_scale = (tf.squeeze(part, -2) for part in tf.split(raw, 2, -2))
        if self.scale == "tanh":
            return shift, 2 * tf.tanh(raw_log_scale / 2)
        if self.scale == "sigmoid":
            return shift, tf.math.log(_LEAST + (1 - _LEAST) * tf.sigmoid(raw_log_scale + 2))
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
        return "affine" if self.scale == "gain" else f"affine with a {self.scale} scale"
