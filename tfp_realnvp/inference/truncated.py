"""Sequential estimation of the posterior of one observation, by truncated proposals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.inference.fit import fit_posterior
from tfp_realnvp.inference.parts import Parts
from tfp_realnvp.inference.posterior import Posterior, event_shape_of, observation_of

_REGION_SAMPLES = 10_000
_MOST_DRAWS = 1_000  # Batches from the prior, each as large as what is wanted.


def fit_posterior_sequentially(
    prior: Any,
    simulator: Callable[[Any], Any],
    x: Any,
    *,
    rounds: int = 3,
    simulations: int = 1_000,
    left_out: float = 1e-3,
    seed: int = 0,
    **options: Any,
) -> Posterior:
    """Learns the posterior of one observation in rounds, each with simulations where the last round's posterior lies.

        region_r = {theta in region_{r-1}: log q_r(theta | x) >= c_r},   q_r has a mass of 1 - left_out above c_r
        theta ~ prior restricted to region_r

    Every round trains on all simulations so far whose parameters lie in the region: these are draws from the prior
    restricted to it, so the loss needs no correction and its minimum at x is the posterior, except for the mass outside
    of the regions. The result holds at `x` alone. For other observations it is the posterior under a restricted prior.

    It pays if the posterior is much narrower than the prior and simulations are expensive.

    Args:
      prior: a TFP distribution of the parameters, with `sample`.
      simulator: from parameters, as `prior.sample(count)` gives them, to observations `[count, ...]`.
      x: the observation, `[...]`.
      rounds: number of rounds.
      simulations: number of new simulations in each round.
      left_out: mass of the learned posterior that a region may lack.
      seed: seed of the simulations and the weights; sets TensorFlow's global seed.
      **options: of `fit_posterior`.

    Returns:
      The posterior of the last round.

    Raises:
      ValueError: for fewer than 1 round, a mass outside of (0, 1), or several observations.
      RuntimeError: if fewer than 1 in 1,000 draws from the prior lie in a region.

    ```python
    prior = tfd.Normal(0.0, 1.0)
    noisy = lambda theta: theta + 0.1 * tf.random.normal(tf.shape(theta))
    posterior = nvp.inference.fit_posterior_sequentially(prior, noisy, 0.3, rounds=1, simulations=100, max_epochs=1)
    posterior.sample(4, 0.3)  # [4]
    ```

    Deistler, Goncalves, Macke. Truncated proposals for scalable and hassle-free simulation-based inference. NeurIPS
    2022. arXiv 2210.04815.
    """
    if rounds < 1:
        raise ValueError(f"expected 1 round or more, got {rounds}")
    if not 0 < left_out < 1:
        raise ValueError(f"expected a left_out between 0 and 1, got {left_out}")
    regions: list[tuple[Posterior, float]] = []

    def is_inside(theta: Any) -> np.ndarray:
        found = [np.asarray(posterior.log_prob(theta, x)) >= least for posterior, least in regions]
        return np.all(found, 0) if found else np.ones(len(tf.nest.flatten(theta)[0]), bool)

    def draw(count: int) -> Any:
        parts, number = [], 0
        for _ in range(_MOST_DRAWS):
            drawn = prior.sample(count)
            parts.append(_taken(drawn, is_inside(drawn)))
            number += len(tf.nest.flatten(parts[-1])[0])
            if number >= count:
                return tf.nest.map_structure(lambda part: part[:count], _joined(parts))
        raise RuntimeError(
            f"expected {count} draws from the prior in the region of round {len(regions)}, got {number} of "
            f"{count * _MOST_DRAWS}"
        )

    tf.random.set_seed(seed)
    theta = draw(simulations)
    observed = simulator(theta)
    parts = Parts.of(observed, "x")
    if len(batch := observation_of(parts, x).shape[: -len(event_shape_of(parts)) or None]):
        raise ValueError(f"expected one observation, got a batch of {batch}: each has regions of its own")
    posterior = fit_posterior(theta, observed, prior=prior, seed=seed, **options)
    for later in range(1, rounds):
        samples = posterior.sample(_REGION_SAMPLES, x, seed=seed)
        regions.append((posterior, float(np.quantile(posterior.log_prob(samples, x), left_out))))
        tf.random.set_seed(seed + later)
        kept, added = is_inside(theta), draw(simulations)
        theta = _joined([_taken(theta, kept), added])
        observed = _joined([_taken(observed, kept), simulator(added)])
        posterior = fit_posterior(theta, observed, prior=prior, seed=seed + later, **options)
    return posterior


def _taken(values: Any, rows: np.ndarray) -> Any:
    return tf.nest.map_structure(lambda part: tf.boolean_mask(part, rows), values)


def _joined(parts: list[Any]) -> Any:
    return tf.nest.map_structure(lambda *arrays: tf.concat(arrays, 0), *parts)
