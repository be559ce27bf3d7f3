"""Paths and surfaces between latents."""

import numpy as np


def linear(z_1: np.ndarray, z_2: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Linear interpolation between two latents.

        z(t) = (1 - t) z_1 + t z_2

    Two standard normal draws in D dimensions have norm about sqrt(D), but their midpoint has norm about sqrt(D / 2): it
    lies closer to the origin than the latents of training. `spherical` avoids this.

    Args:
      z_1: a latent of any shape, at t = 0.
      z_2: another of that shape, at t = 1.
      t: numbers `[n]`.

    Returns:
      Latents `[n, *shape]`.

    ```python
    linear(np.zeros([2]), np.ones([2]), np.linspace(0, 1, 3))  # [[0, 0], [.5, .5], [1, 1]]
    ```
    """
    _check_shapes(z_1, z_2)
    t = _column(t, np.ndim(z_1))
    return (1 - t) * z_1 + t * z_2


def spherical(z_1: np.ndarray, z_2: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Spherical interpolation: the path along a great circle between two latents.

        z(t) = (sin((1 - t) w) z_1 + sin(t w) z_2) / sin w,  w the angle between z_1 and z_2

    Between latents of equal norm the norm stays constant. If the sine is below 1e-7, for latents in the same or in
    opposite directions, `linear` is used instead: between opposite points there is no unique shortest path.

    Args:
      z_1: a latent of any shape, at t = 0.
      z_2: another of that shape, at t = 1.
      t: numbers `[n]`.

    Returns:
      Latents `[n, *shape]`.

    ```python
    spherical(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([0.5]))  # [[.71, .71]]
    ```

    Shoemake. Animating rotation with quaternion curves. SIGGRAPH 1985.
    """
    _check_shapes(z_1, z_2)
    one, two = (np.asarray(z, np.float64).ravel() for z in (z_1, z_2))
    norms = np.linalg.norm(one) * np.linalg.norm(two)
    angle = np.arccos(np.clip(one @ two / norms, -1, 1)) if norms else 0.0
    if np.sin(angle) < 1e-7:
        return linear(z_1, z_2, t)
    t = _column(t, np.ndim(z_1))
    return (np.sin((1 - t) * angle) * z_1 + np.sin(t * angle) * z_2) / np.sin(angle)


def manifold(z: np.ndarray, phi: np.ndarray, phi_prime: np.ndarray) -> np.ndarray:
    """The surface that two angles span between four latents.

        z(phi, phi') = cos(phi) (cos(phi') z_1 + sin(phi') z_2) + sin(phi) (cos(phi') z_3 + sin(phi') z_4)

    The squares of the weights sum to 1, so for independent standard normal latents every point is standard normal, too.
    The corners (0, 0), (0, pi/2), (pi/2, 0), (pi/2, pi/2) are the four latents.

    Args:
      z: four latents `[4, *shape]`.
      phi: angles `[n]`.
      phi_prime: angles `[m]`.

    Returns:
      Latents `[n, m, *shape]`.

    Raises:
      ValueError: unless there are four latents.

    ```python
    angles = np.arange(8) * np.pi / 4  # as in the paper
    z = manifold(np.random.default_rng(0).normal(size=[4, 8, 8, 1]), angles, angles)  # [8, 8, 8, 8, 1]
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Section 4.2 and appendix B.
    """
    z = np.asarray(z)
    if len(z) != 4:
        raise ValueError(f"expected four latents, got {len(z)}")
    first, second = (np.stack([np.cos(angles), np.sin(angles)], -1) for angles in (phi, phi_prime))
    return np.einsum("na,mb,ab...->nm...", first, second, z.reshape(2, 2, *z.shape[1:]))


def tour(z: np.ndarray, steps: int) -> np.ndarray:
    """A closed path through latents back to the first, with spherical interpolation in between.

    Args:
      z: latents `[n, *shape]`, n > 1.
      steps: number of points from one latent to the next, excluding the next.

    Returns:
      Latents `[n * steps, *shape]`; the k-th latent is at k * steps.

    Raises:
      ValueError: for fewer than two latents, or no step.

    ```python
    tour(np.eye(3), steps=2)  # [6, 3], at 0, 2 and 4 the rows of the unit matrix
    ```
    """
    if len(z) < 2 or steps < 1:
        raise ValueError(f"expected at least two latents and one step, got {len(z)} and {steps}")
    t = np.arange(steps) / steps
    return np.concatenate([spherical(z[i], z[(i + 1) % len(z)], t) for i in range(len(z))])


def _check_shapes(z_1: np.ndarray, z_2: np.ndarray) -> None:
    if np.shape(z_1) != np.shape(z_2):
        raise ValueError(f"expected two latents of one shape, got {np.shape(z_1)} and {np.shape(z_2)}")


def _column(t: np.ndarray, ndims: int) -> np.ndarray:
    """`[n]` as `[n, 1, ..., 1]`, to broadcast with latents of `ndims` axes."""
    return np.reshape(t, [-1, *[1] * ndims])
