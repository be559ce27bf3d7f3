"""The rational-quadratic spline coupling of neural spline flows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors.coupling import Coupling
from tfp_realnvp.bijectors.masks import Mask


class SplineCoupling(Coupling):
    """Bends one part of an event by monotone splines whose knots are computed from the other.

    On [-bound, bound] each changed entry goes through a rational-quadratic spline of `bins` pieces, with

        widths  = 2 bound (least + (1 - bins least) softmax(w)),  heights likewise of h,  least = 1e-3
        slopes  = 1e-3 + softplus(d + log(exp(1 - 1e-3) - 1)) at the inner knots, 1 at both ends
        w, h, d = conditioner(x_a)

    and beyond it stays as it is. Forward and inverse are closed forms (a quadratic), both one evaluation of the
    conditioner; `log|det df/dx|` is the sum of the log-slopes at the entries. Zeros from the conditioner give the
    identity.

    Args:
      conditioner: a built Keras layer or any callable, from `mask.kept(x)` to `[batch, ..., (3 * bins - 1) * changed
        channels]`: for one channel after the other w, h and d; see `Coupling`.
      mask: which entries are kept: `Checkerboard`, `ChannelHalves`, `Halves` or `Alternating`.
      bins: number of pieces.
      bound: where the splines end.
      validate_args: see `Bijector`.
      name: the bijector's name.

    Raises:
      ValueError: for fewer than 2 bins or more than 500, a bound that is not positive, or when the conditioner's output
        does not fit the changed part.

    #### Examples

    ```python
    conditioner = nvp.conditioners.MLP(outputs=3 * 8 - 1)
    conditioner.build([None, 1])
    coupling = nvp.bijectors.SplineCoupling(conditioner, nvp.bijectors.Alternating(parity=0), bins=8, bound=3.0)
    z, log_det = coupling.forward_and_log_det(tf.constant([[0.5, -1.0]]))
    ```

    #### References

    Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019. arXiv 1906.04032.
    """

    _parameter_names = "widths, heights and inner slopes"
    _LEAST = 1e-3

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        mask: Mask,
        *,
        bins: int = 8,
        bound: float = 3.0,
        validate_args: bool = False,
        name: str = "spline_coupling",
    ):
        parameters = dict(locals())
        if not 2 <= bins <= 500:
            raise ValueError(f"expected 2 to 500 bins, got {bins}")
        if not bound > 0:
            raise ValueError(f"expected a positive bound, got {bound}")
        self.bins = bins
        self.bound = bound
        self.parameters_per_entry = 3 * bins - 1
        super().__init__(conditioner, mask, parameters=parameters, validate_args=validate_args, name=name)

    def _spline(self, output: tf.Tensor) -> _Spline:
        bins = self.bins
        shape = tf.concat([tf.shape(output)[:-1], [-1, self.parameters_per_entry]], 0)
        w, h, d = tf.split(tf.reshape(output, shape), [bins, bins, bins - 1], -1)

        def sizes(raw: tf.Tensor) -> tf.Tensor:
            return 2 * self.bound * (self._LEAST + (1 - bins * self._LEAST) * tf.nn.softmax(raw))

        # A raw slope of 0 is a slope of 1.
        offset = float(np.log(np.expm1(1 - self._LEAST)))
        return _Spline(
            bin_widths=sizes(w),
            bin_heights=sizes(h),
            knot_slopes=self._LEAST + tf.nn.softplus(d + offset),
            range_min=-self.bound,
        )

    def _entrywise(self, x, parameters):
        spline = self._spline(*parameters)
        return self._within_bound(x, spline.forward, spline.forward_log_det_jacobian)

    def _entrywise_inverse(self, z, parameters):
        spline = self._spline(*parameters)
        return self._within_bound(z, spline.inverse, spline.inverse_log_det_jacobian)

    def _within_bound(
        self, x: tf.Tensor, function: Callable[..., tf.Tensor], log_slope: Callable[..., tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The spline where there is one; far beyond it the spline's polynomials would overflow in the gradient."""
        is_within = tf.abs(x) <= self.bound
        within = tf.where(is_within, x, tf.zeros_like(x))
        y, log_slope_within = function(within), log_slope(within, event_ndims=0)
        return tf.where(is_within, y, x), tf.where(is_within, log_slope_within, tf.zeros_like(x))


class _Spline(tfp.bijectors.RationalQuadraticSpline):
    """TFP's, with an inverse in which nothing cancels.

    In a bin with slopes `d_0` and `d_1` at its ends and a mean slope `s`, a y at the share `t` of its height has its x
    at this share of its width:

        2 s t / (2 s t + q + sqrt(q^2 + 4 s^2 t (1 - t))),    q = d_0 (1 - t) - d_1 t

    TFP's root is `sqrt(b^2 - 4 a c)`, of terms that cancel in steep splines, and of less than 0 then.
    """

    def _inverse(self, y):
        bin_of = self._compute_shared(y=y)
        t = tf.where(bin_of.out_of_bounds, tf.zeros([], y.dtype), (y - bin_of.y_k) / bin_of.h_k)
        q = bin_of.d_k * (1 - t) - bin_of.d_kp1 * t
        product = 4 * bin_of.s_k**2 * t * (1 - t)
        # For q < 0, (root + q) (root - q) = product.
        added = tf.where(q < 0, -q, q) + tf.sqrt(q**2 + product)
        part = 2 * bin_of.s_k * t
        x = bin_of.x_k + bin_of.w_k * part / (part + tf.where(q < 0, product / added, added))
        return tf.where(bin_of.out_of_bounds, y, x)
