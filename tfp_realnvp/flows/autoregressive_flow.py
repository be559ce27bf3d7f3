"""Autoregressive flows over vectors: the general builder, MAF, IAF and NAF."""

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
    """Autoregressive layers over vectors, with the order of the entries reversed between layers.

        z = (layer_n o reverse o ... o reverse o layer_1)(x),    z ~ base

    A density takes one evaluation of each network, a sample one evaluation per entry; `inverse` exchanges the two.
    `maf`, `iaf` and `naf` are such flows.

    Args:
      layers: number of autoregressive layers.
      inverse: whether to invert each layer, for fast samples instead of fast densities.
      norm: "act", an `ActNorm` precedes each layer; "batch", a `BatchNorm` follows each layer, whose statistics are
        updated only by `FlowModel`; None, no normalisation.
      **options: `transformer`, `conditioner`, `base` and other [options that flows share](#options-that-flows-share).

    Raises:
      ValueError: if the event shape is not a vector's, or for an unknown norm or name.

    ```python
    distribution = nvp.autoregressive_flow(event_shape=(6,), transformer="spline", layers=2)
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```
    """
    if norm not in (None, *typing.get_args(Norm)):
        raise ValueError(f"expected norm to be one of None, {', '.join(typing.get_args(Norm))}, got {norm!r}")

    def steps(size: int, make_layer: MakeLayer) -> list[Bijector]:
        found, order = [], list(range(size))
        for i in range(layers):
            if i:
                found.append(tfp.bijectors.Permute(list(range(size))[::-1], name="reverse"))
                order = order[::-1]
            if norm == "act":
                found.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
            layer = make_layer(Preceding(), f"autoregressive_{i}", order)
            found.append(tfp.bijectors.Invert(layer) if inverse else layer)
            if norm == "batch":
                found.append(BatchNorm(size, dtype=dtype, name=f"batch_norm_{i}"))
        return found

    return vector_flow(event_shape=event_shape, layers=steps, dtype=dtype, flow_name=flow_name, **options)


@composition_of(autoregressive_flow, sets="transformer inverse flow_name")
def maf(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """A masked autoregressive flow: affine autoregressive layers that reverse the order of the entries in between.

    A density takes one evaluation of each network, a sample one evaluation per entry, so it suits density estimation.
    The paper puts a batch norm after each layer: `norm="batch"`.

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
    """An inverse autoregressive flow: the inverses of the layers of `maf`.

    A sample together with its density (`experimental_sample_and_log_prob`) takes one evaluation of each network, the
    density of other events one evaluation per entry, so it suits variational inference.

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
    """A neural autoregressive flow: monotone sigmoid networks whose weights are computed from the preceding entries.

    A density takes one evaluation of each network, a sample one evaluation and one bisection per entry.

    Args:
      components: number of sigmoids in each layer of the monotone network.
      depth: number of layers of the monotone network.
      **options: options of `autoregressive_flow`.

    ```python
    distribution = nvp.naf(event_shape=(6,))
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    Huang, Krueger, Lacoste, Courville. Neural autoregressive flows. ICML 2018. arXiv 1804.00779.
    """
    sigmoidal = functools.partial(Sigmoidal, components, depth=depth)
    given = dict(event_shape=event_shape, layers=layers, norm=norm, flow_name="naf", **options)
    return autoregressive_flow(transformer=sigmoidal, **given)
