"""The numerical inversion error of a flow."""

import dataclasses

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp


@dataclasses.dataclass(frozen=True)
class InversionError:
    """The distance between events and their reconstructions, in units of the data.

    Attributes:
      maximum: the largest absolute error of an entry.
      mean: the mean absolute error of an entry.
    """

    maximum: float
    mean: float


def inversion_error(
    distribution: tfp.distributions.TransformedDistribution,
    x: np.ndarray | tf.Tensor,
    context: np.ndarray | tf.Tensor | None = None,
) -> InversionError:
    """Encodes events, decodes them and measures |f^{-1}(f(x)) - x|.

    In exact arithmetic it is 0. In float32 the preprocessing of 256 levels alone causes about 5e-5 of a pixel. At an
    error of 1 a decoded image has wrong levels. NaN means that a pass overflowed.

    Args:
      distribution: a flow, as from `real_nvp`.
      x: real-valued events `[batch, *event_shape]` in the flow's support, for example dequantised images.
      context: context of a conditional flow, one row per event.

    Returns:
      An `InversionError` over all entries of the batch.

    Raises:
      TypeError: if `x` are integers.
      ValueError: if there is no event.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 3))
    inversion_error(distribution, tf.random.uniform([4, 8, 8, 3], 0, 256)).maximum  # about 1e-4
    ```
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(f"expected real-valued events, got {x.dtype.name}: dequantise integer pixels first")
    if not len(x):
        raise ValueError("expected at least one event, got none")
    x = tf.cast(x, distribution.dtype)
    given = {} if context is None else {"context": context}
    # The distribution's bijector maps latent to data. Each tensor is a new one, or TFP's cache would return the
    # original input.
    z = distribution.bijector.inverse(tf.identity(x), **given)
    error = np.abs(distribution.bijector.forward(tf.identity(z), **given).numpy() - x.numpy())
    return InversionError(maximum=float(error.max()), mean=float(error.mean(dtype=np.float64)))
