"""Conceptual compression: what an image is without its finer latents."""

import numpy as np

FILLS = ("noise", "zeros")


def keep_coarse(
    z: np.ndarray, scales: np.ndarray, coarsest_of: int, *, fill: str = "noise", seed: int = 0
) -> np.ndarray:
    """Latents whose entries of finer scales were thrown away.

        z'_i = z_i     where s_i >= k
               e_i     elsewhere, e_i ~ N(0, 1), or 0

    `s_i` is the scale at which entry i is final, 0 the finest. With k = 0 all is kept; what decodes from z' at k > 0
    is what the flow can say of an image from its coarser latents alone.

    Args:
      z: latents `[n, height, width, channels]`.
      scales: what `tfp_realnvp.flows.scale_of_latents` gives, `[height, width, channels]`.
      coarsest_of: k.
      fill: "noise" or "zeros"; with zeros the rest is at its mode, and an image smoother than a sample.
      seed: of the noise, which is the same for each k.

    Returns:
      Latents of that shape.

    Raises:
      ValueError: for another fill, a k that is no scale or one above, or scales of another shape.

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
