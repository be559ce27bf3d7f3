"""Block neural autoregressive flows over vectors."""

from collections.abc import Sequence
from typing import Any, Literal

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import ActNorm, BlockAutoregressive
from tfp_realnvp.conditioners import MLP
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers


@composition_of(flow_of_layers, sets="layers flow_name")
def bnaf(
    *,
    event_shape: int | Sequence[int],
    layers: int = 3,
    units: int = 8,
    depth: int = 2,
    inverse: bool = False,
    norm: Literal["act"] | None = "act",
    context_size: int | None = None,
    dtype: str = "float32",
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    """A block neural autoregressive flow: masked networks that are themselves monotone in each entry.

    Each layer is one network, where `naf` has a network that computes another one's weights. A density takes one
    evaluation of each, a sample one evaluation and a bisection per entry, of its own hidden units. The order of the
    entries is reversed between layers.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of autoregressive layers.
      units: number of hidden units of each entry in each hidden layer.
      depth: number of hidden layers of each network.
      inverse: whether to invert each layer, for fast samples instead of fast densities.
      norm: "act", an `ActNorm` precedes each layer; None, no normalisation.
      context_size: size of the context of a conditional flow, which shifts the hidden units of the first hidden layers
        linearly; or None for no context.
      seed: seed of the initial weights.
      **options: `base` and other [options that flows share](#options-that-flows-share).

    Raises:
      ValueError: if the event shape is not a vector's, for an unknown norm, or fewer than 1 unit or hidden layer.

    ```python
    distribution = nvp.bnaf(event_shape=(3,), layers=2)
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    De Cao, Titov, Aziz. Block neural autoregressive flow. UAI 2019. arXiv 1904.04676.
    """
    if norm not in (None, "act"):
        raise ValueError(f"expected norm to be one of None, act, got {norm!r}")
    size = size_of(event_shape, least=1)
    found: list[tfp.bijectors.Bijector] = []
    for i in range(layers):
        if i:
            found.append(tfp.bijectors.Permute(list(range(size))[::-1], name="reverse"))
        if norm == "act":
            found.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
        name, conditioner = f"block_autoregressive_{i}", None
        if context_size is not None:
            of_network: dict[str, Any] = dict(hidden_units=(), context_size=context_size, dtype=dtype)
            conditioner = MLP(outputs=size * units, name=f"{name}_context", **of_network)
            conditioner.build((None, 0))
        of_layer: dict[str, Any] = dict(units=units, depth=depth, seed=seed + i, dtype=dtype)
        layer = BlockAutoregressive(size, conditioner=conditioner, name=name, **of_layer)
        found.append(tfp.bijectors.Invert(layer) if inverse else layer)
    given: dict[str, Any] = dict(context_size=context_size, dtype=dtype, **options)
    return flow_of_layers(found, event_shape=[size], flow_name="bnaf", **given)
