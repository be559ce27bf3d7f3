"""The neural autoregressive flow, for vectors."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfp_realnvp.bijectors import ActNorm, Chain, NeuralAutoregressive
from tfp_realnvp.conditioners import MaskedMLP
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.vectors import networks_policy, reverse


def naf(
    *,
    event_shape: int | Sequence[int],
    layers: int = 3,
    components: int = 8,
    depth: int = 1,
    hidden: Sequence[int] = (256, 256),
    act_norm: bool = True,
    activation: str = "relu",
    context_size: int | None = None,
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    name: str | None = None,
) -> FlowDistribution:
    """A neural autoregressive flow: layers of `NeuralAutoregressive`, the order of the entries reversed between them.

    A density costs one evaluation of each network, a sample one for each entry and a bisection each time.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of autoregressive layers.
      components: sigmoids in each layer of an entry's monotone network.
      depth: layers of an entry's monotone network.
      hidden: hidden sizes of each masked network.
      act_norm: whether an `ActNorm`, whose scale and shift the first batch of training sets, precedes each layer.
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
    distribution = nvp.naf(event_shape=(6,))
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    #### References

    Huang, Krueger, Lacoste, Courville. Neural autoregressive flows. ICML 2018. arXiv 1804.00779.
    """
    size = size_of(event_shape, least=1)
    steps = []
    for i in range(layers):
        if i:
            steps.append(reverse(size))
        if act_norm:
            steps.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
        network = MaskedMLP(
            outputs_per_entry=3 * components * depth,
            hidden=hidden,
            activation=activation,
            context_size=context_size,
            dtype=networks_policy(dtype, dtype_policy),
            name=f"autoregressive_{i}_network",
        )
        network.build((None, size))
        layer = NeuralAutoregressive(network, size, components=components, depth=depth, name=f"autoregressive_{i}")
        steps.append(layer)
    flow = Chain(steps, name=name or "naf")
    return FlowDistribution(flow, [size], dtype=dtype, validate_args=validate_args, name=name)
