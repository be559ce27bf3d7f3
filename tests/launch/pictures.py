"""Runs a program that draws, and reads what it wrote."""

from __future__ import annotations

import functools
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import parameterized

import tfp_realnvp as nvp
from tests.launch import programs


class PicturesTest(parameterized.TestCase):
    """A test whose programs write into a folder of its own."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def run_program(self, program: str, *flags: str) -> list[pathlib.Path]:
        """The files that the program says it wrote; no others are there."""
        before = set(programs.contents(self.folder))
        data = f"--data_dir={programs.scratch() / 'data'}"
        result = programs.run(program, data, f"--pictures_dir={self.folder}", *flags)
        self.assertEqual(result.status, 0, result.errors)
        said = [line.removeprefix("Wrote ") for line in result.output.splitlines() if line.startswith("Wrote ")]
        written = [pathlib.Path(path) for path in said]
        self.assertCountEqual(set(programs.contents(self.folder)) - before, written)
        return written

    def pixels(self, path: pathlib.Path) -> np.ndarray:
        return tf.io.decode_png(path.read_bytes()).numpy()

    def tiles(self, path: pathlib.Path, rows: int, columns: int) -> np.ndarray:
        """The images of a labelled picture of digits, `[rows, columns, 8, 8]`, each pixel drawn as 8x8."""
        pixels = self.pixels(path)[..., 0]
        height, width = 66 * rows - 2, 66 * columns - 2  # 64 for an image, and 2 between.
        self.assertGreaterEqual(pixels.shape[0], height)
        grid = np.pad(pixels[-height:, -width:], [[0, 2], [0, 2]])
        images = grid.reshape(rows, 66, columns, 66).transpose(0, 2, 1, 3)
        return images[:, :, :64:8, :64:8]


@functools.cache
def digits() -> tfp.distributions.Distribution:
    """The released model of digits, loaded once."""
    return nvp.load(programs.digits())


def grey(pixels: np.ndarray) -> np.ndarray:
    """What a picture of digits has for these pixels, `[..., 8, 8, 1]`."""
    return np.rint(255 / 16 * np.clip(np.floor(pixels[..., 0]), 0, 16)).astype(np.uint8)
