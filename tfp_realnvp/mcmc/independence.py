"""Independence Metropolis: a flow proposes independently of the state."""

from typing import Any

import numpy as np

from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.flows.distribution import flow_distribution
from tfp_realnvp.mcmc.chains import Chains, check_sizes
from tfp_realnvp.mcmc.draws import drawn
from tfp_realnvp.mcmc.target import Target


def independence(
    target: Any, flow: FlowDistribution, *, draws: int = 1_000, chains: int = 16, warmup: int = 100, seed: int = 0
) -> Chains:
    """Samples a density p by Metropolis-Hastings with independent proposals of a flow q.

        accept x' ~ q in state x with probability min(1, w(x') / w(x)),    w = p / q

    It needs no gradient of the target, and crosses between modes that the flow covers. Chains stick where p / q is
    large, so that acceptance falls with the dimension and with each part of p that q misses: `evidence` reports the
    tail of w. Proposals are evaluated together in batches.

    Args:
      target: as in `nvp.mcmc.fit`. It may be -inf at some events.
      flow: a fitted flow. A draw and its log-density should take one pass: couplings, `iaf`.
      draws: number of draws of each chain, after `warmup`.
      chains: number of chains, which start at draws of the flow.
      warmup: number of draws of each chain that are dropped.
      seed: seed of all draws.

    Raises:
      TypeError, ValueError: as `nvp.mcmc.fit`; also if a chain has met no event with a density by the end of its
        warm-up.

    ```python
    flow = nvp.real_nvp(event_shape=(2,))
    chains = nvp.mcmc.independence(lambda x: -tf.reduce_sum(x**4, -1), flow, draws=50, chains=4)
    chains.samples  # [50, 4, 2]
    ```

    Tierney. Markov chains for exploring posterior distributions. Annals of Statistics 22, 1994. Albergo, Kanwar,
    Shanahan. Flow-based generative models for Markov chain Monte Carlo in lattice field theory. 2019. arXiv 1904.12072.
    """
    wanted, flow = Target.of(target), flow_distribution(flow)
    wanted.check_event_shape(flow)
    check_sizes(draws=draws, chains=chains)
    if warmup < 0:
        raise ValueError(f"expected warmup of 0 or more, got {warmup}")
    length = warmup + draws + 1  # The first are states, not proposals.
    proposed = drawn(wanted, flow, length * chains, (seed, 0))
    log_weights = proposed.log_weights.reshape([length, chains])
    # A state without a density accepts every proposal, so the chain leaves it.
    log_uniform = np.log1p(-np.random.default_rng(seed).random([length, chains]))
    index, columns = np.zeros([length, chains], np.int64), np.arange(chains)
    acceptance = np.zeros([length, chains])
    for step in range(1, length):
        state = index[step - 1]
        with np.errstate(invalid="ignore"):  # -inf - -inf, which is not below.
            log_ratio = log_weights[step] - log_weights[state, columns]
        log_ratio = np.where(np.isneginf(log_weights[state, columns]), 0.0, np.minimum(log_ratio, 0.0))
        acceptance[step] = np.exp(log_ratio)
        index[step] = np.where(log_uniform[step] < log_ratio, step, state)
    kept = index[-draws:]
    lost = int(np.sum(np.isneginf(log_weights[kept[0], columns])))
    if lost:
        raise ValueError(
            f"expected each chain to reach an event at which the target has a density, got -inf at all of the first "
            f"{warmup + 2} proposals of {lost} of {chains} chains: take a longer warmup or a better flow"
        )
    events = proposed.events.reshape([length, chains, *proposed.events.shape[1:]])[kept, columns]
    return Chains.of(events, wanted, flow, acceptance=float(np.mean(acceptance[-draws:])))
