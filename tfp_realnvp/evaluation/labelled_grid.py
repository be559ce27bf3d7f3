"""Labelled rows of images, and animations."""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_realnvp import storage
from tfp_realnvp.evaluation.images import image_grid
from tfp_realnvp.extras import extra

_FONT = 9  # points; at 100 dots per inch a letter is about 8 pixels wide
_LETTER, _LINE, _GAP, _DOTS = 8, 18, 4, 100


def labelled_grid(
    rows: Sequence[np.ndarray | tf.Tensor] | np.ndarray,
    row_labels: Sequence[str],
    column_labels: Sequence[str] | None = None,
    levels: int = 256,
    *,
    magnify: int | None = None,
) -> np.ndarray:
    """Rows of images with labels for rows and columns; pixels as in `image_grid`.

    Args:
      rows: pixels `[n, height, width, channels]`; n, height and width may differ from row to row.
      row_labels: one label per row.
      column_labels: one label per image of the first row, or None.
      levels: number of levels of a pixel.
      magnify: integer magnification. By default the longer side of the first row's images gets at least 64 pixels.

    Returns:
      uint8 `[height, width, channels]`, with the images in the lower right part.

    Raises:
      ValueError: if there is no row, or the number of labels is wrong.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    rows = [distribution.sample(5, seed=seed) for seed in (0, 1)]
    picture = labelled_grid(rows, ["seed 0", "seed 1"], levels=17)
    ```
    """
    with extra("plots"):
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    if not len(rows) or len(rows) != len(row_labels):
        raise ValueError(f"expected at least one row and as many labels as rows, got {len(rows)} and {len(row_labels)}")
    rows = [np.asarray(row) for row in rows]
    if column_labels is not None and len(column_labels) != len(rows[0]):
        raise ValueError(f"expected {len(rows[0])} column labels, got {len(column_labels)}")
    if magnify is None:
        magnify = -(-64 // max(rows[0].shape[1:3]))
    grids = [image_grid(row, len(row), levels, magnify=magnify, padding=2) for row in rows]
    left = _GAP + _LETTER * max(map(len, row_labels))
    top = _LINE if column_labels is not None else 0
    heights = [len(grid) for grid in grids]
    width = left + max(grid.shape[1] for grid in grids)
    height = top + sum(heights) + 2 * (len(grids) - 1)
    # Matplotlib renders the text only: it would resample the pixels.
    figure = matplotlib.figure.Figure(figsize=(width / _DOTS, height / _DOTS), dpi=_DOTS)
    canvas = matplotlib.backends.backend_agg.FigureCanvasAgg(figure)
    begins = [top + sum(heights[:i]) + 2 * i for i in range(len(grids))]
    for begin, size, label in zip(begins, heights, row_labels, strict=True):
        figure.text(0.5 * _GAP / width, 1 - (begin + size / 2) / height, label, fontsize=_FONT, va="center")
    for i, label in enumerate(column_labels or ()):
        column = rows[0].shape[2] * magnify + 2
        middle = (left + i * column + (column - 2) / 2) / width
        figure.text(middle, 1 - top / 2 / height, label, fontsize=_FONT, ha="center", va="center")
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[:height, :width]
    channels = grids[0].shape[-1]
    picture = np.full([height, width, channels], 255, np.uint8)
    picture[: drawn.shape[0], : drawn.shape[1]] = drawn[..., :channels]
    for begin, grid in zip(begins, grids, strict=True):
        picture[begin : begin + len(grid), left : left + grid.shape[1]] = grid
    return picture


def save_picture(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Writes uint8 `[height, width, channels]`, such as a `labelled_grid`, as PNG; creates parent folders."""
    tf.io.write_file(os.fspath(path), tf.io.encode_png(picture))


def save_animation(
    path: str | os.PathLike[str],
    frames: np.ndarray | tf.Tensor,
    levels: int = 256,
    *,
    magnify: int | None = None,
    frames_per_second: float = 12.0,
) -> None:
    """Writes images as a looping GIF; pixels as in `image_grid`; creates parent folders.

    Args:
      path: path of the file.
      frames: pixels `[n, height, width, channels]`, in order.
      levels: number of levels of a pixel.
      magnify: as in `image_grid`.
      frames_per_second: frame rate.

    ```python
    save_animation("noise.gif", np.random.default_rng(0).uniform(0, 256, [10, 8, 8, 1]))
    ```
    """
    with extra("plots"):
        import PIL.Image
    grids = [image_grid(frame[np.newaxis], 1, levels, magnify=magnify) for frame in np.asarray(frames)]
    first, *others = [PIL.Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid) for grid in grids]
    duration = round(1000 / frames_per_second)
    with storage.replacing(path) as part:
        first.save(part, format="GIF", save_all=True, append_images=others, duration=duration, loop=0, disposal=1)
