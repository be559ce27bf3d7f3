"""Neural transport: Hamiltonian Monte Carlo in a flow's latent space."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.flows import FlowDistribution, iaf
from tfp_realnvp.flows.distribution import flow_distribution
from tfp_realnvp.mcmc.chains import Chains, check_sizes
from tfp_realnvp.mcmc.draws import ROWS
from tfp_realnvp.mcmc.fit import fit
from tfp_realnvp.mcmc.target import Target, finite_log_probs

Kernel = Literal["hmc", "nuts"]

# An energy error that Stan, too, calls a divergence.
_DIVERGENT = 1_000.0


def neutra(
    target: Any,
    flow: FlowDistribution | None = None,
    *,
    event_shape: int | Sequence[int] | None = None,
    fit_steps: int = 2_000,
    draws: int = 1_000,
    chains: int = 16,
    warmup: int = 500,
    kernel: Kernel = "hmc",
    jit_compile: bool = False,
    seed: int = 0,
) -> Chains:
    """Samples an unnormalised density by Hamiltonian Monte Carlo in the latent space of a flow (NeuTra).

        x = f^{-1}(z),    log p(z) = log p(x) + log|det dx/dz|,    chains of z, samples x

    A flow f fitted to p makes p(z) nearly the flow's base, a standard normal: one step size suits all directions,
    curved and funnel-shaped targets become round, and chains start at draws of the flow. The samples are from
    p for any flow: a poor one only makes them slow.

    Each leapfrog step takes f^{-1} and its gradient: one evaluation of each network for couplings and for `iaf`, one
    for each entry of the event for `maf`, with a bisection for `naf`, and a solver for `ffjord` and `residual`.

    Args:
      target: as in `nvp.mcmc.fit`. Events at which it is NaN are never accepted, and reaching one is a divergence.
      flow: a fitted flow; by default an `iaf` is fitted.
      event_shape: size of the vectors of a function; known for a flow and a joint distribution.
      fit_steps: number of training steps if there is no flow.
      draws: number of draws of each chain, after `warmup`.
      chains: number of chains, which run together; adaptation pools them.
      warmup: number of draws of each chain that adapt the step size, in the first four fifths, and are dropped.
      kernel: "hmc", whose trajectory length is adapted (ChEES) and jittered; or "nuts", the no-U-turn sampler.
      jit_compile: whether to compile the chains with XLA: faster for small flows and long chains.
      seed: seed of all draws, and of the weights of the default flow, for which it sets Keras' global seed.

    Returns:
      The chains, with the flow.

    Raises:
      TypeError, ValueError: as `nvp.mcmc.fit`.

    ```python
    joint = tfd.JointDistributionNamed({
        "scale": tfd.Exponential(1.0),
        "y": lambda scale: tfd.Independent(tfd.Normal(tf.zeros([3]), scale[..., tf.newaxis]), 1),
    })
    chains = nvp.mcmc.neutra(joint.experimental_pin(y=[0.3, -0.1, 0.4]), fit_steps=50, draws=20, chains=4, warmup=20)
    chains.samples["scale"], chains.ess  # [20, 4], [1]
    ```

    Hoffman, Sountsov, Dillon, Langmore, Tran, Vasudevan. NeuTra-lizing bad geometry in Hamiltonian Monte Carlo using
    neural transport. 2019. arXiv 1903.03704. Hoffman, Radul, Sountsov. An adaptive MCMC scheme for setting trajectory
    lengths in Hamiltonian Monte Carlo. AISTATS 2021.
    """
    wanted = Target.of(target)
    check_sizes(draws=draws, chains=chains, warmup=warmup)
    if kernel not in ("hmc", "nuts"):
        raise ValueError(f"expected kernel to be hmc or nuts, got {kernel!r}")
    if flow is None:
        shape = wanted.event_shape or event_shape
        if shape is None:
            raise ValueError("expected event_shape, such as (20,), for a function without a flow, got None")
        keras.utils.set_random_seed(seed)
        flow = iaf(event_shape=shape, layers=3, hidden_units=(64, 64))
        fit(target, flow, steps=fit_steps, seed=seed)
    flow = flow_distribution(flow)
    given, own = np.ravel(() if event_shape is None else event_shape).tolist(), list(flow.event_shape)
    if event_shape is not None and given != own:
        raise ValueError(f"expected the event_shape {own} of the flow, got {given}")
    wanted.check_event_shape(flow)
    z = _start(wanted, flow, chains, seed)

    def log_prob(z: tf.Tensor) -> tf.Tensor:
        x, log_det = flow.flow.inverse_and_log_det(z)
        found = wanted.log_prob(x) + tf.reduce_sum(log_det, axis=list(range(1, log_det.shape.rank)))
        return tf.where(tf.math.is_nan(found), tf.constant(-math.inf, found.dtype), found)

    sampled = tf.function(_sampled, autograph=False, jit_compile=jit_compile)
    latents, step_size, acceptance, divergences = sampled(log_prob, kernel, z, draws, warmup, tf.constant([seed, 3]))
    return Chains.of(
        _events(flow, latents),
        wanted,
        flow,
        acceptance=float(acceptance),
        divergences=int(divergences),
        step_size=float(step_size),
    )


def _start(target: Target, flow: FlowDistribution, chains: int, seed: int) -> tf.Tensor:
    """Latents of draws of the flow, at which the target has a density."""
    z = flow.distribution.sample(chains, seed=(seed, 2))
    x = flow.flow.inverse_and_log_det(z)[0]
    found = finite_log_probs(target.log_prob(x), x)
    if np.any(np.isneginf(found)):
        raise ValueError(
            "expected a target with a density at draws of the flow, where chains start, got -inf at "
            f"{np.sum(np.isneginf(found))} of {chains}"
        )
    return z


def _sampled(
    log_prob: Callable[[tf.Tensor], tf.Tensor], kernel: Kernel, z: tf.Tensor, draws: int, warmup: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Latents `[draws, chains, *event_shape]`, the step size, the mean acceptance, the number of divergences."""
    # Adaptation ends before the draws begin: while it lasts, the chains' distribution is not the target.
    adapting = 4 * warmup // 5
    first = tf.constant(z.shape[1:].num_elements() ** -0.25, z.dtype)
    if kernel == "hmc":
        # The jitter of the trajectory's length keeps chains from returning to where they were.
        hmc = tfp.mcmc.HamiltonianMonteCarlo(log_prob, first, num_leapfrog_steps=1)
        inner = tfp.experimental.mcmc.GradientBasedTrajectoryLengthAdaptation(hmc, adapting, max_leapfrog_steps=100)
        accept, reduce = 0.75, tfp.math.reduce_log_harmonic_mean_exp
    else:
        inner = tfp.mcmc.NoUTurnSampler(log_prob, first, max_energy_diff=_DIVERGENT)
        accept, reduce = 0.8, tfp.math.reduce_logmeanexp
    adapted = tfp.mcmc.DualAveragingStepSizeAdaptation(inner, adapting, target_accept_prob=accept, reduce_fn=reduce)

    def trace(_: tf.Tensor, results: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        log_accept = tf.minimum(_innermost(results, "log_accept_ratio"), 0.0)
        if kernel == "hmc":
            divergent = log_accept < -_DIVERGENT
        else:
            divergent = _innermost(results, "has_divergence")
        return results.new_step_size, tf.exp(log_accept), divergent

    latents, (step_sizes, accepted, divergent) = tfp.mcmc.sample_chain(
        draws, z, kernel=adapted, num_burnin_steps=warmup, trace_fn=trace, seed=seed
    )
    count = tf.reduce_sum(tf.cast(divergent, tf.int32))
    return latents, tf.reshape(step_sizes[-1], []), tf.reduce_mean(accepted), count


def _innermost(results: Any, name: str) -> tf.Tensor:
    """An entry of the kernel results that others wrap."""
    while not hasattr(results, name):
        results = results.inner_results
    return getattr(results, name)


def _events(flow: FlowDistribution, latents: tf.Tensor) -> np.ndarray:
    """The events of latents `[draws, chains, *event_shape]`, by parts that fit into memory."""
    inverse = tf.function(lambda z: flow.flow.inverse_and_log_det(z)[0], autograph=False, reduce_retracing=True)
    rows = tf.reshape(latents, [-1, *latents.shape[2:]])
    parts = [inverse(rows[i : i + ROWS]).numpy() for i in range(0, rows.shape[0], ROWS)]
    return np.concatenate(parts).reshape([*latents.shape[:2], *parts[0].shape[1:]])
