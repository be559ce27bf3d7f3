"""A posterior that conditional flows have learned."""

from __future__ import annotations

import functools
import math
import numbers
import os
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp import paths, storage
from tfp_realnvp.inference.parts import Parts, joined
from tfp_realnvp.inference.support import Support
from tfp_realnvp.training import FlowModel

FORMAT = "tfp_realnvp posterior 1"


class PosteriorModel(FlowModel):
    """A conditional flow of unbounded parameters, and the network that embeds an observation.

        log q(u | x) = log flow(u | e((x - mean) / deviation))

    It trains on standardised observations: float32 may not tell observations apart that are far from 0.

    Args:
      distribution: a conditional flow.
      mean: of the observations, for each entry.
      deviation: likewise.
      embedding: a built Keras layer from standardised observations to vectors; None for observations that are vectors.
      **options: of `FlowModel`.
    """

    def __init__(self, distribution: Any, mean: np.ndarray, deviation: np.ndarray, embedding: Any, **options: Any):
        super().__init__(distribution, **options)
        self.mean, self.deviation = (tf.constant(moment, tf.float64) for moment in (mean, deviation))
        self.embedding = embedding

    def standardized(self, x: Any) -> tf.Tensor:
        """Standardised observations, float32; computed in the precision of the observations."""
        x = tf.convert_to_tensor(x)
        return tf.cast((x - tf.cast(self.mean, x.dtype)) / tf.cast(self.deviation, x.dtype), tf.float32)

    def context_of(self, given: tf.Tensor) -> tf.Tensor:
        """The flow's context of standardised observations."""
        return tf.reshape(given, [tf.shape(given)[0], -1]) if self.embedding is None else self.embedding(given)


class Posterior:
    """The posterior of parameters given an observation, learned by K flows.

        q(theta | x) = 1/K sum_k q_k(T^-1(theta) | x) |det dT^-1/dtheta|

    T maps unbounded numbers to the prior's support, so that every sample lies in it. `fit_posterior` makes one.

    Attributes:
      members: the models of the flows, of type `FlowModel`; `members[0].distribution` is a flow of unbounded
        parameters.
      entries: a name for each entry of a vector of parameters.
      histories: of each flow, the figures of each epoch by name: "loss" and "val_loss", in nats.

    ```python
    theta = np.random.default_rng(0).normal(size=[200, 2]).astype(np.float32)
    posterior = nvp.inference.fit_posterior(theta, theta + 1, max_epochs=2)
    posterior.sample(5, theta[0] + 1)       # [5, 2]
    posterior.log_prob(theta, theta + 1)    # [200]
    ```
    """

    def __init__(
        self,
        members: Sequence[PosteriorModel],
        support: Support,
        observations: Parts,
        histories: Sequence[dict[str, list[float]]],
    ):
        self.members, self.histories = list(members), list(histories)
        self._support, self._observations = support, observations
        flows = [model.distribution for model in members]
        graph = functools.partial(tf.function, autograph=False, reduce_retracing=True)
        self._log_probs, self._samples = (
            [graph(flow.log_prob) for flow in flows],
            [graph(flow.sample) for flow in flows],
        )

    @property
    def entries(self) -> tuple[str, ...]:
        return self._support.parts.entries

    def log_prob(self, theta: Any, x: Any) -> tf.Tensor:
        """The log-density of parameters in nats, `[...]`, in their own units; -inf outside the prior's support.

        As of any flow, it is also -inf so far out that a density overflows.

        Args:
          theta: parameters, an array `[..., *shape]` or arrays by name, as in training.
          x: an observation, or several, `[..., *shape]`; batch axes of both are broadcast.

        Raises:
          ValueError: for other shapes or names, a parameter that is NaN, or an observation that is not finite.
        """
        vectors = self._support.parts.vectors(theta, "theta")
        if tf.reduce_any(tf.math.is_nan(vectors)):
            raise ValueError("expected parameters that are numbers, got NaN")
        u, log_det = self._support.unbounded(tf.reshape(vectors, [-1, self._support.parts.size]))
        is_inside = tf.reduce_all(tf.math.is_finite(u), -1) & tf.math.is_finite(log_det)
        u = tf.where(is_inside[:, tf.newaxis], u, tf.zeros_like(u))
        log_det = tf.where(is_inside, log_det, tf.constant(-math.inf, log_det.dtype))
        contexts, of_x = self._contexts(x)
        of_theta = tf.shape(vectors)[:-1]
        try:
            batch = tf.broadcast_dynamic_shape(of_theta, of_x)
        except tf.errors.InvalidArgumentError:
            raise ValueError(
                f"expected batch axes of theta and x that broadcast, got {of_theta.numpy()} and {of_x.numpy()}"
            ) from None

        def rows(values: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
            size = values.shape[-1]
            wide = tf.broadcast_to(tf.reshape(values, [*shape, size]), [*batch, size])
            return tf.reshape(wide, [-1, size])

        u, log_det = (rows(part, of_theta) for part in (u, log_det[:, tf.newaxis]))
        log_probs = [f(u, context=rows(context, of_x)) for f, context in zip(self._log_probs, contexts)]
        log_prob = tf.reduce_logsumexp(tf.stack(log_probs), 0) - math.log(len(log_probs)) + log_det[:, 0]
        return tf.reshape(log_prob, batch)

    def sample(self, count: int, x: Any, *, seed: int = 0) -> Any:
        """Draws parameters: `[count, *shape]` for one observation, `[count, n, *shape]` for n of them.

        Args:
          count: number of samples for each observation.
          x: an observation `[*shape]`, or several, `[n, *shape]`; or arrays by name.
          seed: seed of the draws.

        Returns:
          An array, or a dict of arrays if the parameters have names.
        """
        if not isinstance(count, numbers.Integral) or count < 0:
            raise ValueError(f"expected a count of 0 or more, got {count}")
        contexts, of_x = self._contexts(x)
        random = np.random.default_rng(seed)
        counts = random.multinomial(count, [1 / len(contexts)] * len(contexts))
        drawn = [
            sample(tf.stack([int(wanted), tf.shape(context)[0]]), seed=tf.constant([seed, k]), context=context)
            for k, (sample, context, wanted) in enumerate(zip(self._samples, contexts, counts))
        ]
        u = drawn[0] if len(drawn) == 1 else tf.gather(tf.concat(drawn, 0), random.permutation(count))
        vectors = self._support.bounded(tf.reshape(u, [-1, self._support.size]))
        return self._support.parts.values(tf.reshape(vectors, [count, *of_x, self._support.parts.size]))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file for `nvp.inference.load`: flows, embeddings, names and histories, but not the prior.

        The file is a pickle, for this version of the package. An embedding must be a Keras layer that Keras can save.
        """
        content = {
            "format": FORMAT,
            "members": [
                (model.distribution, model.mean.numpy(), model.deviation.numpy(), model.embedding)
                for model in self.members
            ],
            "parts": self._support.parts,
            "observations": self._observations,
            "example": self._support.example,
            "probe": self._support.probe(),
            "histories": self.histories,
        }
        storage.write(paths.local(path), pickle.dumps(content))

    def _contexts(self, x: Any) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The contexts of each flow, `[rows, context_size]`, and the batch shape of the observations."""
        x, shape = observation_of(self._observations, x), event_shape_of(self._observations)
        rows = tf.reshape(x, [-1, *shape])
        contexts = [model.context_of(model.standardized(rows)) for model in self.members]
        return contexts, tf.shape(x)[: x.shape.rank - len(shape)]


def observation_of(parts: Parts, x: Any) -> tf.Tensor:
    """Observations as one tensor: one part keeps its shape, several are flattened and joined.

    Raises:
      ValueError: for values that are not finite.
    """
    arrays = parts.arrays(x, "x")
    found = arrays[0] if len(arrays) == 1 else joined(arrays, parts.shapes)
    if not tf.reduce_all(tf.math.is_finite(found)):
        raise ValueError("expected finite observations, got NaN or infinity: leave these pairs out or encode them")
    return found


def event_shape_of(parts: Parts) -> tuple[int, ...]:
    """The shape of one observation by `observation_of`."""
    return parts.shapes[0] if len(parts.shapes) == 1 else (parts.size,)
