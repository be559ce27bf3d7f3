"""A typicality test of groups of events."""

import numpy as np


def group_p_values(groups: np.ndarray, calibration: np.ndarray, *, resamples: int = 1_000, seed: int = 0) -> np.ndarray:
    """p-values of groups of M events: is their mean log-density that of the calibration events?

        T = |mean_m log p(x_m) - mean_i log p(c_i)|
        p = (1 + #{k: T_k >= T}) / (K + 1)

    T_k is the same statistic of a bootstrap: M and n of the n calibration log-densities, both drawn with replacement.
    The standard deviation of a mean is 1 / sqrt(M) times a single event's, so groups show shifts that single events do
    not. Resampling the
    calibration events, too, accounts for the error of their mean, which matters unless M is much smaller than n.

    The level is asymptotic in n, unlike that of `p_values`: with n of some hundreds or more P(p <= a) is close to a.

    It fails for groups that mix regular and novel events, or events of too low and too high densities, whose mean is
    usual; and for M = 1 it is a worse `p_values`. The events of a group must be independent: frames of one film, or
    crops of one image, share a density that is above or below the mean, and are found novel though they are not.

    Args:
      groups: log-densities in nats, `[M]` of one group, or `[..., M]`.
      calibration: log-densities of events that the model was not trained on, `[n]`.
      resamples: K, the number of bootstrap samples; no p-value is below 1 / (K + 1).
      seed: seed of the bootstrap.

    Returns:
      float64, the shape of `groups` without its last axis.

    Raises:
      ValueError: for an empty group, fewer than 2 calibration events, numbers that are not finite, or no resamples.

    ```python
    random = np.random.default_rng(0)
    nvp.novelty.group_p_values(random.normal(0.5, size=[3, 40]), random.normal(size=2_000))  # [3]
    ```

    Nalisnick, Matsukawa, Teh, Lakshminarayanan. Detecting out-of-distribution inputs to deep generative models using
    typicality. 2019. arXiv 1906.02994. There the calibration events are not resampled.
    """
    groups, calibration = np.asarray(groups, np.float64), np.asarray(calibration, np.float64)
    if groups.ndim < 1 or not groups.shape[-1]:
        raise ValueError(f"expected groups [..., M] of at least one event, got {list(groups.shape)}")
    if calibration.ndim != 1 or len(calibration) < 2:
        raise ValueError(f"expected log-densities [n] of 2 calibration events or more, got {list(calibration.shape)}")
    if not (np.all(np.isfinite(groups)) and np.all(np.isfinite(calibration))):
        raise ValueError("expected finite log-densities, got others: leave out events that have no score")
    if resamples < 1:
        raise ValueError(f"expected resamples of 1 or more, got {resamples}")
    random, size = np.random.default_rng(seed), groups.shape[-1]
    center = np.mean(calibration)
    drawn = np.array(
        [
            np.mean(random.choice(calibration, size)) - np.mean(random.choice(calibration, len(calibration)))
            for _ in range(resamples)
        ]
    )
    ascending = np.sort(np.abs(drawn))
    distances = np.abs(np.mean(groups, axis=-1) - center)
    return (1 + resamples - np.searchsorted(ascending, distances, side="left")) / (resamples + 1)
