"""The integral of an unnormalised density by importance sampling."""

import dataclasses
import math
import warnings
from typing import Any

import numpy as np

from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.flows.distribution import flow_distribution
from tfp_realnvp.mcmc.draws import drawn, values_of
from tfp_realnvp.mcmc.pareto import pareto_smoothed
from tfp_realnvp.mcmc.target import Target

_RELIABLE = 0.7


@dataclasses.dataclass(frozen=True)
class Evidence:
    """An estimate of log Z, Z the integral of an unnormalised density.

    Attributes:
      log_evidence: the estimate, in nats.
      standard_error: its standard error, in nats.
      ess: effective sample size of the weights, (sum w)^2 / sum w^2.
      pareto_k: shape of the weights' tail; see `pareto_smoothed`. Above 0.7 the standard error is too small.
      elbo: mean of log w, a lower bound on log Z up to its own error; -inf if a draw is outside the support.
      samples: the draws, `[n, *event_shape]`; of a joint distribution its unpinned variables.
      log_weights: normalised and smoothed, float64 `[n]`: sum(exp(log_weights) * h(samples)) estimates the mean of h
        under p / Z.
    """

    log_evidence: float
    standard_error: float
    ess: float
    pareto_k: float
    elbo: float
    samples: Any
    log_weights: np.ndarray

    def __str__(self) -> str:
        return (
            f"log evidence {self.log_evidence:.3f} +- {self.standard_error:.3f}, ESS {self.ess:,.0f} of "
            f"{self.log_weights.size:,}, Pareto k {self.pareto_k:.2f}"
        )


def evidence(target: Any, flow: FlowDistribution, *, draws: int = 10_000, seed: int = 0) -> Evidence:
    """Estimates log Z, Z = integral of p, by importance sampling with a fitted flow q.

        log Z ~ log 1/n sum_i w_i,    w_i = p(x_i) / q(x_i),    x_i ~ q
        standard error of the log ~ sqrt(1 / ESS - 1 / n),    ESS = (sum w)^2 / sum w^2

    The largest weights are smoothed by `pareto_smoothed`. Its k says whether these figures mean anything: above 0.7
    there is a warning, and from 1 on, where Z itself is infinite as far as the weights tell, no estimate. Then q misses
    a part of p, mostly its tails: fit longer, with more layers or a base with heavy tails (`base="student_t"`). A k
    below 0.7 does not show a mode that no draw has met.

    Args:
      target: as in `nvp.mcmc.fit`; for a pinned joint distribution Z is the evidence p(y). It may be -inf at
        some events.
      flow: a fitted flow. A draw and its log-density should take one pass: couplings, `iaf`.
      draws: number n of draws.
      seed: seed of the draws.

    Raises:
      TypeError, ValueError: as `nvp.mcmc.fit` and `pareto_smoothed`.
      RuntimeError: if k is 1 or more.

    ```python
    joint = tfd.JointDistributionNamed({"z": tfd.Normal(0.0, 1.0), "y": lambda z: tfd.Normal(z, 1.0)})
    flow = nvp.iaf(event_shape=(1,), layers=1, hidden_units=(4,))
    found = nvp.mcmc.evidence(joint.experimental_pin(y=0.5), flow)
    found.log_evidence, found.samples["z"]  # [], [10000]
    ```

    Vehtari, Simpson, Gelman, Yao, Gabry. Pareto smoothed importance sampling. JMLR 25, 2024. arXiv 1507.02646.
    """
    wanted, flow = Target.of(target), flow_distribution(flow)
    wanted.check_event_shape(flow)
    found = drawn(wanted, flow, draws, (seed, 0))
    smoothed, k = pareto_smoothed(found.log_weights)
    meaning = (
        f"Pareto k is {k:.2f}: the flow misses a part of the target, mostly its tails. Fit the flow longer, or use "
    )
    meaning += 'more layers or a base with heavy tails, base="student_t"'
    if k >= 1:
        raise RuntimeError(f"expected importance weights with a mean, got none: {meaning}")
    if k > _RELIABLE:
        warnings.warn(
            f"the log evidence and its standard error are unreliable. {meaning}", RuntimeWarning, stacklevel=2
        )
    largest = np.max(smoothed)
    weights = np.exp(smoothed - largest)
    total = float(np.sum(weights))
    ess = total**2 / float(np.sum(weights**2))
    return Evidence(
        log_evidence=float(largest + math.log(total / draws)),
        standard_error=math.sqrt(max(1 / ess - 1 / draws, 0.0)),
        ess=ess,
        pareto_k=k,
        elbo=float(np.mean(found.log_weights)),
        samples=values_of(wanted, found.events)[0],
        log_weights=smoothed - largest - math.log(total),
    )
