"""A flow of autoregressive layers over vectors, of any transformer."""

import typing
from collections.abc import Sequence
from typing import Any, Literal

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import ActNorm, BatchNorm, Bijector, Preceding
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.vectors import MakeLayer, vector_flow

Norm = Literal["act", "batch"]


@composition_of(vector_flow, sets="least backprop")
def autoregressive_flow(
    *,
    event_shape: int | Sequence[int],
    layers: int = 5,
    inverse: bool = False,
    norm: Norm | None = None,
    dtype: str = "float32",
    flow_name: str = "autoregressive_flow",
    **options: Any,
) -> FlowDistribution:
    """Autoregressive layers over vectors, the order of the entries reversed between them.

        z = (layer_n o reverse o ... o reverse o layer_1)(x),    z ~ base

    A density costs one evaluation of each network, a sample one for each entry; with `inverse` it is the other way
    round. `maf`, `iaf` and `naf` are such flows.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of autoregressive layers.
      inverse: whether each layer is inverted, for fast samples in place of fast densities.
      norm: "act", an `ActNorm` precedes each layer; "batch", a `BatchNorm` follows each, whose statistics move in
        `FlowModel` alone; None for none.
      dtype: of the flow and its log-dets.
      flow_name: name of the flow's chain.
      **options: `transformer`, `conditioner`, `base` and others that [flows share](#options-that-flows-share).

    Raises:
      ValueError: when the shape is not a vector's, or for an unknown norm or name.

    ```python
    distribution = nvp.autoregressive_flow(event_shape=(6,), transformer="spline", layers=2)
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density estimation. NeurIPS 2017. arXiv 1705.07057.
    """
    if norm not in (None, *typing.get_args(Norm)):
        raise ValueError(f"expected norm to be one of None, {', '.join(typing.get_args(Norm))}, got {norm!r}")

    def steps(size: int, make_layer: MakeLayer) -> list[Bijector]:
        found = []
        for i in range(layers):
            if i:
                found.append(tfp.bijectors.Permute(list(range(size))[::-1], name="reverse"))
            if norm == "act":
                found.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
            layer = make_layer(Preceding(), f"autoregressive_{i}")
            found.append(tfp.bijectors.Invert(layer) if inverse else layer)
            if norm == "batch":
                found.append(BatchNorm(size, dtype=dtype, name=f"batch_norm_{i}"))
        return found

    return vector_flow(event_shape=event_shape, layers=steps, dtype=dtype, flow_name=flow_name, **options)
