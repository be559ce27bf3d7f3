"""Simulators with known posteriors, of the benchmark sbibm, reimplemented in NumPy.

Lueckmann, Boelts, Greenberg, Goncalves, Macke. Benchmarking simulation-based inference. AISTATS 2021. arXiv 2101.04653.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

_SQRT2 = 2**0.5
_DRAWS = 20_000
_MOST_ROUNDS = 200


@dataclasses.dataclass(frozen=True)
class Task:
    """A prior, a simulator and its posterior.

    Attributes:
      size: of the parameters.
      prior: from a generator and a count to parameters `[count, size]`.
      simulate: from a generator and parameters to observations `[count, ...]`.
      posterior: from a generator, one observation and a count to exact samples `[count, size]`.
      bound: the prior is uniform on [-bound, bound] in each entry; None if it is normal.
    """

    size: int
    prior: Callable[[np.random.Generator, int], np.ndarray]
    simulate: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    posterior: Callable[[np.random.Generator, np.ndarray, int], np.ndarray]
    bound: float | None

    def pairs(self, generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Parameters and observations, float32."""
        theta = self.prior(generator, count)
        return theta.astype(np.float32), self.simulate(generator, theta).astype(np.float32)


def _uniform(size: int, bound: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda generator, count: generator.uniform(-bound, bound, [count, size])


def _accepted(propose: Callable[[int], np.ndarray], count: int, bound: float) -> np.ndarray:
    """The first `count` proposals within the prior's support."""
    found: list[np.ndarray] = []
    for _ in range(_MOST_ROUNDS):
        proposed = propose(2 * count)
        found.append(proposed[np.all(np.abs(proposed) <= bound, -1)])
        if sum(map(len, found)) >= count:
            return np.concatenate(found)[:count]
    raise RuntimeError(f"expected {count} samples within the prior, got {sum(map(len, found))}")


# Two moons: a crescent of noise around a folded linear map.


def _crescent(generator: np.random.Generator, count: int) -> np.ndarray:
    angle, radius = generator.uniform(-np.pi / 2, np.pi / 2, count), generator.normal(0.1, 0.01, count)
    return np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], -1)


def _two_moons(generator: np.random.Generator, theta: np.ndarray) -> np.ndarray:
    folded = np.stack([-np.abs(theta.sum(-1)), theta[:, 1] - theta[:, 0]], -1) / _SQRT2
    return _crescent(generator, len(theta)) + folded


def _two_moons_posterior(generator: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    # Given the noise, x determines theta up to the fold, with a Jacobian of 1 on either side.
    def unfolded(number: int) -> np.ndarray:
        along, across = (x - _crescent(generator, number)).T
        sign = generator.choice([-1.0, 1.0], number)
        theta = np.stack([-sign * along - across, -sign * along + across], -1) / _SQRT2
        return np.where((along <= 0)[:, np.newaxis], theta, np.inf)  # -|theta_1 + theta_2| is never positive.

    return _accepted(unfolded, count, 1.0)


# Gaussian linear: ten means, prior and noise of variance 0.1.


def _gaussian_linear_posterior(generator: np.random.Generator, x: np.ndarray, count: int) -> np.ndarray:
    return x / 2 + generator.normal(0, 0.05**0.5, [count, len(x)])


# Gaussian mixture: one mean of two normals of unequal width.


def _mixture_noise(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.normal(size=[count, 2]) * generator.choice([1.0, 0.1], [count, 1])


# SLCP: four points of a normal distribution in the plane; mean, two square roots of deviations, and a correlation.


def _slcp_scale(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deviations and the correlation of the covariance."""
    return theta[..., 0] ** 2, theta[..., 1] ** 2, np.tanh(theta[..., 2])


def _correlated(noise: np.ndarray, scale: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Standard normal numbers `[..., 2]` with that covariance."""
    first, second, correlation = scale
    mixed = correlation * noise[..., 0] + np.sqrt(1 - correlation**2) * noise[..., 1]
    return np.stack([first * noise[..., 0], second * mixed], -1)


def _slcp(generator: np.random.Generator, theta: np.ndarray) -> np.ndarray:
    scale = tuple(part[:, np.newaxis] for part in _slcp_scale(theta[:, 2:]))
    points = theta[:, np.newaxis, :2] + _correlated(generator.normal(size=[len(theta), 4, 2]), scale)
    return points.reshape(len(theta), 8)


def _slcp_posterior(generator: np.random.Generator, x: np.ndarray, count: int, least: int = 20) -> np.ndarray:
    """Importance resampling: covariances from an inverse Wishart, given which the mean is normal within the bounds.

    With scatter S of the four points, the likelihood of the covariance C, the mean integrated out, is proportional to
    |C|^(-3/2) exp(-tr(S C^-1) / 2). The proposal, W(S^-1, 2) for C^-1, has that exponential; what is left of the weight
    is (s_1 s_2)^(-1/2) in the deviations s. The effective sample size is at least `least` times the count.
    """
    points = x.reshape(4, 2).astype(np.float64)
    centre = points.mean(0)
    root = np.linalg.cholesky(np.linalg.inv((points - centre).T @ (points - centre)))
    found, weights = [], []
    for _ in range(_MOST_ROUNDS):
        normals = root @ generator.normal(size=[_DRAWS, 2, 2])
        covariance = np.linalg.inv(normals @ normals.swapaxes(-1, -2))
        first, second = np.sqrt(covariance[:, 0, 0]), np.sqrt(covariance[:, 1, 1])
        correlation = np.clip(covariance[:, 0, 1] / (first * second), -1 + 1e-12, 1 - 1e-12)
        scale = first, second, correlation
        mean = centre + _correlated(generator.normal(size=[_DRAWS, 2]), scale) / 2
        signs = generator.choice([-1.0, 1.0], [_DRAWS, 2])
        roots = signs * np.sqrt(np.stack([first, second], -1))
        theta = np.concatenate([mean, roots, np.arctanh(correlation)[:, np.newaxis]], -1)
        inside = np.all(np.abs(theta) <= 3, -1)
        found.append(theta[inside])
        weights.append((first * second)[inside] ** -0.5)
        weight = np.concatenate(weights)
        if weight.sum() ** 2 / np.sum(weight**2) >= least * count:
            return np.concatenate(found)[generator.choice(len(weight), count, p=weight / weight.sum())]
    raise RuntimeError(f"expected an effective sample size of {least * count} after {_MOST_ROUNDS} rounds")


TASKS = {
    "two_moons": Task(2, _uniform(2, 1.0), _two_moons, _two_moons_posterior, 1.0),
    "slcp": Task(5, _uniform(5, 3.0), _slcp, _slcp_posterior, 3.0),
    "gaussian_linear": Task(
        10,
        lambda generator, count: generator.normal(0, 0.1**0.5, [count, 10]),
        lambda generator, theta: theta + generator.normal(0, 0.1**0.5, theta.shape),
        _gaussian_linear_posterior,
        None,
    ),
    "gaussian_mixture": Task(
        2,
        _uniform(2, 10.0),
        lambda generator, theta: theta + _mixture_noise(generator, len(theta)),
        lambda generator, x, count: _accepted(lambda number: x + _mixture_noise(generator, number), count, 10.0),
        10.0,
    ),
}
