"""Residual flows over vectors."""

from collections.abc import Sequence
from typing import Any, Literal

from tfp_realnvp.bijectors import ActNorm, Bijector, Residual
from tfp_realnvp.conditioners import LipschitzMLP
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers


@composition_of(flow_of_layers, sets="layers flow_name")
def residual(
    *,
    event_shape: int | Sequence[int],
    layers: int = 8,
    hidden_units: Sequence[int] = (128, 128),
    coefficient: float = 0.9,
    log_det: Literal["exact", "series", "roulette"] = "exact",
    terms: int = 4,
    norm: Literal["act"] | None = "act",
    context_size: int | None = None,
    dtype: str = "float32",
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    """A residual flow: blocks that add a contractive network to the vector.

    A density takes one evaluation of each network and one product with its Jacobian per entry, a sample about 10 to 200
    evaluations. All entries interact in each block.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of residual blocks.
      hidden_units: sizes of the hidden layers of each network.
      coefficient: Lipschitz constant of each network, between 0 and 1. Near 1 a block changes the density more, and
        samples and the methods below take longer.
      log_det: the log-det in training: "exact", "series" (biased, see `Residual.truncation_bound`) or "roulette"
        (unbiased). The estimates are cheaper for long vectors. Otherwise it is exact.
      terms: number of terms of the series that "series" and "roulette" always compute.
      norm: "act", an `ActNorm` precedes each block; None, no normalisation.
      context_size: size of the context of a conditional flow, or None for no context.
      seed: seed of the random numbers of "series" and "roulette".
      **options: `base` and other [options that flows share](#options-that-flows-share).

    Raises:
      ValueError: if the event shape is not a vector's, or for an unknown method or norm.

    ```python
    distribution = nvp.residual(event_shape=(3,), layers=2, hidden_units=(16,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Chen, Behrmann, Duvenaud, Jacobsen. Residual flows for invertible generative modeling. NeurIPS 2019. arXiv
    1906.02735.
    """
    if norm not in (None, "act"):
        raise ValueError(f"expected norm to be one of None, act, got {norm!r}")
    size = size_of(event_shape, least=1)
    found: list[Bijector] = []
    for i in range(layers):
        if norm == "act":
            found.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
        name = f"residual_{i}"
        of_network: dict[str, Any] = dict(hidden_units=hidden_units, coefficient=coefficient, context_size=context_size)
        network = LipschitzMLP(outputs=size, dtype=dtype, name=f"{name}_network", **of_network)
        network.build((None, size))
        found.append(Residual(network, size, log_det=log_det, terms=terms, seed=seed + i, name=name))
    given: dict[str, Any] = dict(context_size=context_size, dtype=dtype, **options)
    return flow_of_layers(found, event_shape=[size], flow_name="residual", **given)
