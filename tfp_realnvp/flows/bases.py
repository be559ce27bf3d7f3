"""The distributions of a latent that a name stands for."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.named import named

tfd = tfp.distributions


def normal(shape: Sequence[int], dtype: str) -> None:
    """Standard normal, the default of `FlowDistribution`."""


def student_t(shape: Sequence[int], dtype: str, df: float = 5.0) -> tfd.Distribution:
    """Entries of a Student-t with heavy tails, whose degrees of freedom are learned."""
    start = np.full(shape, df, tf.as_dtype(dtype).as_numpy_dtype)
    learned = tfp.util.TransformedVariable(start, tfp.bijectors.Softplus(), name="df")
    one = tf.ones([], dtype)
    return tfd.Independent(tfd.StudentT(learned, 0 * one, one), len(shape))


def mixture(shape: Sequence[int], dtype: str, components: int = 4) -> tfd.Distribution:
    """A mixture of Gaussians with diagonal covariances, whose weights, means and scales are learned."""
    means = np.random.default_rng(0).normal(size=[components, *shape])  # Apart, or all would learn the same.
    locs, logits = (tf.Variable(tf.cast(start, dtype)) for start in (means, np.zeros(components)))
    scales = tfp.util.TransformedVariable(tf.ones([components, *shape], dtype), tfp.bijectors.Softplus())
    parts = tfd.Independent(tfd.Normal(locs, scales), len(shape))
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), parts)


BASES = {"normal": normal, "student_t": student_t, "mixture": mixture}


def base_of(base: str | tfd.Distribution | None, shape: Sequence[int], dtype: str) -> tfd.Distribution | None:
    """The distribution that a factory was given as its `base`, perhaps by name; None for the default.

    Raises:
      ValueError: for an unknown name or option.
    """
    return named(base, BASES, "base")(shape, dtype) if isinstance(base, str) else base
