"""Conceptual compression: images without their finer latents."""

import numpy as np

FILLS = ("noise", "zeros")


def keep_coarse(
    z: np.ndarray, scales: np.ndarray, coarsest_of: int, *, fill: str = "noise", seed: int = 0
) -> np.ndarray:
    """Keeps the latents of coarse scales and replaces the entries of finer scales.

        z'_i = z_i     if s_i >= k
               e_i     otherwise, e_i ~ N(0, 1), or 0

    `s_i` is the scale at which entry i is final, 0 the finest. With k = 0 all entries are kept; at k > 0, decoding z'
    shows how much of an image its coarser latents determine.

    Args:
      z: latents `[n, height, width, channels]`.
      scales: the result of `tfp_realnvp.flows.scale_of_latents`, `[height, width, channels]`.
      coarsest_of: k.
      fill: "noise" or "zeros"; zeros put the other entries at their mode and give smoother images than samples.
      seed: seed of the noise, which does not depend on k.

    Returns:
      Latents of the same shape.

    Raises:
      ValueError: for another fill, a k outside 0 ... number of scales, or scales of another shape.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), scales=2, levels=17)
    scales = nvp.flows.scale_of_latents((8, 8, 1), nvp.flows.split_orders(distribution.flow))
    z = nvp.evaluation.encode(distribution, distribution.sample(3, seed=0))
    images = nvp.evaluation.decode(distribution, keep_coarse(z, scales, 1))  # from half of the latents
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Appendix D.
    Gregor, Besse, Rezende, Danihelka, Wierstra. Towards conceptual compression. NeurIPS 2016. arXiv 1604.08772.
    """
    if fill not in FILLS:
        raise ValueError(f"expected fill to be one of {', '.join(FILLS)}, got {fill!r}")
    if z.shape[1:] != scales.shape:
        raise ValueError(f"expected scales of shape {z.shape[1:]}, got {scales.shape}")
    most = int(scales.max()) + 1
    if not 0 <= coarsest_of <= most:
        raise ValueError(f"expected a scale in 0 ... {most}, got {coarsest_of}")
    rest = np.random.default_rng(seed).normal(size=z.shape) if fill == "noise" else np.zeros(z.shape)
    return np.where(scales >= coarsest_of, z, rest).astype(z.dtype)
