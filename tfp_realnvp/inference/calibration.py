"""Whether a posterior's credible regions contain the parameters as often as they should."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_realnvp.inference.parts import Parts

_MOST_BINS = 20
_PAIRS_IN_A_BIN = 5


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The ranks of true parameters among samples of a posterior, by one or more statistics s.

        r_i = number of samples theta_i1 ... theta_iL ~ q(theta | x_i) with s(theta_il) < s(theta_i)

    If q is the exact posterior, r_i is uniform on 0 ... L, for every s that is continuous. The sets {s(theta) <= c} are
    nested credible regions; the rank is the probability of the smallest that contains the truth, in units of 1/L.

    Attributes:
      ranks: integers `[n, statistics]`.
      samples: L.
      names: of the statistics.

    Raises:
      ValueError: for ranks of another shape or dtype, none, or outside of 0 ... L.

    ```python
    exact = nvp.inference.Calibration(np.arange(100)[:, np.newaxis], samples=99, names=("density",))
    exact.p_values                    # {"density": 1.0}
    exact.coverage([0.5, 0.9])        # [2, 1]
    ```
    """

    ranks: np.ndarray
    samples: int
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", np.asarray(self.ranks))
        shape = self.ranks.shape
        if len(shape) != 2 or shape[1] != len(self.names) or not shape[0] or self.ranks.dtype.kind not in "iu":
            raise ValueError(f"expected integer ranks [n, {len(self.names)}], got {self.ranks.dtype} of {list(shape)}")
        if np.any((self.ranks < 0) | (self.ranks > self.samples)):
            raise ValueError(f"expected ranks in 0 ... {self.samples}, got {self.ranks.min()} to {self.ranks.max()}")

    @property
    def p_values(self) -> dict[str, float]:
        """The p-value of a chi-squared test that ranks are uniform, for each statistic.

        A small p-value shows that the posterior is wrong. If it is right, the smallest of k p-values is below p / k
        with a probability of at most p.
        """
        counts = np.stack([np.bincount(part, minlength=self.bins) for part in self._binned().T])
        expected = len(self.ranks) / self.bins
        statistic = np.sum((counts - expected) ** 2 / expected, -1)
        p = tf.math.igammac(tf.constant((self.bins - 1) / 2, tf.float64), statistic / 2)
        return dict(zip(self.names, p.numpy().tolist()))

    @property
    def bins(self) -> int:
        """The most equal bins of the L + 1 ranks, up to 20, that leave 5 pairs or more in a bin."""
        most = min(_MOST_BINS, len(self.ranks) // _PAIRS_IN_A_BIN)
        bins = max((count for count in range(1, most + 1) if (self.samples + 1) % count == 0), default=1)
        if bins < 2:
            raise ValueError(
                f"expected {2 * _PAIRS_IN_A_BIN} pairs or more, and a number of samples whose successor has a divisor "
                f"up to {_MOST_BINS}, such as 99, got {len(self.ranks)} pairs and {self.samples} samples"
            )
        return bins

    def histogram(self) -> np.ndarray:
        """The share of the ranks in each bin, `[bins, statistics]`; uniform is `1 / bins`."""
        binned = self._binned()
        return np.stack([np.bincount(part, minlength=self.bins) for part in binned.T], -1) / len(binned)

    def coverage(self, levels: ArrayLike) -> np.ndarray:
        """The share of pairs within the credible region of each level, `[levels, statistics]`.

        A rank counts as uniform on [r, r + 1) / (L + 1), so that the expectation of an exact posterior is the level.
        Its standard error is `sqrt(level (1 - level) / n)`.

        Args:
          levels: numbers from 0 to 1, `[levels]`.

        Raises:
          ValueError: for others, such as levels in percent.
        """
        given = np.asarray(levels, np.float64)
        if given.ndim != 1 or not np.all((given >= 0) & (given <= 1)):
            raise ValueError(f"expected levels [levels] from 0 to 1, got {given.tolist()}")
        scaled = given[:, np.newaxis, np.newaxis] * (self.samples + 1)
        return np.mean(np.clip(scaled - self.ranks, 0, 1), 1)

    def _binned(self) -> np.ndarray:
        return self.ranks * self.bins // (self.samples + 1)


def rank_statistics(posterior: Any, theta: Any, x: Any, *, samples: int = 99, seed: int = 0) -> Calibration:
    """Simulation-based calibration: the ranks of each entry of the parameters.

        s_j(theta) = theta_j;    regions (-inf, q_j], one for each entry

    It detects a bias, a wrong scale or a wrong shape of a marginal. It detects neither a wrong dependence between
    entries nor a posterior that ignores x: the prior itself passes.

    Args:
      posterior: has `sample(count, x, seed=)`, as `Posterior` has.
      theta: true parameters of pairs that were not in training, `[n, *shape]` or by name.
      x: their observations.
      samples: L, posterior samples for each pair.
      seed: seed of the samples.

    Returns:
      A `Calibration` with one statistic for each entry; ranks are low if the truth lies low in the posterior.

    Raises:
      ValueError: if the samples are not finite or have another shape.

    Talts, Betancourt, Simpson, Vehtari, Gelman. Validating Bayesian inference algorithms with simulation-based
    calibration. arXiv 1804.06788.
    """
    parts, truth, drawn, _ = _truth_and_samples(posterior, theta, x, samples, seed)
    return Calibration(_ranks(truth, drawn), samples, parts.entries)


def expected_coverage(posterior: Any, theta: Any, x: Any, *, samples: int = 99, seed: int = 0) -> Calibration:
    """Expected coverage of the regions of highest posterior density.

        s(theta) = -log q(theta | x);    regions {theta: q(theta | x) >= c}

    It detects a posterior that is too narrow (coverage below the level) or too wide (above), in all entries at once. It
    detects neither a bias that keeps the rank of the density nor a posterior that ignores x: the prior itself passes.

    Args:
      posterior: has `sample(count, x, seed=)` and `log_prob(theta, x)`.
      theta: true parameters of pairs that were not in training, `[n, *shape]` or by name.
      x: their observations.
      samples: L, posterior samples for each pair.
      seed: seed of the samples.

    Returns:
      A `Calibration` with the one statistic "density".

    Raises:
      ValueError: if densities or samples are not finite or have another shape.

    Hermans et al. A trust crisis in simulation-based inference? TMLR 2022. arXiv 2110.06581.
    """
    parts, truth, drawn, precision = _truth_and_samples(posterior, theta, x, samples, seed)
    of_truth = -np.asarray(posterior.log_prob(theta, x), np.float64)
    of_drawn = -np.asarray(posterior.log_prob(parts.values(tf.constant(drawn, precision)), x), np.float64)
    if of_truth.shape != truth.shape[:1] or of_drawn.shape != drawn.shape[:2]:
        raise ValueError(
            f"expected densities {truth.shape[:1]}, {drawn.shape[:2]}, got {of_truth.shape}, {of_drawn.shape}"
        )
    # A truth outside of the posterior's support has a density of 0: the last rank.
    if np.isnan(of_truth).any() or not np.isfinite(of_drawn).all():
        raise ValueError("expected finite log-densities of the posterior's samples, got NaN or infinity")
    return Calibration(_ranks(of_truth[:, np.newaxis], of_drawn[..., np.newaxis]), samples, ("density",))


def tarp(
    posterior: Any, theta: Any, x: Any, *, references: ArrayLike | None = None, samples: int = 99, seed: int = 0
) -> Calibration:
    """Tests of accuracy with random points (TARP): coverage of balls around random reference points.

        s(theta) = |theta - r|,    r random and independent of theta given x;    regions {|theta - r| <= c}

    Distances are in standard deviations of the true parameters. It needs samples only. It detects a posterior that is
    too narrow or too wide, a bias and a wrong dependence. It does not detect that the posterior ignores x, unless the
    references depend on x.

    Args:
      posterior: has `sample(count, x, seed=)`.
      theta: true parameters of pairs that were not in training, `[n, *shape]` or by name.
      x: their observations.
      references: reference points `[n, size]`, which may depend on x; by default uniform on the parameters' range.
      samples: L, posterior samples for each pair.
      seed: seed of the samples and the references.

    Returns:
      A `Calibration` with the one statistic "distance".

    Raises:
      ValueError: if samples or references are not finite or have another shape, or a parameter is constant.

    Lemos, Coogan, Hezaveh, Perreault-Levasseur. Sampling-based accuracy testing of posterior estimators for general
    inference. ICML 2023. arXiv 2302.03026.
    """
    _, truth, drawn, _ = _truth_and_samples(posterior, theta, x, samples, seed)
    if len(constant := np.flatnonzero(np.ptp(truth, 0) == 0)):
        raise ValueError(f"expected parameters that vary, got constants at {constant.tolist()}")
    deviation = truth.std(0)
    if references is None:
        points = np.random.default_rng(seed).uniform(truth.min(0), truth.max(0), truth.shape)
    else:
        points = np.asarray(references, np.float64)
        if points.shape != truth.shape or not np.isfinite(points).all():
            got = points.shape if points.shape != truth.shape else "NaN or infinity"
            raise ValueError(f"expected finite references of shape {truth.shape}, got {got}")

    def distance(vectors: np.ndarray) -> np.ndarray:
        return np.linalg.norm((vectors - points) / deviation, axis=-1)[..., np.newaxis]

    return Calibration(_ranks(distance(truth), distance(drawn)), samples, ("distance",))


def _truth_and_samples(
    posterior: Any, theta: Any, x: Any, samples: int, seed: int
) -> tuple[Parts, np.ndarray, np.ndarray, tf.DType]:
    """Parameters `[n, size]` and samples `[samples, n, size]` as float64, and the samples' own dtype."""
    if samples < 1:
        raise ValueError(f"expected 1 sample or more, got {samples}")
    parts = Parts.of(theta, "theta")
    truth = parts.vectors(theta, "theta").numpy().astype(np.float64)
    of_posterior = parts.vectors(posterior.sample(samples, x, seed=seed), "the samples")
    drawn = of_posterior.numpy().astype(np.float64)
    if drawn.shape != (samples, *truth.shape):
        raise ValueError(f"expected samples of shape {(samples, *truth.shape)}, got {drawn.shape}")
    if not (np.isfinite(truth).all() and np.isfinite(drawn).all()):
        raise ValueError("expected finite parameters and samples, got NaN or infinity")
    return parts, truth, drawn, of_posterior.dtype


def _ranks(truth: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    return np.sum(drawn < truth, 0)
