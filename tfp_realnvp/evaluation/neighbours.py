"""Finds the training images nearest to a sample."""

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf


def nearest_images(
    queries: np.ndarray | tf.Tensor,
    batches: tf.data.Dataset | Iterable[np.ndarray],
    count: int,
    *,
    progress: Callable[[int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The images of a set that are nearest to each query.

        d(q, x) = |q - x|, the Euclidean distance of pixels

    If a model has memorised training images, some samples have a neighbour at a distance near 0. The converse does not
    hold: an image shifted by one pixel is far from the original.

    Args:
      queries: pixels `[n, *shape]`, for example samples rounded down to levels.
      batches: batches of images `[batch, *shape]`; each is read once.
      count: number of neighbours per query.
      progress: called after each batch with the number of images read so far.

    Returns:
      Images `[n, count, *shape]`, the nearest first, and distances `[n, count]`.

    Raises:
      ValueError: if there are fewer images than neighbours, or the shapes of images and queries differ.

    ```python
    images = np.random.default_rng(0).integers(17, size=[100, 8, 8, 1], dtype=np.uint8)
    found, distances = nearest_images(images[:3], [images[:50], images[50:]], 2)  # found[:, 0] are images[:3]
    ```
    """
    if count < 1:
        raise ValueError(f"expected at least one neighbour, got {count}")
    queries = np.asarray(queries)
    shape = queries.shape[1:]
    flat = queries.reshape(len(queries), -1).astype(np.float64)
    best = np.full([len(flat), 0], np.inf)
    found: np.ndarray | None = None
    seen = 0
    for batch in batches:
        batch = np.asarray(batch)
        if batch.shape[1:] != shape:
            raise ValueError(f"expected images of shape {shape}, got {batch.shape[1:]}")
        others = batch.reshape(len(batch), -1).astype(np.float64)
        squares = np.sum(flat**2, 1)[:, np.newaxis] + np.sum(others**2, 1) - 2 * flat @ others.T
        squares = np.concatenate([best, squares], 1)
        order = np.argsort(squares, axis=1, kind="stable")[:, :count]
        best = np.take_along_axis(squares, order, 1)
        kept = np.zeros([len(flat), 0, *shape], batch.dtype) if found is None else found
        size = kept.shape[1]
        # Only this batch's images that are among the nearest are copied.
        found = np.stack(
            [
                np.stack([kept[row, i] if i < size else batch[i - size] for i in indices])
                for row, indices in enumerate(order)
            ]
        )
        seen += len(batch)
        if progress is not None:
            progress(seen)
    if found is None or seen < count:
        raise ValueError(f"expected at least {count} images for {count} neighbours, got {seen}")
    return found, np.sqrt(np.maximum(best, 0))
