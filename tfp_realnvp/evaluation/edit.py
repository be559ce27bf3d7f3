"""Decodes latents with other labels."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.evaluation.passes import Progress, decode, encode
from tfp_realnvp.flows import FlowDistribution


def change_labels(
    distribution: FlowDistribution,
    x: np.ndarray | tf.Tensor,
    labels: np.ndarray,
    classes: int,
    *,
    batch_size: int = 25,
    jit_compile: bool = False,
    progress: Progress | None = None,
) -> np.ndarray:
    """Decodes each event's latent with every label.

        x_y = f^{-1}(f(x; own label); y),  y = 0, ..., classes - 1

    The latent holds what the label does not determine: for digits, slant and stroke width. Decoding with an event's own
    label reproduces it.

    Args:
      distribution: a flow whose context is a one-hot label.
      x: real-valued events `[n, *event_shape]`.
      labels: integers `[n]`.
      classes: number of classes.
      batch_size: number of events per batch.
      jit_compile: whether to compile with XLA.
      progress: called with the number of finished events out of n * classes.

    Returns:
      Events `[n, classes, *event_shape]`.

    Raises:
      ValueError: if a label is not one of the classes, or the numbers of labels and events differ.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17, context_size=10)
    x = distribution.sample(2, seed=0, context=np.eye(10, dtype=np.float32)[[3, 5]])
    change_labels(distribution, x, np.array([3, 5]), classes=10)  # [2, 10, 8, 8, 1]
    ```
    """
    labels, x = np.asarray(labels), np.asarray(x)
    if labels.shape != (len(x),) or labels.dtype.kind not in "iu" or not np.all((0 <= labels) & (labels < classes)):
        raise ValueError(f"expected {len(x)} integer labels in 0 ... {classes - 1}, got {labels.tolist()}")
    one_hot = np.eye(classes, dtype=distribution.dtype.as_numpy_dtype)
    how: dict[str, Any] = dict(batch_size=batch_size, jit_compile=jit_compile)
    z = encode(distribution, x, one_hot[labels], **how)
    each = np.repeat(z, classes, axis=0)
    everything = decode(distribution, each, np.tile(one_hot, [len(x), 1]), progress=progress, **how)
    return everything.reshape(len(x), classes, *x.shape[1:])
