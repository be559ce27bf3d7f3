"""Markov chains and their diagnostics."""

import dataclasses
import logging
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.mcmc.draws import values_of
from tfp_realnvp.mcmc.target import Target


@dataclasses.dataclass(frozen=True)
class Chains:
    """Draws of several Markov chains, without warm-up, and what they are worth.

    Attributes:
      samples: `[draws, chains, *event_shape]`; of a joint distribution, its unpinned variables, each with the axes
        `[draws, chains]` in front, constrained as the model has them.
      log_probs: the target's unnormalised log-density of the samples, `[draws, chains]`, in nats.
      ess: effective sample size of the mean of each entry of an event, over all chains (TFP's, Geyer's initial positive
        sequence); of a joint distribution, of the unconstrained vector. Of 20,000 draws, an entry whose mean is as
        uncertain as with 1,000 independent ones has 1,000.
      r_hat: split R-hat of each entry: near 1 if all halves of all chains agree, above 1.01 if they do not. Chains
        that all miss the same part of a target agree.
      acceptance: mean probability of acceptance.
      divergences: number of transitions whose energy error was above 1,000 or not a number, over all chains; None for
        an independence sampler. A few in a hundred mean that a narrow part of the target is not explored.
      step_size: adapted leapfrog step size, in units of the latent; None for an independence sampler.
      flow: the flow.
    """

    samples: Any
    log_probs: np.ndarray
    ess: np.ndarray
    r_hat: np.ndarray
    acceptance: float
    divergences: int | None
    step_size: float | None
    flow: FlowDistribution

    @classmethod
    def of(
        cls,
        events: np.ndarray,
        target: Target,
        flow: FlowDistribution,
        *,
        acceptance: float,
        divergences: int | None = None,
        step_size: float | None = None,
    ) -> "Chains":
        """The chains of events `[draws, chains, *event_shape]`."""
        draws, chains = events.shape[:2]
        values, log_probs = values_of(target, events.reshape([-1, *events.shape[2:]]))
        in_chains = tf.nest.map_structure(lambda part: part.reshape([draws, chains, *part.shape[1:]]), values)
        # Sums of squares in float32 would cancel.
        double = tf.constant(events, tf.float64)
        return cls(
            samples=in_chains,
            log_probs=log_probs.reshape([draws, chains]),
            ess=_effective_sample_size(double),
            r_hat=tfp.mcmc.potential_scale_reduction(double, independent_chain_ndims=1, split_chains=True).numpy(),
            acceptance=acceptance,
            divergences=divergences,
            step_size=step_size,
            flow=flow,
        )

    def __str__(self) -> str:
        draws, chains = self.log_probs.shape
        parts = [
            f"{chains} chains of {draws:,} draws",
            f"ESS {np.min(self.ess):,.0f} or more",
            f"R-hat {np.max(self.r_hat):.3f} or less",
            f"acceptance {self.acceptance:.2f}",
        ]
        if self.divergences is not None:
            parts.append(f"{self.divergences:,} divergences")
        return ", ".join(parts)


def _effective_sample_size(events: tf.Tensor) -> np.ndarray:
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # TFP casts the real result of a Fourier transform, and TensorFlow warns of it.
    try:
        found = tfp.mcmc.effective_sample_size(events, filter_beyond_positive_pairs=True, cross_chain_dims=1)
    finally:
        logger.setLevel(level)
    return found.numpy()


def check_sizes(**sizes: int) -> None:
    """Refuses a number of chains below 2 or of draws below 4, which have no diagnostics."""
    least = {"chains": 2, "draws": 4, "warmup": 10}
    for name, size in sizes.items():
        if size < least[name]:
            raise ValueError(f"expected {name} of {least[name]} or more, got {size}")
