"""Training a posterior from pairs of parameters and observations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp import flows, training
from tfp_realnvp.inference.parts import Parts
from tfp_realnvp.inference.posterior import Posterior, PosteriorModel, observation_of
from tfp_realnvp.inference.support import Support
from tfp_realnvp.resolution import least_deviation

# Nats by which a held-out loss must fall to count: at small rates it gains less than that for hundreds of epochs.
_LEAST_GAIN = 1e-3


def fit_posterior(
    theta: Any,
    x: Any,
    *,
    prior: Any = None,
    flow: Callable[..., flows.FlowDistribution] | None = None,
    embedding: keras.layers.Layer | Callable[[], keras.layers.Layer] | None = None,
    ensemble: int = 1,
    validation_fraction: float = 0.1,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    clip_norm: float = 5.0,
    max_epochs: int = 500,
    patience: int = 45,
    seed: int = 0,
    verbose: int = 0,
) -> Posterior:
    """Learns the posterior of a simulator's parameters from simulated pairs (neural posterior estimation).

        (theta_i, x_i) ~ p(theta) p(x | theta)
        loss = -mean over i of log q(theta_i | x_i),    whose minimum over all q is q(theta | x) = p(theta | x)

    The simulator may be any program; its likelihood is not needed. Parameters are mapped to unbounded numbers by the
    prior's `experimental_default_event_space_bijector()`. Each unbounded parameter and each entry of a vector x is
    standardised to mean 0 and variance 1; of an x with more axes, each channel (the last axis). Pairs whose parameters
    lie exactly on the edge of the support, a set of probability 0, are left out.

    A share of the pairs is held out. When its loss has not fallen by .001 nats for `patience / 3` epochs, training goes
    on from the best weights at half the learning rate; after `patience` epochs it ends, and the best weights are kept.

    Args:
      theta: parameters, an array `[n, *shape]`, or arrays by name (a dict or a named tuple, as a TFP joint distribution
        samples). The flow's vector has the parts in this order, each in row-major order.
      x: observations of the same pairs, an array `[n, *shape]` or arrays by name, which are flattened and joined.
      prior: the distribution that `theta` was drawn from, for its support; a joint distribution may include the
        observed parts, on which no parameter's support may depend. None for parameters without bounds.
      flow: a factory of flows, called with `event_shape=` and `context_size=`, such as
        `functools.partial(nvp.maf, layers=5)`. By default an autoregressive flow of five rational-quadratic splines.
      embedding: a Keras layer from observations `[n, *shape]` to vectors, trained with the flow, or a function that
        makes one, which an ensemble needs. By default the flow's networks read the flattened observations.
      ensemble: number of flows, trained one after the other with other weights, splits and orders; the posterior is
        their equal mixture.
      validation_fraction: share of the pairs that is held out.
      batch_size: pairs in a training step.
      learning_rate: initial learning rate of Adam.
      clip_norm: largest global norm of the gradient.
      max_epochs: most passes over the training pairs.
      patience: training ends when the held-out loss has not fallen by .001 nats for so many epochs.
      seed: seed of the weights, the split and the order; sets Keras' global seed.
      verbose: as in `keras.Model.fit`.

    Raises:
      TypeError: for parameters that are not floats, observations that are not real, or one embedding for several flows.
      ValueError: for a setting out of range, if numbers of pairs differ or are too few, parameters lie outside the
        prior's support, values or the held-out loss are not finite, a parameter is constant or varies by little more
        than its rounding, or the prior has other parts.

    ```python
    joint = tfd.JointDistributionNamed(
        dict(scale=tfd.HalfNormal(1.0), y=lambda scale: tfd.Sample(tfd.Normal(0.0, scale[..., tf.newaxis]), 1))
    )
    theta, x = nvp.inference.simulate(joint, 200, observed="y")
    posterior = nvp.inference.fit_posterior(theta, x, prior=joint, max_epochs=2)
    posterior.sample(4, {"y": [[0.3]]})["scale"]  # [4]
    ```

    Papamakarios, Murray. Fast epsilon-free inference of simulation models with Bayesian conditional density estimation.
    NeurIPS 2016. arXiv 1605.06376. Greenberg, Nonnenmacher, Macke. Automatic posterior transformation. ICML 2019.
    arXiv 1905.07488.
    """
    if ensemble < 1:
        raise ValueError(f"expected an ensemble of 1 or more flows, got {ensemble}")
    if batch_size < 1 or max_epochs < 1 or patience < 0:
        raise ValueError(
            "expected a batch_size and max_epochs of 1 or more and a patience of 0 or more, got "
            f"{batch_size}, {max_epochs} and {patience}"
        )
    if ensemble > 1 and isinstance(embedding, keras.layers.Layer):
        raise TypeError("expected a function that makes an embedding for each flow of the ensemble, got one layer")
    parts, observations = Parts.of(theta, "theta"), Parts.of(x, "x")
    for array in tf.nest.flatten(theta):
        if not (dtype := tf.convert_to_tensor(array).dtype).is_floating:
            raise TypeError(f"expected real parameters, which have a density, got {dtype.name}")
    support = Support(parts, prior, x)
    vectors, observed = parts.vectors(theta, "theta"), observation_of(observations, x)
    if len(vectors) != len(observed):
        raise ValueError(f"expected as many parameters as observations, got {len(vectors)} and {len(observed)}")
    u, rows = _unbounded(support, vectors)
    _check_resolution(vectors.numpy(), support.precision)
    _check_resolution(u, tf.float32)
    observed = observed.numpy()[rows]
    members, histories = [], []
    for member in range(ensemble):
        model = _model(u, observed, flow, embedding, clip_norm, seed + member)
        standardized = model.standardized(observed).numpy()
        held_out = round(validation_fraction * len(u))
        if not 0 < held_out < len(u) or len(u) - held_out < 2:
            raise ValueError(
                f"expected a validation_fraction that leaves pairs on both sides, got {validation_fraction} of {len(u)}"
            )
        order = np.random.default_rng(seed + member).permutation(len(u))
        train, validation = order[held_out:], order[:held_out]
        model.compile(training.Adam(learning_rate))
        history = model.fit(
            u[train],
            standardized[train],
            validation_data=(u[validation], standardized[validation]),
            validation_batch_size=1_000,
            batch_size=min(batch_size, len(train)),
            epochs=max_epochs,
            callbacks=[_Refinement(patience)],
            verbose=verbose,
        )
        losses = {name: history.history[name] for name in ("loss", "val_loss")}
        # `min` keeps a NaN of the first epoch, as the callbacks do.
        if not math.isfinite(least := min(losses["val_loss"])):
            raise ValueError(f"expected a finite loss on the held-out pairs, got {least}: the flow's density overflows")
        members.append(model)
        histories.append(losses)
    return Posterior(members, support, observations, histories)


class _Refinement(keras.callbacks.EarlyStopping):
    """Early stopping; after each third of its patience it goes on from the best weights at half the learning rate."""

    def __init__(self, patience: int):
        super().__init__(min_delta=_LEAST_GAIN, patience=patience, restore_best_weights=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        if self.wait and self.wait % max(self.patience // 3, 1) == 0:
            self.model.set_weights(self.best_weights)
            self.model.optimizer.learning_rate.assign(self.model.optimizer.learning_rate / 2)


def _unbounded(support: Support, vectors: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Unbounded vectors of the rows within the support, and which rows these are."""
    u, log_det = (part.numpy() for part in support.unbounded(vectors))
    outside = np.any(np.isnan(u), -1) | ~np.all(np.isfinite(vectors), -1)
    if np.any(outside):
        row = vectors[int(np.argmax(outside))].numpy().tolist()
        raise ValueError(f"expected theta within the prior's support, got {row} and {outside.sum() - 1} more outside")
    rows = np.flatnonzero(np.all(np.isfinite(u), -1) & np.isfinite(log_det))
    if len(rows) < 0.99 * len(u):
        raise ValueError(f"expected theta within the prior's support, got {len(u) - len(rows)} of {len(u)} on its edge")
    return u[rows], rows


def _check_resolution(vectors: np.ndarray, precision: tf.DType) -> None:
    """Refuses parameters that vary by little more than the rounding to a dtype."""
    deviation = vectors.std(0, np.float64)
    largest = np.max(np.abs(vectors), 0)
    coarse = (np.ptp(vectors, 0) > 0) & (deviation < least_deviation(largest, precision.as_numpy_dtype))
    if np.any(coarse):
        place = int(np.argmax(coarse))
        raise ValueError(
            f"expected parameters that {precision.name} can tell apart, got a standard deviation of "
            f"{deviation[place]:.3g} among values up to {largest[place]:.3g} at {place}: subtract an offset"
        )


def _model(
    u: np.ndarray,
    observed: np.ndarray,
    flow: Callable[..., flows.FlowDistribution] | None,
    embedding: Any,
    clip_norm: float,
    seed: int,
) -> PosteriorModel:
    keras.utils.set_random_seed(seed)
    axes = (0,) if observed.ndim <= 2 else tuple(range(observed.ndim - 1))
    # In float32, squares of numbers of 1e20 or 1e-25 are infinite or 0.
    mean, deviation = observed.mean(axes, np.float64), observed.std(axes, np.float64)
    # Rounding may give a constant entry a deviation above 0.
    deviation = np.where(np.ptp(observed, axes) > 0, deviation, 1.0)
    if not (np.all(np.isfinite(deviation)) and np.all(deviation > 0)):
        raise ValueError(f"expected observations with a finite standard deviation above 0, got {deviation}")
    layer = embedding if embedding is None or isinstance(embedding, keras.layers.Layer) else embedding()
    context_size = int(np.prod(observed.shape[1:]))
    if layer is not None:
        shape = layer(tf.constant((observed[:2] - mean) / deviation, tf.float32)).shape
        if len(shape) != 2:
            raise ValueError(f"expected an embedding that returns vectors [n, size], got shape {tuple(shape)}")
        context_size = shape[-1]
    if len(constant := np.flatnonzero(np.ptp(u, 0) == 0)):
        raise ValueError(f"expected parameters that vary, got constants at {constant.tolist()}")
    made = (flow or _spline_flow)(event_shape=u.shape[1], context_size=context_size)
    distribution = flows.standardized(made, u.mean(0, np.float64), u.std(0, np.float64))
    return PosteriorModel(distribution, mean, deviation, layer, l2=0.0, clip_norm=clip_norm, seed=seed)


def _spline_flow(*, event_shape: int, context_size: int) -> flows.FlowDistribution:
    # Posteriors have few parameters: a sample costs little more than that of couplings, which learn less from as many
    # simulations.
    return flows.autoregressive_flow(
        event_shape=event_shape,
        context_size=context_size,
        layers=5 if event_shape > 1 else 2,
        transformer="spline(bins=8, bound=5.0)",
        hidden_units=(64, 64),
        activation="silu",
    )
