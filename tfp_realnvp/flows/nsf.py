"""The neural spline flow with coupling layers, for vectors."""

import functools
from collections.abc import Sequence
from typing import Any

from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.coupling_flow import Mix, Norm, coupling_flow
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.transformers import RationalQuadraticSpline


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
    """A neural spline flow: rational-quadratic spline couplings, a learned linear map before each.

    Splines transform [-bound, bound] and are the identity outside. The scale and shift of an `ActNorm`, which the first
    batch of training sets, bring the data there.

    Args:
      event_shape: `[size]`, or the size.
      bins: pieces of each spline.
      bound: where splines end.
      mix: as of `coupling_flow`: "linear" or "alternate".
      norm: as of `coupling_flow`; without one, standardise the data.
      **options: of `coupling_flow`.

    Raises:
      ValueError: when the shape is not that of vectors of at least 2 entries.

    ```python
    distribution = nvp.nsf(event_shape=(6,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019. arXiv 1906.04032.
    """
    spline = functools.partial(RationalQuadraticSpline, bins, bound)
    return coupling_flow(event_shape=event_shape, transformer=spline, mix=mix, norm=norm, flow_name="nsf", **options)
