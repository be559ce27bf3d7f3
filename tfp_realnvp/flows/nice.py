"""NICE, for vectors."""

from collections.abc import Sequence
from typing import Any

from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.coupling_flow import coupling_flow
from tfp_realnvp.flows.distribution import FlowDistribution


@composition_of(coupling_flow, sets="transformer mix linear_form norm rho seed flow_name")
def nice(*, event_shape: int | Sequence[int], couplings: int = 4, **options: Any) -> FlowDistribution:
    """NICE: additive couplings that change even and odd entries in turn, then one scale and shift for each entry.

    The last layer is an `ActNorm`, whose scale the first batch of training sets. The paper's prior is logistic; this
    one is Gaussian unless `base` is another.

    Args:
      event_shape: `[size]`, or the size.
      couplings: number of couplings; with fewer than 3, some pairs of entries do not interact.
      **options: of `coupling_flow`.

    Raises:
      ValueError: when the shape is not that of vectors of at least 2 entries.

    ```python
    distribution = nvp.nice(event_shape=(6,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Dinh, Krueger, Bengio. NICE: non-linear independent components estimation. ICLR workshop 2015. arXiv 1410.8516.
    """
    given = dict(event_shape=event_shape, couplings=couplings, **options)
    return coupling_flow(transformer="shift", norm="act_last", flow_name="nice", **given)
