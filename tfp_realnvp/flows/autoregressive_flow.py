"""A flow of autoregressive layers over vectors, of any transformer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import ActNorm, Autoregressive, BatchNorm, Chain, Preceding
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.networks import MakeConditioner, MakeTransformer, conditioner_maker, networks_policy
from tfp_realnvp.flows.vectors import reverse
from tfp_realnvp.transformers import Affine

NORMS = (None, "act", "batch")


def autoregressive_flow(
    *,
    event_shape: int | Sequence[int],
    transformer: MakeTransformer = Affine,
    conditioner: str | MakeConditioner = "mlp",
    base: tfp.distributions.Distribution | None = None,
    layers: int = 5,
    inverse: bool = False,
    norm: str | None = None,
    hidden_units: Sequence[int] = (256, 256),
    activation: str = "relu",
    context_size: int | None = None,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    flow_name: str = "autoregressive_flow",
    name: str | None = None,
) -> FlowDistribution:
    """Autoregressive layers over vectors, the order of the entries reversed between them.

        z = (layer_n o reverse o ... o reverse o layer_1)(x),    z ~ base

    A density costs one evaluation of each network, a sample one for each entry; with `inverse` it is the other way
    round. `maf`, `iaf` and `naf` are such flows.

    Args:
      event_shape: `[size]`, or the size.
      transformer: a class of `tfp_realnvp.transformers`, or a callable without arguments that makes one.
      conditioner: "mlp", a `MaskedMLP`; or a function of a mask, the number of entries and the size of the output's
        last axis, which returns a built Keras layer that respects the order of the entries; see `Autoregressive`.
      base: distribution of the latent, of this event shape; standard normal by default. What it learns must be
        `tf.Variable`s, which train with the flow.
      layers: number of autoregressive layers.
      inverse: whether each layer is inverted, for fast samples in place of fast densities.
      norm: "act", an `ActNorm` precedes each layer; "batch", a `BatchNorm` follows each, whose statistics move in
        `FlowModel` alone; None for none.
      hidden_units: sizes of the hidden layers of each masked network.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      dtype: of the flow and its log-dets.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      validate_args: whether to assert at run time that events are finite.
      flow_name: name of the flow's chain.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`.

    Raises:
      ValueError: when the shape is not a vector's, or for an unknown norm.

    #### Examples

    ```python
    spline = nvp.transformers.RationalQuadraticSpline
    distribution = nvp.autoregressive_flow(event_shape=(6,), transformer=spline, layers=2)
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    #### References

    Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density estimation. NeurIPS 2017. arXiv 1705.07057.
    """
    size = size_of(event_shape, least=1)
    if norm not in NORMS:
        raise ValueError(f"expected norm to be one of {', '.join(map(str, NORMS))}, got {norm!r}")
    make_conditioner = conditioner_maker(
        conditioner,
        event_ndims=1,
        hidden_units=hidden_units,
        activation=activation,
        context_size=context_size,
        dtype=networks_policy(dtype, dtype_policy),
    )
    steps = []
    for i in range(layers):
        step = f"autoregressive_{i}"
        if i:
            steps.append(reverse(size))
        if norm == "act":
            steps.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
        scalar_map = transformer()
        network = make_conditioner(Preceding(), size, scalar_map.outputs * size, name=f"{step}_network")
        layer = Autoregressive(scalar_map, network, size, dtype=dtype, name=step)
        steps.append(tfp.bijectors.Invert(layer) if inverse else layer)
        if norm == "batch":
            steps.append(BatchNorm(size, dtype=dtype, name=f"batch_norm_{i}"))
    flow = Chain(steps, name=name or flow_name)
    return FlowDistribution(flow, [size], base=base, dtype=dtype, validate_args=validate_args, name=name)
