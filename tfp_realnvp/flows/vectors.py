"""Flows over vectors whose layers transform some entries with parameters computed from others."""

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow_probability as tfp

from tfp_realnvp import private
from tfp_realnvp.bijectors import Autoregressive, Coupling, Mask
from tfp_realnvp.conditioners.network import checked_angles
from tfp_realnvp.flows.angles import AnglesAndNormals
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers
from tfp_realnvp.flows.networks import MakeConditioner, MakeTransformer, check_read, layer_maker, transformer_of
from tfp_realnvp.transformers import ByEntry, CircularSpline, Transformer

# Maps a mask, a name, and which entry of the data stands at each position of the layer's input, to a layer.
MakeLayer = Callable[[Mask, str, Sequence[int]], Coupling | Autoregressive]


@composition_of(flow_of_layers, sets="layers")
def vector_flow(
    *,
    event_shape: int | Sequence[int],
    layers: Callable[[int, MakeLayer], Sequence[tfp.bijectors.Bijector]],
    least: int = 1,
    transformer: str | MakeTransformer = "affine",
    conditioner: str | MakeConditioner = "mlp",
    hidden_units: Sequence[int] = (256, 256),
    activation: str = "relu",
    context_size: int | None = None,
    circular: Sequence[int] = (),
    circular_bins: int = 8,
    base: str | tfp.distributions.Distribution | None = None,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    **options: Any,
) -> FlowDistribution:
    """The common builder of coupling flows and autoregressive flows.

    Args:
      event_shape: `[size]`, or the size.
      layers: returns all layers, given the size and a function that maps a mask, a name, and the entry of the data at
        each position to a `Coupling` or `Autoregressive` layer.
      least: the smallest size allowed.
      transformer: "affine", "shift", "spline", "linear_spline", "quadratic_spline", "sigmoidal", "bernstein",
        "sum_of_squares" or "unconstrained_monotonic", with options in parentheses and "+" for composition, such as
        "sigmoidal(components=4) + affine"; or a callable without arguments that returns a transformer.
      conditioner: "mlp"; "residual", blocks of dense layers; "attention" between the entries, with options in
        parentheses such as "attention(width=32, blocks=1)"; or a function of a mask, the number of entries and the size
        of the output's last axis, which returns a built Keras layer. In an autoregressive layer it must respect the
        order of the entries.
      hidden_units: sizes of the hidden layers of each MLP; no other conditioner reads it.
      activation: activation of the networks.
      context_size: size of the context of a conditional flow, or None for no context.
      circular: entries that are angles in radians. The density has the period 2 pi in each. A `CircularSpline`
        transforms them, MLPs read their cosine and sine, and the default base is uniform on the circle. A conditioner
        or base of your own must have this period itself. Samples lie in [-pi, pi].
      circular_bins: number of bins of each circular spline.
      dtype_policy: policy of the networks; by default the global Keras policy, or `dtype` if that is not float32.
      **options: options of `flow_of_layers`.
    """
    try:
        hidden_units = tuple(operator.index(units) for units in hidden_units)  # Keras takes no integers of NumPy's.
    except TypeError:
        raise TypeError(
            f"expected hidden_units to be a size for each layer, such as (64, 64), got {hidden_units!r}"
        ) from None
    if min(hidden_units, default=1) < 1:
        raise ValueError(f"expected hidden_units of 1 or more, got {hidden_units}")
    if context_size is not None and context_size < 1:
        raise ValueError(f"expected a context_size of 1 or more, or None, got {context_size}")
    size = size_of(event_shape, least)
    circular = checked_angles(circular, size)
    if not circular and circular_bins != inspect.signature(vector_flow).parameters["circular_bins"].default:
        raise ValueError(f"expected circular entries for circular_bins, got none beside {circular_bins} bins")
    if circular and isinstance(base, str):
        raise ValueError(f"expected no named base with circular entries, got {base!r}: None is uniform on the circle")
    if circular and isinstance(conditioner, str) and conditioner.startswith("attention"):
        raise ValueError(
            f'expected the conditioner "mlp", "residual" or a function with circular entries, got {conditioner!r}'
        )
    of_network: dict[str, Any] = dict(hidden_units=hidden_units, activation=activation)
    check_read(vector_flow, conditioner, 1, **of_network)
    of_network["context_size"] = context_size
    make = layer_maker(conditioner, event_ndims=1, dtype=dtype, dtype_policy=dtype_policy, **of_network)

    latent_order = list(range(size))

    def make_layer(mask: Mask, name: str, order: Sequence[int]) -> Coupling | Autoregressive:
        latent_order[:] = order
        is_angle = np.isin(order, circular)[np.newaxis]
        read, changed = (tuple(np.flatnonzero(part(is_angle)).tolist()) for part in (mask.kept, mask.changed))

        def make_transformer() -> Transformer:
            if len(changed) == mask.changed_size(size):
                return CircularSpline(circular_bins)
            rest = transformer_of(transformer)
            return ByEntry(changed, CircularSpline(circular_bins), rest) if changed else rest

        return make(make_transformer, mask, size, name, **({"circular": read} if circular else {}))

    found = layers(size, make_layer)
    if circular:
        _check_that_angles_stay(found)
        if base is None:
            base = AnglesAndNormals(np.isin(latent_order, circular), dtype)
    given = dict(event_shape=[size], base=base, context_size=context_size, dtype=dtype, **options)
    return flow_of_layers(found, **given)


def _check_that_angles_stay(layers: Sequence[tfp.bijectors.Bijector]) -> None:
    for layer in layers:
        inner = layer.bijector if isinstance(layer, private.Invert) else layer
        if not isinstance(inner, (Autoregressive, Coupling, tfp.bijectors.Permute)):
            raise ValueError(
                "expected layers that map angles to angles with circular entries: no linear map and no norm "
                f'(mix="alternate", norm=None), got {inner.name}'
            )
