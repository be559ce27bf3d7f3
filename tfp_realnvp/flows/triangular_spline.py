"""Triangular spline flows over vectors."""

from collections.abc import Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import ActNorm, Elementwise, InvertibleLinear
from tfp_realnvp.conditioners import MLP
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers
from tfp_realnvp.transformers import RationalQuadraticSpline, Shift


@composition_of(flow_of_layers, sets="layers flow_name")
def triangular_spline(
    *,
    event_shape: int | Sequence[int],
    layers: int = 8,
    bins: int = 8,
    bound: float = 3.0,
    context_size: int | None = None,
    dtype: str = "float32",
    **options: Any,
) -> FlowDistribution:
    """A triangular spline flow: triangular matrices, and a spline for each entry.

        z = (spline_n o L_n o reverse o ... o reverse o spline_1 o L_1)(x),    z ~ base

    There is no network, and both directions have closed forms. An `ActNorm` precedes each spline, so that the first
    training batch lies about its bound. In FlowJAX, where the flow comes from, the splines act on the `tanh` of the
    entries, and the matrices have weight normalisation.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of matrices, and of splines per entry.
      bins: number of bins of each spline.
      bound: each spline covers [-bound, bound] and is the identity outside.
      context_size: size of the context of a conditional flow, which shifts the entries linearly in each layer; or None
        for no context.
      **options: `base` and other [options that flows share](#options-that-flows-share).

    Raises:
      ValueError: if the event shape is not a vector's, or for bins or a bound that the spline refuses.

    ```python
    distribution = nvp.triangular_spline(event_shape=(3,), layers=2)
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Ward. FlowJAX: distributions and normalizing flows in JAX, `triangular_spline_flow`. 2022.
    """
    size = size_of(event_shape, least=1)
    found: list[tfp.bijectors.Bijector] = []
    for i in range(layers):
        if i:
            found.append(tfp.bijectors.Permute(list(range(size))[::-1], name="reverse"))
        found.append(InvertibleLinear(size, form="triangular", dtype=dtype, name=f"triangular_{i}"))
        if context_size is not None:
            name = f"context_{i}"
            of_network: dict[str, Any] = dict(hidden_units=(), context_size=context_size, dtype=dtype)
            network = MLP(outputs=size, name=f"{name}_network", **of_network)
            network.build((None, 0))
            found.append(Elementwise(Shift(), [size], network, dtype=dtype, name=name))
        found.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
        found.append(Elementwise(RationalQuadraticSpline(bins, bound), [size], dtype=dtype, name=f"spline_{i}"))
    given: dict[str, Any] = dict(context_size=context_size, dtype=dtype, **options)
    return flow_of_layers(found, event_shape=[size], flow_name="triangular_spline", **given)
