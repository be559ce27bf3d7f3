"""The tail of importance weights: Pareto smoothing."""

import math
from typing import Any

import numpy as np

# Fewer weights have no tail to fit.
_LEAST = 25


def pareto_smoothed(log_weights: Any) -> tuple[np.ndarray, float]:
    """Smooths the largest importance weights by a generalised Pareto distribution, and returns its shape k.

        P(w - u > t | w > u) ~ (1 + k t / sigma)^(-1 / k),    u: the threshold of the largest M weights
        M = min(n / 5, 3 sqrt(n))

    The j-th smallest of the M largest weights is replaced by the quantile of (j - 1/2) / M, at most the largest
    weight. k and sigma are the posterior means of Zhang and Stephens (2009), with k drawn towards 1/2 as by ten further
    weights.

    Weights have finite moments of orders below 1 / k:

    * k < 0.5: a finite variance. Means over the weights have a standard error that shrinks as 1 / sqrt(n).
    * 0.5 <= k <= 0.7: an infinite variance, but smoothed means are still reliable at feasible n.
    * 0.7 < k < 1: the n that is needed grows beyond reach. Estimates and their standard errors are too small.
    * k >= 1: not even the mean exists.

    Args:
      log_weights: log w, `[n]`, up to a constant; -inf for a weight of 0.

    Returns:
      The smoothed log-weights, float64 `[n]` in the given order, and k.

    Raises:
      ValueError: for fewer than 25 weights, for NaN or +inf, or if fewer than 5 weights are above the threshold.

    ```python
    weights, k = nvp.mcmc.pareto_smoothed(np.log(np.random.default_rng(0).pareto(2.0, 1000)))  # [1000], []
    ```

    Vehtari, Simpson, Gelman, Yao, Gabry. Pareto smoothed importance sampling. JMLR 25, 2024. arXiv 1507.02646.
    Zhang, Stephens. A new and efficient estimation method for the generalized Pareto distribution. Technometrics 51,
    2009.
    """
    given = np.asarray(log_weights, np.float64)
    if given.ndim != 1 or given.size < _LEAST:
        raise ValueError(f"expected at least {_LEAST} log-weights [n], got shape {list(given.shape)}")
    if np.any(np.isnan(given)) or np.max(given) == math.inf:
        raise ValueError("expected log-weights that are finite or -inf, got NaN or +inf")
    size = math.ceil(min(given.size / 5, 3 * math.sqrt(given.size)))
    order = np.argsort(given)
    tail, largest = order[-size:], given[order[-1]]
    scaled = np.exp(given[order] - largest) if largest > -math.inf else np.zeros(given.size)
    threshold = scaled[-size - 1]
    excess = scaled[-size:] - threshold
    if np.sum(excess > 0) < 5:
        raise ValueError(
            f"expected weights that differ, got {int(np.sum(excess > 0))} of the largest {size} above the next: the "
            "target has no density at most draws, or is the flow's own"
        )
    k, sigma = _generalized_pareto(excess)
    quantiles = (np.arange(size) + 0.5) / size
    # At k = 0 the distribution is exponential.
    standard = -np.log1p(-quantiles) if abs(k) < 1e-12 else np.expm1(-k * np.log1p(-quantiles)) / k
    smoothed = given.copy()
    smoothed[tail] = np.minimum(np.log(threshold + sigma * standard), 0.0) + largest
    return smoothed, float(k)


def _generalized_pareto(excess: np.ndarray) -> tuple[float, float]:
    """k and sigma of sorted excesses over the threshold, by Zhang and Stephens' empirical Bayes."""
    excess = excess[excess > 0]
    count = excess.size
    points = 30 + int(math.sqrt(count))
    quarter = excess[int(count / 4 + 0.5) - 1]
    theta = 1 / excess[-1] + (1 - np.sqrt(points / (np.arange(points) + 0.5))) / (3 * quarter)
    theta = theta[theta != 0]  # Where many weights are equal, one may be, and its likelihood is 0/0.
    # The profile likelihood of theta = -k / sigma.
    k = np.mean(np.log1p(-theta[:, np.newaxis] * excess), axis=1)
    log_likelihood = count * (np.log(-theta / k) - k - 1)
    weights = np.exp(log_likelihood - np.max(log_likelihood))
    mean = np.sum(theta * weights) / np.sum(weights)
    k_of_mean = np.mean(np.log1p(-mean * excess))
    return (count * k_of_mean + 10 * 0.5) / (count + 10), -k_of_mean / mean
