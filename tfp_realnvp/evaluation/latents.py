"""Draws latents of any size and temperature."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.flows import FlowDistribution


def draw_latents(
    distribution: FlowDistribution,
    count: int,
    *,
    seed: Sequence[int] | tf.Tensor = (0, 0),
    factor: int = 1,
    temperature: float = 1.0,
) -> np.ndarray:
    """Draws latents from the base, scaled by a temperature and optionally for larger images.

        z = T e,  e ~ N(0, I) of shape [factor height, factor width, channels]

    A base that is not standard normal is drawn from as it is: it has one size, and no temperature. At T = 1 and a
    factor of 1 they decode to `distribution.sample(count, seed=seed)`. A smaller T gives likelier latents and less
    varied images. Masks and networks do not depend on the image size, so a larger latent decodes to a larger image:
    textures extend to the larger image, global structure does not.

    Args:
      distribution: a flow over images or, with a factor of 1, over vectors.
      count: number of latents.
      seed: two integers; with the same seed, temperatures change only the scale of the draws.
      factor: factor by which height and width grow.
      temperature: T; 0 gives the latent 0.

    Returns:
      Latents `[count, factor * height, factor * width, channels]`, or `[count, size]`.

    Raises:
      ValueError: for a count or factor below 1, a temperature that is negative or not finite, a factor above 1 for
        vectors, or a factor or temperature other than 1 for another base.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    images = nvp.evaluation.decode(distribution, draw_latents(distribution, 2, factor=3))  # [2, 24, 24, 1]
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Appendix C, extrapolation.
    """
    shape = distribution.event_shape.as_list()
    if count < 1 or factor < 1 or not 0 <= temperature < np.inf:
        raise ValueError(
            "expected a count and a factor of at least 1 and a finite temperature of at least 0, got "
            f"{count}, {factor} and {temperature}"
        )
    if len(shape) == 3:
        shape = [factor * shape[0], factor * shape[1], shape[2]]
    elif factor > 1:
        raise ValueError(f"expected images for a factor of {factor}, got vectors")
    if not distribution.has_default_base:
        if (factor, temperature) != (1, 1):
            raise ValueError(
                "expected a factor and a temperature of 1 for latents that are not standard normal, got "
                f"{factor} and {temperature}"
            )
        return distribution.distribution.sample(count, seed=seed).numpy()
    dtype = distribution.dtype.as_numpy_dtype
    base = tfp.distributions.Sample(tfp.distributions.Normal(dtype(0), dtype(1)), shape)
    return dtype(temperature) * base.sample(count, seed=seed).numpy()
