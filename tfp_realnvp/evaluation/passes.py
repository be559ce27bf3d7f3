"""Encoding and decoding in batches, for more events than fit in memory."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_realnvp.flows import FlowDistribution

Progress = Callable[[int], object]


def encode(
    distribution: FlowDistribution,
    x: np.ndarray | tf.Tensor,
    context: np.ndarray | tf.Tensor | None = None,
    *,
    batch_size: int = 100,
    jit_compile: bool = False,
    progress: Progress | None = None,
) -> np.ndarray:
    """The latents of events, z = f(x), in batches.

    Args:
      distribution: a flow, as from `real_nvp` or `load`.
      x: real-valued events `[n, *event_shape]`, for example dequantised images.
      context: context of a conditional flow, one row per event.
      batch_size: number of events per batch.
      jit_compile: whether to compile with XLA.
      progress: called after each batch with the number of finished events.

    Returns:
      Latents `[n, *event_shape]`.

    Raises:
      TypeError: if `x` are integers.
      ValueError: for events of another shape.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    z = encode(distribution, distribution.sample(3, seed=0))  # [3, 8, 8, 1]
    ```
    """
    if not np.issubdtype(np.asarray(x).dtype, np.floating):
        raise TypeError(f"expected real-valued events, got {np.asarray(x).dtype.name}: dequantise integer pixels first")
    _check_shape(np.shape(x), distribution.event_shape)
    pass_fn = distribution.flow.forward_and_log_det
    return _in_batches(distribution, pass_fn, x, context, batch_size, jit_compile, progress)


def decode(
    distribution: FlowDistribution,
    z: np.ndarray | tf.Tensor,
    context: np.ndarray | tf.Tensor | None = None,
    *,
    batch_size: int = 100,
    jit_compile: bool = False,
    progress: Progress | None = None,
) -> np.ndarray:
    """Decodes latents, x = f^{-1}(z), in batches; see `encode`.

    Latents of images may have any height and width that the flow can halve often enough.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    images = decode(distribution, np.zeros([1, 16, 24, 1]))  # [1, 16, 24, 1]
    ```
    """
    _check_shape(np.shape(z), distribution.distribution.event_shape)
    pass_fn = distribution.flow.inverse_and_log_det
    return _in_batches(distribution, pass_fn, z, context, batch_size, jit_compile, progress)


def _check_shape(shape: tuple[int, ...], event: tf.TensorShape) -> None:
    """Refuses rows of another rank or last axis; images may have any height and width."""
    if len(shape) != event.rank + 1 or shape[event.rank :] != tuple(event[-1:]):
        raise ValueError(f"expected rows of shape [n, {', '.join(map(str, event))}], got {list(shape)}")


def _in_batches(
    distribution: FlowDistribution,
    pass_fn: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    rows: np.ndarray | tf.Tensor,
    context: np.ndarray | tf.Tensor | None,
    batch_size: int,
    jit_compile: bool,
    progress: Progress | None,
) -> np.ndarray:
    if batch_size < 1:
        raise ValueError(f"expected a batch size of at least 1, got {batch_size}")
    dtype = distribution.dtype
    given = [np.asarray(part, dtype.as_numpy_dtype) for part in (rows, context) if part is not None]
    if len(given[0]) != len(given[-1]):
        raise ValueError(f"expected one context for each of {len(given[0])} rows, got {len(given[1])}")
    traced = tf.function(
        lambda *batch: pass_fn(*batch)[0],
        input_signature=[tf.TensorSpec([None, *part.shape[1:]], dtype) for part in given],
        jit_compile=jit_compile,
        autograph=False,
    ).get_concrete_function()
    found = []
    for start in range(0, len(given[0]), batch_size):
        found.append(traced(*(tf.constant(part[start : start + batch_size]) for part in given)).numpy())
        if progress is not None:
            progress(start + len(found[-1]))
    return np.concatenate(found) if found else np.zeros_like(given[0])
