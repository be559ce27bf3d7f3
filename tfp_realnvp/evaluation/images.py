"""Renders a model's pixels as pictures."""

import math
import os

import numpy as np
import tensorflow as tf

_SIDE = 64  # pixels that an image has at least when it is magnified


def image_grid(
    images: np.ndarray | tf.Tensor,
    columns: int | None = None,
    levels: int = 256,
    *,
    magnify: int | None = None,
    padding: int = 2,
) -> np.ndarray:
    """Arranges images in a grid, from left to right and top to bottom, in 8 bits.

        level = floor(x), clipped to 0 ... levels - 1;  grey = round(255 level / (levels - 1))

    Dequantisation maps level v to [v, v + 1), so pixels are rounded down, not to the nearest level. NaN becomes 0. This
    is the only place where samples are clipped.

    Args:
      images: pixels `[n, height, width, channels]` with 1 or 3 channels, float or integer.
      columns: number of images per row; by default the grid is about square.
      levels: number of levels of a pixel.
      magnify: integer magnification. By default the longer side gets at least 64 pixels.
      padding: number of white pixels between images; unused cells are white, too.

    Returns:
      uint8 `[grid height, grid width, channels]`.

    Raises:
      ValueError: if there is no image, or the images have another rank or number of channels.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    grid = image_grid(distribution.sample(100, seed=0), levels=17)  # [658, 658, 1]
    ```
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(
            f"expected images [n, height, width, channels] of 1 or 3 channels, n > 0, got shape {images.shape}"
        )
    count, height, width, channels = images.shape
    if columns is None:
        columns = math.ceil(math.sqrt(count))
    if magnify is None:
        magnify = math.ceil(_SIDE / max(height, width))
    if columns < 1 or magnify < 1 or padding < 0:
        raise ValueError(
            "expected columns and magnify of at least 1 and padding of at least 0, got "
            f"{columns}, {magnify} and {padding}"
        )
    grey = _grey(images, levels).repeat(magnify, axis=1).repeat(magnify, axis=2)
    rows = math.ceil(count / columns)
    tile_height, tile_width = height * magnify + padding, width * magnify + padding
    tiles = np.full([rows * columns, tile_height, tile_width, channels], 255, np.uint8)
    tiles[:count, : height * magnify, : width * magnify] = grey
    grid = tiles.reshape(rows, columns, tile_height, tile_width, channels)
    grid = grid.transpose(0, 2, 1, 3, 4).reshape(rows * tile_height, columns * tile_width, channels)
    return grid[: rows * tile_height - padding, : columns * tile_width - padding]


def save_image_grid(
    path: str | os.PathLike[str],
    images: np.ndarray | tf.Tensor,
    columns: int | None = None,
    levels: int = 256,
    *,
    magnify: int | None = None,
    padding: int = 2,
) -> None:
    """Writes `image_grid(images, ...)` as a lossless PNG file; creates parent folders."""
    grid = image_grid(images, columns, levels, magnify=magnify, padding=padding)
    tf.io.write_file(os.fspath(path), tf.io.encode_png(grid))


def _grey(images: np.ndarray, levels: int) -> np.ndarray:
    """The 8-bit grey value of each pixel."""
    if levels < 2:
        raise ValueError(f"expected at least 2 levels, got {levels}")
    finite = np.nan_to_num(images.astype(np.float64), nan=0.0, posinf=levels, neginf=0.0)
    level = np.clip(np.floor(finite), 0, levels - 1)
    return np.rint(255 / (levels - 1) * level).astype(np.uint8)
