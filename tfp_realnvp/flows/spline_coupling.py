"""The neural spline flow with coupling layers, for vectors."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfp_realnvp.bijectors import ActNorm, Chain, InvertibleLinear, SplineCoupling
from tfp_realnvp.conditioners import MLP
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.vectors import half, networks_policy, odd_entries_first


def spline_coupling(
    *,
    event_shape: int | Sequence[int],
    couplings: int = 8,
    bins: int = 8,
    bound: float = 3.0,
    hidden: Sequence[int] = (256, 256),
    act_norm: bool = True,
    linear: bool = True,
    activation: str = "relu",
    context_size: int | None = None,
    backprop: str = "store",
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    seed: int = 0,
    name: str | None = None,
) -> FlowDistribution:
    """A neural spline flow: rational-quadratic spline couplings, a learned linear map before each.

    Splines bend [-bound, bound] and leave the rest as it is: with `act_norm`, the first batch of training sets a scale
    and shift that bring the data there; without, standardise them.

    Args:
      event_shape: `[size]`, or the size.
      couplings: number of couplings, of alternating patterns.
      bins: pieces of each spline.
      bound: where splines end.
      hidden: hidden sizes of each MLP.
      act_norm: whether the flow begins with an `ActNorm`.
      linear: whether an `InvertibleLinear` precedes each coupling.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      backprop: of `Chain`, how much memory training takes.
      dtype: of the flow and its log-dets.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      validate_args: whether to assert at run time that events are finite.
      seed: of the linear maps' first rotations.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`.

    Raises:
      ValueError: when the shape is not that of vectors of at least 2 entries.

    #### Examples

    ```python
    distribution = nvp.spline_coupling(event_shape=(6,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    #### References

    Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019. arXiv 1906.04032.
    """
    size = size_of(event_shape)
    layers = [ActNorm(size, dtype=dtype, name="act_norm")] if act_norm else []
    if not linear:  # Linear maps mix whatever the order.
        layers.append(odd_entries_first(size))
    for i in range(couplings):
        mask = half(i)
        network = MLP(
            outputs=(3 * bins - 1) * mask.changed_size(size),
            hidden=hidden,
            activation=activation,
            context_size=context_size,
            dtype=networks_policy(dtype, dtype_policy),
            name=f"coupling_{i}_network",
        )
        network.build((None, mask.kept_size(size)))
        if linear:
            layers.append(InvertibleLinear(size, seed=seed + i, dtype=dtype, name=f"linear_{i}"))
        layers.append(SplineCoupling(network, mask, bins=bins, bound=bound, name=f"coupling_{i}"))
    flow = Chain(layers, backprop=backprop, name=name or "spline_coupling")
    return FlowDistribution(flow, [size], dtype=dtype, validate_args=validate_args, name=name)
