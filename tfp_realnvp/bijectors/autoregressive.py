"""The autoregressive layer."""

from collections.abc import Callable

import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.masks import Preceding
from tfp_realnvp.bijectors.structure import Structure
from tfp_realnvp.transformers import Transformer
from tfp_realnvp.transformers.transformer import checked


class Autoregressive(Structure):
    """Transforms each entry of a vector with parameters computed from the entries before it.

        forward:  z_i = f(x_i; conditioner(x)_i),         all entries in one conditioner evaluation
        inverse:  x_i = f^{-1}(z_i; conditioner(x)_i),    one conditioner evaluation per entry
        log|det df/dx| = sum_i log f'

    with `f` increasing, and `conditioner(x)_i` a function of `x_1 ... x_{i-1}` alone. A density takes one pass, a
    sample one pass per entry (MAF). `tfb.Invert` exchanges the two costs (IAF).

    Args:
      transformer: the map f of each entry, such as `tfp_realnvp.transformers.Affine()`.
      conditioner: a built `MaskedMLP(outputs_per_entry=transformer.outputs)`, or any Keras layer or callable from
        `[batch, size]` to `[batch, transformer.outputs * size]`, with the layout and calls that a `Coupling` expects.
        No output for an entry may depend on that entry or on later ones; this is not checked.
      size: number of entries of the vector.

    Raises:
      ValueError: if the conditioner's output has the wrong shape, or the input another size.

    ```python
    spline = nvp.transformers.RationalQuadraticSpline()
    conditioner = nvp.conditioners.MaskedMLP(outputs_per_entry=spline.outputs)
    conditioner.build([None, 3])
    layer = nvp.bijectors.Autoregressive(spline, conditioner, size=3)
    z, log_det = layer.forward_and_log_det(tf.random.normal([4, 3]))
    ```

    Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density estimation. NeurIPS 2017. arXiv 1705.07057.
    Kingma et al. Improved variational inference with inverse autoregressive flow. NeurIPS 2016. arXiv 1606.04934.
    """

    def __init__(
        self,
        transformer: Transformer,
        conditioner: Callable[..., tf.Tensor],
        size: int,
        *,
        dtype: str = "float32",
        name: str = "autoregressive",
    ):
        super().__init__(transformer, conditioner, Preceding(), size=size, dtype=dtype, name=name)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        # After i rounds the first i entries are correct, and so are the parameters of the next entry.
        def one_more(x: tf.Tensor, log_slope: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return checked(z, self.transformer.inverse(z, self._raw(x, context, training)), self.transformer)

        start = tf.zeros_like(z), tf.zeros_like(z)
        x, log_slope = tf.while_loop(lambda *unused: True, one_more, start, maximum_iterations=self._size)
        return x, self.mask.sum(log_slope)
