"""The log-likelihood of a model on a set of vectors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp


@dataclasses.dataclass(frozen=True)
class LogLikelihood:
    """A mean of log p(x) over vectors, in nats: higher is better.

    Attributes:
      nats: the mean.
      standard_error: of the mean, over the vectors.
      num_examples: how many vectors.
    """

    nats: float
    standard_error: float
    num_examples: int

    @classmethod
    def of_vectors(cls, log_probs: np.ndarray) -> LogLikelihood:
        """The mean that the log-probabilities of each vector, `[num_examples]`, make."""
        log_probs = np.asarray(log_probs, np.float64)
        if not len(log_probs):
            raise ValueError("expected at least one vector to evaluate on, got none")
        with np.errstate(invalid="ignore"):  # A vector outside the support.
            deviation = np.std(log_probs, ddof=1) if len(log_probs) > 1 else math.nan
        return cls(float(np.mean(log_probs)), float(deviation / math.sqrt(len(log_probs))), len(log_probs))

    def __str__(self) -> str:
        vectors = f"{self.num_examples:,} vector{'s' * (self.num_examples != 1)}"
        return f"{self.nats:.4f} +- {self.standard_error:.4f} nats ({vectors})"


def log_likelihood(
    distribution: tfp.distributions.Distribution,
    batches: tf.data.Dataset | Iterable[np.ndarray],
    *,
    jit_compile: bool = False,
) -> LogLikelihood:
    """The mean of log p(x) over vectors, with its standard error, summed in float64.

    Args:
      distribution: one over vectors, as from `maf`; batch norm uses its moving statistics.
      batches: of floats `[batch, size]`, whose sizes may differ. Each is read once.
      jit_compile: whether to compile with XLA.

    Raises:
      ValueError: when there is no vector.

    #### Examples

    ```python
    distribution = nvp.maf(event_shape=(2,), layers=2, hidden_units=(8,))
    print(log_likelihood(distribution, [np.zeros([10, 2], np.float32)]))
    ```
    """
    log_prob = tf.function(
        lambda x: distribution.log_prob(x),
        input_signature=[tf.TensorSpec([None, *distribution.event_shape], distribution.dtype)],
        jit_compile=jit_compile,
    )
    found = [log_prob(tf.cast(batch, distribution.dtype)).numpy() for batch in batches]
    return LogLikelihood.of_vectors(np.concatenate(found) if found else [])
