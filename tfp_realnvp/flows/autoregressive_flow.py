"""Flows of autoregressive layers over vectors: of any transformer, and those with a name."""

import functools
import typing
from collections.abc import Sequence
from typing import Any, Literal

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import ActNorm, BatchNorm, Bijector, Preceding
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.vectors import MakeLayer, vector_flow
from tfp_realnvp.transformers import Sigmoidal

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
      layers: number of autoregressive layers.
      inverse: whether each layer is inverted, for fast samples in place of fast densities.
      norm: "act", an `ActNorm` precedes each layer; "batch", a `BatchNorm` follows each, whose statistics move in
        `FlowModel` alone; None for none.
      **options: `transformer`, `conditioner`, `base` and others that [flows share](#options-that-flows-share).

    Raises:
      ValueError: when the shape is not a vector's, or for an unknown norm or name.

    ```python
    distribution = nvp.autoregressive_flow(event_shape=(6,), transformer="spline", layers=2)
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```
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


@composition_of(autoregressive_flow, sets="transformer inverse flow_name")
def maf(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """A masked autoregressive flow: affine autoregressive layers, the order of the entries reversed between them.

    A density costs one evaluation of each network, a sample one for each entry: the flow for density estimation. The
    paper has a batch norm after each layer: `norm="batch"`.

    Options are those of `autoregressive_flow`.

    ```python
    distribution = nvp.maf(event_shape=(6,))
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density estimation. NeurIPS 2017. arXiv 1705.07057.
    """
    return autoregressive_flow(event_shape=event_shape, flow_name="maf", **options)


@composition_of(autoregressive_flow, sets="transformer inverse norm flow_name")
def iaf(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """An inverse autoregressive flow: the layers of `maf`, each inverted.

    A sample, and its density with it (`experimental_sample_and_log_prob`), costs one evaluation of each network; the
    density of other events one for each entry: the flow for variational inference.

    Options are those of `autoregressive_flow`.

    ```python
    distribution = nvp.iaf(event_shape=(6,))
    x, log_prob = distribution.experimental_sample_and_log_prob(3, seed=1)  # [3, 6], [3]
    ```

    Kingma et al. Improved variational inference with inverse autoregressive flow. NeurIPS 2016. arXiv 1606.04934.
    """
    return autoregressive_flow(event_shape=event_shape, inverse=True, flow_name="iaf", **options)


@composition_of(autoregressive_flow, sets="transformer inverse flow_name")
def naf(
    *,
    event_shape: int | Sequence[int],
    layers: int = 3,
    components: int = 8,
    depth: int = 1,
    norm: Norm | None = "act",
    **options: Any,
) -> FlowDistribution:
    """A neural autoregressive flow: monotone networks of sigmoids, whose weights the preceding entries decide.

    A density costs one evaluation of each network, a sample one for each entry and a bisection each time.

    Args:
      components: sigmoids in each layer of an entry's monotone network.
      depth: layers of an entry's monotone network.
      **options: of `autoregressive_flow`.

    ```python
    distribution = nvp.naf(event_shape=(6,))
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    Huang, Krueger, Lacoste, Courville. Neural autoregressive flows. ICML 2018. arXiv 1804.00779.
    """
    sigmoidal = functools.partial(Sigmoidal, components, depth=depth)
    given = dict(event_shape=event_shape, layers=layers, norm=norm, flow_name="naf", **options)
    return autoregressive_flow(transformer=sigmoidal, **given)
