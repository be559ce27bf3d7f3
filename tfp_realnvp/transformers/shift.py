"""The additive transformer of NICE."""

import tensorflow as tf

from tfp_realnvp.transformers.transformer import Transformer


class Shift(Transformer):
    """Shifts by `t`, which the conditioner computes.

        forward:  z = x + t
        inverse:  x = z - t
        log dz/dx = 0

    It preserves volume, so a flow of shifts needs a layer that scales, such as `ActNorm`.

    Dinh, Krueger, Bengio. NICE: non-linear independent components estimation. ICLR workshop 2015. arXiv 1410.8516.
    """

    outputs = 1

    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return x + raw[..., 0, :], tf.zeros_like(x)

    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return z - raw[..., 0, :], tf.zeros_like(z)

    def __str__(self) -> str:
        return "shift"
