"""Variational inference: a flow is fitted to an unnormalised density."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.flows.distribution import flow_distribution
from tfp_realnvp.mcmc.draws import drawn
from tfp_realnvp.mcmc.target import Target
from tfp_realnvp.training import Adam


def fit(
    target: Any,
    flow: FlowDistribution,
    *,
    steps: int = 2_000,
    samples: int = 64,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> np.ndarray:
    """Fits a flow q to an unnormalised density p by maximising the evidence lower bound.

        ELBO = E_q [log p(x) - log q(x)] = log Z - KL(q || p / Z),    Z = integral of p

    Each step takes a gradient of the mean over new draws x = f^{-1}(z), z ~ base, by Adam with a cosine schedule. The
    divergence prefers a q that is too narrow, so check the result, by `evidence` for example.

    A draw and its log-density take one evaluation of each network for couplings and for `iaf`; `maf` and `naf` take one
    for each entry of the event, and `ffjord` and `residual` solve for each draw.

    Args:
      target: a function from events `[n, *event_shape]` to log p `[n]`, in TensorFlow operations, or a pinned joint
        distribution, `joint.experimental_pin(y=y)`. Of the latter, the flow models all unpinned variables, mapped to
        real numbers by TFP's default bijectors, end to end in one vector.
      flow: its variables are changed; where a step fails, they are those of the step before.
      steps: number of training steps.
      samples: number of draws per step.
      learning_rate: highest learning rate.
      seed: seed of the draws. Initial weights have Keras' own, `keras.utils.set_random_seed`.

    Returns:
      The ELBO of each step, float64 `[steps]`, in nats.

    Raises:
      TypeError: if the target is neither, or returns no tensor of its events' dtype.
      ValueError: if the target returns another shape, or NaN, or no density at a draw of the flow, or if a gradient is
        not finite.

    ```python
    flow = nvp.iaf(event_shape=(2,), layers=2, hidden_units=(16,))
    target = lambda x: tfd.MultivariateNormalTriL([1.0, 2.0], [[1.0, 0.0], [0.9, 0.1]]).log_prob(x)
    nvp.mcmc.fit(target, flow, steps=50)  # [50]
    ```

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770.
    """
    wanted, flow = Target.of(target), flow_distribution(flow)
    wanted.check_event_shape(flow)
    if steps < 1 or samples < 1:
        raise ValueError(f"expected steps and samples of 1 or more, got {steps} and {samples}")
    _refuse_no_density(drawn(wanted, flow, samples, (seed, 0)).log_weights)  # A fault of the target shows here.
    # In narrow parts of a target, the gradient of a single draw may be thousands of times the usual one.
    optimizer = Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps), global_clipnorm=10.0)
    optimizer.build(flow.trainable_variables)

    # A step of `tfp.vi.fit_surrogate_posterior` outside a graph takes twice the time.
    @tf.function(autograph=False)
    def step(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seeds = tf.random.experimental.stateless_fold_in(tf.constant([seed, 1]), number)
        with tf.GradientTape() as tape:
            x, log_q = flow.experimental_sample_and_log_prob(samples, seed=seeds)
            elbo = tf.reduce_mean(wanted.log_prob(x) - log_q)
            loss = -elbo
        gradients = tape.gradient(loss, flow.trainable_variables, unconnected_gradients="zero")
        norm = tf.linalg.global_norm(gradients)
        is_finite = tf.math.is_finite(elbo) & tf.math.is_finite(norm)
        # A kernel that is skipped still multiplies the gradient, by 0.
        gradients = [tf.where(is_finite, gradient, tf.zeros_like(gradient)) for gradient in gradients]
        optimizer.apply(gradients, flow.trainable_variables, skip=~is_finite)
        return elbo, norm

    found = np.zeros(steps)
    for number in range(steps):
        found[number], norm = step(tf.constant(number))
        if not (np.isfinite(found[number]) and np.isfinite(norm)):
            raise ValueError(
                f"expected a finite ELBO and gradient, got {found[number]} and a norm of {norm} in step {number + 1} "
                f"of {steps}: the target is NaN or has no density at a draw of the flow, or the learning rate is too "
                "high"
            )
    return found


def _refuse_no_density(log_weights: np.ndarray) -> None:
    outside = int(np.sum(np.isneginf(log_weights)))
    if outside:
        raise ValueError(
            f"expected a target with a density everywhere, got -inf at {outside} of {log_weights.size} draws of the "
            "flow: map its support to all real numbers, for example by a TFP bijector and its log-det"
        )
