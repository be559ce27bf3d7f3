"""The masked autoregressive flow, and the inverse one, for vectors."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import BatchNorm, Chain, MaskedAutoregressive
from tfp_realnvp.conditioners import MaskedMLP
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.vectors import networks_policy, reverse

tfb = tfp.bijectors


def maf(
    *,
    event_shape: int | Sequence[int],
    layers: int = 5,
    hidden: Sequence[int] = (256, 256),
    batch_norm: bool = False,
    activation: str = "relu",
    context_size: int | None = None,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    name: str | None = None,
) -> FlowDistribution:
    """A masked autoregressive flow: layers of `MaskedAutoregressive`, the order of the entries reversed between them.

    A density costs one evaluation of each network, a sample one for each entry: the flow for density estimation.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of autoregressive layers.
      hidden: hidden sizes of each masked network.
      batch_norm: whether a `BatchNorm` follows each layer, as in the paper. Nothing moves its statistics when a flow is
        trained with TFP alone.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      dtype: of the flow and its log-dets.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      validate_args: whether to assert at run time that events are finite.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`.

    Raises:
      ValueError: when the shape is not that of vectors.

    #### Examples

    ```python
    distribution = nvp.maf(event_shape=(6,))
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    #### References

    Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density estimation. NeurIPS 2017. arXiv 1705.07057.
    """
    size = size_of(event_shape, least=1)
    policy = networks_policy(dtype, dtype_policy)
    steps = []
    for i in range(layers):
        if i:
            steps.append(reverse(size))
        steps.append(_layer(size, hidden, activation, context_size, dtype, policy, f"autoregressive_{i}"))
        if batch_norm:
            steps.append(BatchNorm(size, dtype=dtype, name=f"batch_norm_{i}"))
    flow = Chain(steps, name=name or "maf")
    return FlowDistribution(flow, [size], dtype=dtype, validate_args=validate_args, name=name)


def iaf(
    *,
    event_shape: int | Sequence[int],
    layers: int = 5,
    hidden: Sequence[int] = (256, 256),
    activation: str = "relu",
    context_size: int | None = None,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    name: str | None = None,
) -> FlowDistribution:
    """An inverse autoregressive flow: the layers of `maf`, each turned around.

    A sample, and its density with it (`experimental_sample_and_log_prob`), costs one evaluation of each network; the
    density of other events one for each entry: the flow for variational inference.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of autoregressive layers.
      hidden: hidden sizes of each masked network.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      dtype: of the flow and its log-dets.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      validate_args: whether to assert at run time that events are finite.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`.

    Raises:
      ValueError: when the shape is not that of vectors.

    #### Examples

    ```python
    distribution = nvp.iaf(event_shape=(6,))
    x, log_prob = distribution.experimental_sample_and_log_prob(3, seed=1)  # [3, 6], [3]
    ```

    #### References

    Kingma et al. Improved variational inference with inverse autoregressive flow. NeurIPS 2016. arXiv 1606.04934.
    """
    size = size_of(event_shape, least=1)
    policy = networks_policy(dtype, dtype_policy)
    steps = []
    for i in range(layers):
        if i:
            steps.append(reverse(size))
        layer = _layer(size, hidden, activation, context_size, dtype, policy, f"autoregressive_{i}")
        steps.append(tfb.Invert(layer))
    flow = Chain(steps, name=name or "iaf")
    return FlowDistribution(flow, [size], dtype=dtype, validate_args=validate_args, name=name)


def _layer(
    size: int,
    hidden: Sequence[int],
    activation: str,
    context_size: int | None,
    dtype: str,
    policy: str | keras.DTypePolicy,
    name: str,
) -> MaskedAutoregressive:
    network = MaskedMLP(
        hidden=hidden, activation=activation, context_size=context_size, dtype=policy, name=f"{name}_network"
    )
    network.build((None, size))
    return MaskedAutoregressive(network, size, dtype=dtype, name=name)
