"""Continuous flows over vectors."""

from collections.abc import Sequence
from typing import Any, Literal

from tfp_realnvp.bijectors import ActNorm, Bijector, Continuous
from tfp_realnvp.conditioners import VelocityMLP
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers


@composition_of(flow_of_layers, sets="layers flow_name")
def ffjord(
    *,
    event_shape: int | Sequence[int],
    layers: int = 1,
    hidden_units: Sequence[int] = (64, 64),
    steps: int = 20,
    trace: Literal["exact", "hutchinson"] = "exact",
    norm: Literal["act"] | None = "act",
    context_size: int | None = None,
    dtype: str = "float32",
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    """A continuous flow: the vector moves along a learned velocity field, by an ordinary differential equation.

    A density and a sample each take 4 evaluations of the network per step of the solver. Both are approximations whose
    errors fall with `steps^-4`: `Continuous.error` estimates them. All entries interact.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of velocity fields in sequence.
      hidden_units: sizes of the hidden layers of each network. With one or two the trace has a closed form.
      steps: number of steps of the solver, for each field.
      trace: the trace of the Jacobian in training: "exact", or "hutchinson", an unbiased estimate that is cheaper for
        three and more hidden layers. Otherwise it is exact.
      norm: "act", an `ActNorm` precedes each field; None, no normalisation.
      context_size: size of the context of a conditional flow, or None for no context.
      seed: seed of the random vectors of "hutchinson".
      **options: `base` and other [options that flows share](#options-that-flows-share).

    Raises:
      ValueError: if the event shape is not a vector's, for an unknown trace or norm, or fewer than 1 step.

    ```python
    distribution = nvp.ffjord(event_shape=(3,), hidden_units=(16, 16))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud. FFJORD: free-form continuous dynamics for scalable reversible
    generative models. ICLR 2019. arXiv 1810.01367.
    """
    if norm not in (None, "act"):
        raise ValueError(f"expected norm to be one of None, act, got {norm!r}")
    size = size_of(event_shape, least=1)
    found: list[Bijector] = []
    for i in range(layers):
        if norm == "act":
            found.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
        name = f"continuous_{i}"
        of_network: dict[str, Any] = dict(hidden_units=hidden_units, context_size=context_size, dtype=dtype)
        network = VelocityMLP(outputs=size, name=f"{name}_network", **of_network)
        network.build((None, size))
        found.append(Continuous(network, size, steps=steps, trace=trace, seed=seed + i, name=name))
    given: dict[str, Any] = dict(context_size=context_size, dtype=dtype, **options)
    return flow_of_layers(found, event_shape=[size], flow_name="ffjord", **given)
