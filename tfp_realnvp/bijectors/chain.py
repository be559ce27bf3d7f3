"""Composition of layers."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import private
from tfp_realnvp.bijectors.backprop import MODES, Backward, without_activations
from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.layer import Layer, Leaf, as_layer, check_parameters, parameter_shape


class Chain(Bijector):
    """Applies bijectors from first to last, from data to latent.

        forward:  z = f_n(... f_2(f_1(x)))
        inverse:  x = f_1^{-1}(... f_n^{-1}(z))
        log|det df/dx| = sum of the log-dets of the layers

    `tfb.Chain` lists its bijectors in the opposite order. Every layer is evaluated once. Each layer except TFP's own
    bijectors receives the context.

    Args:
      bijectors: the layers, any `tfb.Bijector`s, in data-to-latent order; at least one.
      backprop: what the forward pass stores for the backward pass; the gradients do not depend on it.

        * "store": every activation, as TensorFlow does.
        * "remat": each layer's input, from which the layer is recomputed. The last two layers with networks are stored.
        * "invert": only the output, from which `Coupling` and `BatchNorm` recompute their inputs. Any other layer
          stores its input. Memory does not grow with the number of couplings; rounding errors do.

        In the last two, a conditioner whose activations are not stored is evaluated twice per step, both times with the
        same mode, moving moments and dropout seeds. The outermost chain's setting applies. Gradients reach the input,
        the context and variables, but neither tensors from which a layer was made nor losses added by a conditioner. A
        second-order gradient raises a `LookupError`. The inverse pass always stores activations.

    Raises:
      TypeError: for anything but bijectors.
      ValueError: if there is no layer, or `backprop` is unknown.

    ```python
    flow = nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(), nvp.bijectors.Squeeze("diagonal")])
    z, log_det = flow.forward_and_log_det(tf.fill([2, 8, 8, 3], 100.0))
    ```
    """

    def __init__(self, bijectors: Iterable[tfp.bijectors.Bijector], *, backprop: str = "store", name: str = "chain"):
        bijectors = list(bijectors)
        if not bijectors:
            raise ValueError("expected at least one bijector, got none")
        for bijector in bijectors:
            if not isinstance(bijector, tfp.bijectors.Bijector):
                raise TypeError(f"expected bijectors, got {bijector!r} (a FlowDistribution's is its flow)")
        if backprop not in MODES:
            raise ValueError(f"expected backprop to be one of {', '.join(MODES)}, got {backprop!r}")
        # Parameters of TFP's bijectors that differ between entries make those the entries of an event.
        self._shapes = [parameter_shape(bijector) for bijector in bijectors]
        least = [max(b.forward_min_event_ndims, b.inverse_min_event_ndims) for b in bijectors]
        event_ndims = max(ndims + shape.rank for ndims, shape in zip(least, self._shapes))
        super().__init__(event_ndims=event_ndims, name=name)
        self.backprop = backprop
        self.bijectors = bijectors

    def _forward_event_shape(self, shape: Any) -> Any:
        for bijector, of_parameters in zip(self.bijectors, self._shapes):
            check_parameters(bijector, of_parameters, shape, bijector.forward_min_event_ndims)
            shape = bijector.forward_event_shape(shape)
        return shape

    def _inverse_event_shape(self, shape: Any) -> Any:
        for bijector, of_parameters in zip(reversed(self.bijectors), reversed(self._shapes)):
            check_parameters(bijector, of_parameters, shape, bijector.inverse_min_event_ndims)
            shape = bijector.inverse_event_shape(shape)
        return shape

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return functools.reduce(lambda shape, b: b.forward_event_shape_tensor(shape), self.bijectors, shape)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return functools.reduce(lambda shape, b: b.inverse_event_shape_tensor(shape), reversed(self.bijectors), shape)

    @property
    def _layers(self) -> list[Layer]:
        return [as_layer(bijector, self.forward_min_event_ndims) for bijector in self.bijectors]

    def leaves(
        self, event_shape: Any = None, *, path: tuple[tfp.bijectors.Bijector, ...] = (), is_inverse: bool = False
    ) -> Iterator[Leaf]:
        for layer in reversed(self._layers) if is_inverse else self._layers:
            yield from layer.leaves(event_shape, path=(*path, self), is_inverse=is_inverse)
            event_shape = layer.shape_after(event_shape, is_inverse)

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        # Without a recording tape, build a plain graph: exports keep their gradient, and inference costs nothing extra.
        if self.backprop != "store" and (training or private.is_recording()):
            if self.backprop == "remat":
                return self._forward_with_inputs(x, context, training)
            return without_activations(self._forward_and_kept, self._backward, x, context, training, inverts=True)
        total = 0.0
        for layer in self._layers:
            x, log_det = layer._forward_and_log_det(x, context, training)
            total += self._for_each_event(log_det)
        return x, total

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        total = 0.0
        for layer in reversed(self._layers):
            z, log_det = layer._inverse_and_log_det(z, context, training)
            total += self._for_each_event(log_det)
        return z, total

    @property
    def networks(self) -> float:
        return sum(layer.networks for layer in self._layers)

    def _first_stored(self) -> int:
        """The index of the first layer that "remat" stores: one of the last couplings, or their container."""
        # Each scale halves the activations of a coupling, so the last two together hold no more than the first.
        networks = 0.0
        for i, layer in reversed(list(enumerate(self._layers))):
            networks += layer.networks
            if networks >= 2:
                return i
        return 0

    def _forward_with_inputs(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        """The pass of "remat". The activations of the last layers are freed before any other layer is recomputed."""
        first, total = self._first_stored(), 0.0
        if first:
            layers = self._layers[:first]
            forward = functools.partial(self._forward_and_kept, layers=layers)
            backward = functools.partial(self._backward, layers=layers)
            x, total = without_activations(forward, backward, x, context, training, inverts=False)
        for layer in self._layers[first:]:
            x, log_det = layer._forward_with_inputs(x, context, training)
            total += self._for_each_event(log_det)
        return x, total

    def _forward_and_kept(
        self,
        x: tf.Tensor,
        context: tf.Tensor | None,
        training: bool,
        inverts: bool,
        layers: Sequence[Layer] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        total, all_kept = 0.0, []
        for layer in self._layers if layers is None else layers:
            x, log_det, kept = layer._forward_and_kept(x, context, training, inverts)
            total += self._for_each_event(log_det)
            all_kept.append(kept)
        return x, total, all_kept

    def _backward(
        self,
        z: tf.Tensor,
        kept: Any,
        dz: tf.Tensor,
        dlog_det: tf.Tensor,
        backward: Backward,
        layers: Sequence[Layer] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        layers = self._layers if layers is None else layers
        for layer, kept_of_layer in zip(reversed(layers), reversed(kept), strict=True):
            z, dz = layer._backward(z, kept_of_layer, dz, dlog_det, backward)
        return z, dz

    def _for_each_event(self, log_det: tf.Tensor) -> tf.Tensor:
        """Sums the entrywise log-det of an elementwise layer."""
        if log_det.shape.rank == 0:
            raise ValueError(f"{self.name}: expected layers with a log-det for each event, got one number for all")
        if self.forward_min_event_ndims == 0 or log_det.shape.rank == 1:
            return log_det
        return tf.reduce_sum(log_det, axis=list(range(1, log_det.shape.rank)))
