"""A flow of couplings over vectors, of any transformer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import ActNorm, BatchNorm, Chain, Coupling, InvertibleLinear
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.networks import MakeConditioner, MakeTransformer, conditioner_maker, networks_policy
from tfp_realnvp.flows.vectors import half, odd_entries_first
from tfp_realnvp.transformers import Affine

MIXES = ("alternate", "linear")
NORMS = (None, "act", "act_first", "act_last", "batch")


def coupling_flow(
    *,
    event_shape: int | Sequence[int],
    transformer: MakeTransformer = Affine,
    conditioner: str | MakeConditioner = "mlp",
    base: tfp.distributions.Distribution | None = None,
    couplings: int = 8,
    mix: str = "alternate",
    linear_form: str = "lu",
    norm: str | None = None,
    rho: float | None = None,
    hidden_units: Sequence[int] = (256, 256),
    activation: str = "relu",
    context_size: int | None = None,
    backprop: str = "store",
    dtype: str = "float32",
    dtype_policy: str | keras.DTypePolicy | None = None,
    validate_args: bool = False,
    seed: int = 0,
    flow_name: str = "coupling_flow",
    name: str | None = None,
) -> FlowDistribution:
    """Couplings over vectors, one after the other: each half is transformed, with parameters computed from the other.

        z = (coupling_n o mix_n o ... o coupling_1 o mix_1)(x),    z ~ base

    `real_nvp`, `nice`, `nsf` and `flowpp` of vectors are such flows.

    Args:
      event_shape: `[size]` of at least 2 entries, or the size.
      transformer: a class of `tfp_realnvp.transformers`, or a callable without arguments that makes one.
      conditioner: "mlp", or a function of a mask, the number of entries and the size of the output's last axis, which
        returns a built Keras layer; see `Coupling`.
      base: distribution of the latent, of this event shape; standard normal by default. What it learns must be
        `tf.Variable`s, which train with the flow.
      couplings: number of couplings.
      mix: "alternate", couplings change even and odd entries in turn; or "linear", an `InvertibleLinear` precedes each
        coupling.
      linear_form: of `InvertibleLinear`: "lu" or "full".
      norm: "act", an `ActNorm` precedes each coupling; "act_first", the first alone; "act_last", one ends the flow;
        "batch", a `BatchNorm` follows each coupling, whose statistics move in `FlowModel` alone; None for none.
      rho: of `BatchNorm`.
      hidden_units: sizes of the hidden layers of an MLP.
      activation: of the networks.
      context_size: size of the context of a conditional flow.
      backprop: of `Chain`, how much memory training takes: "store", "remat" or "invert".
      dtype: of the flow and its log-dets.
      dtype_policy: of the networks; the global Keras policy by default, or `dtype` if that is not float32.
      validate_args: whether to assert at run time that events are finite.
      seed: of the linear maps' first rotations.
      flow_name: name of the flow's chain.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`.

    Raises:
      ValueError: when the shape is not that of vectors of at least 2 entries, or for an unknown mix or norm.

    #### Examples

    ```python
    spline = lambda: nvp.transformers.RationalQuadraticSpline(bins=4)
    distribution = nvp.coupling_flow(event_shape=(6,), transformer=spline, couplings=2)
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```
    """
    size = size_of(event_shape)
    if mix not in MIXES:
        raise ValueError(f"expected mix to be one of {', '.join(MIXES)}, got {mix!r}")
    if norm not in NORMS:
        raise ValueError(f"expected norm to be one of {', '.join(map(str, NORMS))}, got {norm!r}")
    if rho is not None and norm != "batch":
        raise ValueError(f'expected norm="batch" for a rho, got {norm!r}')
    make_conditioner = conditioner_maker(
        conditioner,
        event_ndims=1,
        hidden_units=hidden_units,
        activation=activation,
        context_size=context_size,
        dtype=networks_policy(dtype, dtype_policy),
    )
    layers = [odd_entries_first(size)] if mix == "alternate" else []
    for i in range(couplings):
        step, mask = f"coupling_{i}", half(i)
        if norm == "act" or (norm == "act_first" and i == 0):
            layers.append(ActNorm(size, dtype=dtype, name=f"{step}_act_norm"))
        if mix == "linear":
            rotation = dict(form=linear_form, seed=seed + i, dtype=dtype, name=f"{step}_linear")
            layers.append(InvertibleLinear(size, **rotation))
        scalar_map = transformer()
        network = make_conditioner(
            mask, size, scalar_map.outputs * mask.changed_size(size), name=f"{step}_network"
        )
        layers.append(Coupling(scalar_map, network, mask, dtype=dtype, name=step))
        if norm == "batch":
            changed = mask.changed_size(size)
            layers.append(BatchNorm(changed, mask=mask, rho=rho, dtype=dtype, name=f"{step}_batch_norm"))
    if norm == "act_last":
        layers.append(ActNorm(size, dtype=dtype, name="scale"))
    flow = Chain(layers, backprop=backprop, name=name or flow_name)
    return FlowDistribution(flow, [size], base=base, dtype=dtype, validate_args=validate_args, name=name)
