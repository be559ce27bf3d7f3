"""NICE, for vectors."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfp_realnvp.bijectors import ActNorm, AdditiveCoupling, Chain
from tfp_realnvp.conditioners import MLP
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.vectors import half, networks_policy, odd_entries_first


def nice(
    *,
    event_shape: int | Sequence[int],
    couplings: int = 4,
    hidden: Sequence[int] = (256, 256),
    activation: str = "relu",
    context_size: int | None = None,
    backprop: str = "store",
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    name: str | None = None,
) -> FlowDistribution:
    """NICE: additive couplings in alternating patterns, then one scale and shift for each entry.

    The last layer is an `ActNorm`, whose scale the first batch of training sets. The paper's prior is logistic; this
    one is Gaussian, as that of all flows here.

    Args:
      event_shape: `[size]`, or the size.
      couplings: number of couplings; with fewer than 3 some entries reach others not at all.
      hidden: hidden sizes of each MLP.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      backprop: of `Chain`, how much memory training takes.
      dtype: of the flow and its log-dets.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      validate_args: whether to assert at run time that events are finite.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`.

    Raises:
      ValueError: when the shape is not that of vectors of at least 2 entries.

    #### Examples

    ```python
    distribution = nvp.nice(event_shape=(6,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    #### References

    Dinh, Krueger, Bengio. NICE: non-linear independent components estimation. ICLR workshop 2015. arXiv 1410.8516.
    """
    size = size_of(event_shape)
    layers = [odd_entries_first(size)]
    for i in range(couplings):
        mask = half(i)
        network = MLP(
            outputs=mask.changed_size(size),
            hidden=hidden,
            activation=activation,
            context_size=context_size,
            dtype=networks_policy(dtype, dtype_policy),
            name=f"coupling_{i}_network",
        )
        network.build((None, mask.kept_size(size)))
        layers.append(AdditiveCoupling(network, mask, name=f"coupling_{i}"))
    layers.append(ActNorm(size, dtype=dtype, name="scale"))
    flow = Chain(layers, backprop=backprop, name=name or "nice")
    return FlowDistribution(flow, [size], dtype=dtype, validate_args=validate_args, name=name)
