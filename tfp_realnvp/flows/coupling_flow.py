"""Coupling flows over vectors: the general builder, NICE and neural spline flows."""

import functools
import typing
from collections.abc import Sequence
from typing import Any, Literal

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import ActNorm, BatchNorm, Bijector, Halves, InvertibleLinear
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.vectors import MakeLayer, vector_flow
from tfp_realnvp.transformers import RationalQuadraticSpline

Mix = Literal["alternate", "linear"]
Norm = Literal["act", "act_first", "act_last", "batch"]


@composition_of(vector_flow, sets="layers least")
def coupling_flow(
    *,
    event_shape: int | Sequence[int],
    couplings: int = 8,
    mix: Mix = "alternate",
    linear_form: Literal["lu", "full", "householder"] = "lu",
    norm: Norm | None = None,
    rho: float | None = None,
    dtype: str = "float32",
    seed: int = 0,
    flow_name: str = "coupling_flow",
    **options: Any,
) -> FlowDistribution:
    """Couplings over vectors: each transforms one half of the entries with parameters computed from the other half.

        z = (coupling_n o mix_n o ... o coupling_1 o mix_1)(x),    z ~ base

    `nice` and `nsf`, and `real_nvp`, `glow` and `flowpp` over vectors, are such flows.

    Args:
      event_shape: `[size]`, or the size; at least 2.
      couplings: number of couplings; with fewer than 3, some pairs of entries do not interact.
      mix: "alternate", couplings change even and odd entries in turn; "linear", an `InvertibleLinear` precedes each
        coupling.
      linear_form: `form` of each `InvertibleLinear`: "lu", "full" or "householder".
      norm: "act", an `ActNorm` precedes each coupling; "act_first", only the first one; "act_last", one `ActNorm` ends
        the flow; "batch", a `BatchNorm` follows each coupling, whose statistics are updated only by `FlowModel`; None,
        no normalisation.
      rho: weight of the running average in `BatchNorm`, for small batches; None uses the current batch alone.
      seed: seed of the linear maps' initial rotations.
      **options: `transformer`, `conditioner`, `base` and other [options that flows share](#options-that-flows-share).

    Raises:
      ValueError: if the event shape is not a vector's of at least 2 entries, for no coupling, or for an unknown mix,
        norm or name.

    ```python
    distribution = nvp.coupling_flow(event_shape=(6,), transformer="spline(bins=4)", couplings=2)
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```
    """
    if mix not in typing.get_args(Mix):
        raise ValueError(f"expected mix to be one of {', '.join(typing.get_args(Mix))}, got {mix!r}")
    if norm not in (None, *typing.get_args(Norm)):
        raise ValueError(f"expected norm to be one of None, {', '.join(typing.get_args(Norm))}, got {norm!r}")
    if couplings < 1:
        raise ValueError(f"expected 1 coupling or more, got {couplings}")
    if mix != "linear" and linear_form != "lu":
        raise ValueError(f'expected mix="linear" for a linear_form, got {mix!r} beside {linear_form!r}')
    if rho is not None and norm != "batch":
        raise ValueError(f'expected norm="batch" for a rho, got {norm!r}')

    def layers(size: int, make_layer: MakeLayer) -> list[Bijector]:
        # The odd entries are moved to the front once, since strided slices in every coupling would take longer.
        odd_first = [*range(1, size, 2), *range(0, size, 2)]
        order = odd_first if mix == "alternate" else list(range(size))
        found = [tfp.bijectors.Permute(order, name="odd_entries_first")] if mix == "alternate" else []
        for i in range(couplings):
            step, mask = f"coupling_{i}", Halves(("second", "first")[i % 2])
            if norm == "act" or (norm == "act_first" and i == 0):
                found.append(ActNorm(size, dtype=dtype, name=f"{step}_act_norm"))
            if mix == "linear":
                linear_name = f"{step}_linear"
                found.append(InvertibleLinear(size, form=linear_form, seed=seed + i, dtype=dtype, name=linear_name))
            found.append(make_layer(mask, step, order))
            if norm == "batch":
                changed = mask.changed_size(size)
                found.append(BatchNorm(changed, mask=mask, rho=rho, dtype=dtype, name=f"{step}_batch_norm"))
        return [*found, ActNorm(size, dtype=dtype, name="scale")] if norm == "act_last" else found

    given = dict(event_shape=event_shape, dtype=dtype, flow_name=flow_name, **options)
    if "layers" in options:  # Otherwise an argument of `vector_flow`.
        raise TypeError(f"expected couplings, the number of layers, got layers={options['layers']!r}")
    return vector_flow(layers=layers, least=2, **given)


@composition_of(coupling_flow, sets="transformer mix linear_form norm rho seed flow_name")
def nice(*, event_shape: int | Sequence[int], couplings: int = 4, **options: Any) -> FlowDistribution:
    """NICE: additive couplings that change even and odd entries in turn, then one scale and shift per entry.

    The last layer is an `ActNorm` that the first training batch initialises. The paper's prior is logistic; here it is
    Gaussian unless `base` says otherwise.

    Options are those of `coupling_flow`.

    ```python
    distribution = nvp.nice(event_shape=(6,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Dinh, Krueger, Bengio. NICE: non-linear independent components estimation. ICLR workshop 2015. arXiv 1410.8516.
    """
    given = dict(event_shape=event_shape, couplings=couplings, **options)
    return coupling_flow(transformer="shift", norm="act_last", flow_name="nice", **given)


@composition_of(coupling_flow, sets="transformer rho flow_name")
def nsf(
    *,
    event_shape: int | Sequence[int],
    bins: int = 8,
    bound: float = 3.0,
    mix: Mix = "linear",
    norm: Norm | None = "act_first",
    **options: Any,
) -> FlowDistribution:
    """A neural spline flow: rational-quadratic spline couplings, each after a learned linear map.

    Splines transform [-bound, bound] and are the identity outside. An `ActNorm`, initialised by the first training
    batch, maps the data to that range.

    Args:
      bins: number of bins of each spline.
      bound: splines cover [-bound, bound].
      norm: as in `coupling_flow`; without one, standardise the data.
      **options: options of `coupling_flow`.

    ```python
    distribution = nvp.nsf(event_shape=(6,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019. arXiv 1906.04032.
    """
    spline = functools.partial(RationalQuadraticSpline, bins, bound)
    return coupling_flow(event_shape=event_shape, transformer=spline, mix=mix, norm=norm, flow_name="nsf", **options)
