"""The coupling layer."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors.backprop import Backward, state_of
from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.masks import Mask
from tfp_realnvp.bijectors.structure import Structure
from tfp_realnvp.transformers import Transformer
from tfp_realnvp.transformers.transformer import checked


class Coupling(Structure):
    """Transforms each entry of one part of an event, with parameters computed from the other part.

    With `x_a` the kept and `x_b` the changed entries:

        forward:  z_a = x_a,  z_b = f(x_b; conditioner(x_a)),  f increasing in each entry
        inverse:  x_a = z_a,  x_b = f^{-1}(z_b; conditioner(z_a))
        log|det df/dx| = sum over the changed entries of log f'

    Both directions cost one evaluation of the conditioner, since its input `x_a = z_a` is the same.

    Args:
      transformer: the map f of each changed entry, such as `tfp_realnvp.transformers.Affine()`.
      conditioner: a built Keras layer or any callable, from `mask.kept(x)` to `[batch, ..., transformer.outputs *
        changed entries]`: the first parameter of all entries, then the second, and so on. A layer is called with
        `training=`, and with `context=` if the flow has a context. Wrap a callable's `tf.Variable`s in a `tf.Module`.
      mask: which entries are kept: `Checkerboard`, `ChannelHalves`, `Halves` or `Alternating`.

    Raises:
      TypeError: if the transformer is not an instance of `Transformer` (a class, for example, is not).
      ValueError: if the shape of the conditioner's output does not match the changed part.

    ```python
    affine = nvp.transformers.Affine()
    conditioner = nvp.conditioners.MLP(outputs=affine.outputs)
    conditioner.build([None, 1])
    coupling = nvp.bijectors.Coupling(affine, conditioner, nvp.bijectors.Alternating(parity=0))
    z, log_det = coupling.forward_and_log_det(tf.constant([[0.5, -1.0]]))
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. arXiv 1605.08803, sections 3.2 to 3.4.
    """

    def __init__(
        self,
        transformer: Transformer,
        conditioner: Callable[..., tf.Tensor],
        mask: Mask,
        *,
        dtype: str = "float32",
        name: str = "coupling",
    ):
        super().__init__(transformer, conditioner, mask, dtype=dtype, name=name)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._solve(z, self._raw(z, context, training))

    def _solve(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        changed = self.mask.changed(z)
        changed, log_slope = checked(changed, self.transformer.inverse(changed, raw), self.transformer)
        return self.mask.combine(z, changed), self.mask.sum(log_slope)

    def _forward_and_kept(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool, inverts: bool
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        if not inverts:
            return super()._forward_and_kept(x, context, training, inverts)
        state = state_of(self.layers)
        return *self._forward_and_log_det(x, context, training), state

    def _backward(
        self, z: tf.Tensor, kept: Any, dz: tf.Tensor, dlog_det: tf.Tensor, backward: Backward
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if not backward.inverts:
            return super()._backward(z, kept, dz, dlog_det, backward)
        # The kept entries are equal in z and x, so one evaluation serves the inverse and the gradient.
        z = backward.after_later_layers(z, dz)
        raw, network_tape = backward.evaluate(self._raw, z, kept)
        x = self._solve(z, raw)[0]
        with tf.GradientTape() as tape:
            tape.watch([x, raw])
            outputs = self._transform(x, raw)
        dx, draw = backward.gradients(tape, outputs, [dz, dlog_det], x, raw)
        (of_network,) = backward.gradients(network_tape, [raw], [draw], z)
        return x, dx + of_network
