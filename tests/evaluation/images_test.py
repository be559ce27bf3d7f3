"""Grids of images: which grey a pixel gets, and where."""

import os
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp import evaluation


def _one_pixel(*values: float) -> np.ndarray:
    return np.reshape(values, [-1, 1, 1, 1])


def _greys(values: np.ndarray, levels: int) -> list[int]:
    grid = evaluation.image_grid(values, len(values), levels, magnify=1, padding=0)
    return grid.ravel().tolist()


class GreyTest(parameterized.TestCase):
    def test_rounds_down_and_clips(self):
        pixels = _one_pixel(-40.0, -0.1, 0.0, 0.999, 1.0, 254.999, 255.0, 255.999, 256.0, 1e9)
        self.assertEqual(_greys(pixels, 256), [0, 0, 0, 0, 1, 254, 255, 255, 255, 255])

    def test_what_is_not_finite(self):
        self.assertEqual(_greys(_one_pixel(np.nan, np.inf, -np.inf), 256), [0, 255, 0])

    @parameterized.parameters(
        (2, [0.0, 0.9, 1.0, 1.9], [0, 0, 255, 255]),
        (17, [0.0, 1.5, 8.0, 16.0, 16.9], [0, 16, 128, 255, 255]),
        (1024, [0.0, 511.5, 1023.0], [0, 127, 255]),
    )
    def test_levels_fill_eight_bits(self, levels, pixels, expected):
        self.assertEqual(_greys(_one_pixel(*pixels), levels), expected)

    def test_integers_of_256_levels_are_themselves(self):
        pixels = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1)
        self.assertEqual(_greys(pixels, 256), list(range(256)))
        self.assertEqual(_greys(pixels.astype(np.float32) + 0.99, 256), list(range(256)))


class GridTest(parameterized.TestCase):
    def test_places_images_row_by_row(self):
        images = np.stack([np.full([2, 3, 3], v, np.uint8) for v in (10, 20, 30, 40, 50)])
        grid = evaluation.image_grid(images, columns=3, magnify=2, padding=1)
        self.assertEqual(grid.dtype, np.uint8)
        self.assertEqual(grid.shape, (2 * 4 + 1, 3 * 6 + 2, 3))
        for channel in range(3):
            self.assertEqual(grid[[0, 3], :, channel][:, [0, 5]].tolist(), [[10, 10], [10, 10]])
            self.assertEqual(grid[0, [7, 12, 14, 19], channel].tolist(), [20, 20, 30, 30])
            self.assertEqual(grid[5, [0, 7, 13, 14], channel].tolist(), [40, 50, 255, 255])
        np.testing.assert_array_equal(grid[4], 255)
        np.testing.assert_array_equal(grid[:, [6, 13]], 255)

    def test_keeps_rows_columns_and_channels_apart(self):
        images = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
        grid = evaluation.image_grid(images, columns=1, magnify=1, padding=0)
        np.testing.assert_array_equal(grid, images.reshape(4, 3, 3))

    def test_magnifies_each_pixel_to_a_square(self):
        image = np.array([[10, 20], [30, 40]], np.uint8).reshape(1, 2, 2, 1)
        grid = evaluation.image_grid(image, magnify=3)
        np.testing.assert_array_equal(grid[..., 0], np.kron(image[0, ..., 0], np.ones([3, 3])))

    @parameterized.parameters(
        ((100, 8, 8, 1), (658, 658, 1)),  # 10 x 10 of 64, 9 gaps of 2
        ((5, 28, 28, 1), (2 * 84 + 2, 3 * 84 + 4, 1)),
        ((4, 32, 32, 3), (130, 130, 3)),
        ((1, 64, 64, 3), (64, 64, 3)),
        ((1, 100, 30, 3), (100, 30, 3)),
        ((2, 5, 5, 1), (65, 132, 1)),
    )
    def test_geometry_by_default(self, shape, expected):
        self.assertEqual(evaluation.image_grid(np.zeros(shape)).shape, expected)

    def test_takes_tensors(self):
        grid = evaluation.image_grid(tf.fill([1, 2, 2, 3], 7.5), magnify=1)
        np.testing.assert_array_equal(grid, np.full([2, 2, 3], 7))

    @parameterized.parameters(
        ((8, 8, 1), {}, r"got shape \(8, 8, 1\)"),
        ((2, 8, 8, 2), {}, r"got shape \(2, 8, 8, 2\)"),
        ((0, 8, 8, 1), {}, r"got shape \(0, 8, 8, 1\)"),
        ((1, 8, 8, 1), {"columns": 0}, "got 0, 8 and 2"),
        ((1, 8, 8, 1), {"magnify": 0}, "got 1, 0 and 2"),
        ((1, 8, 8, 1), {"padding": -1}, "got 1, 8 and -1"),
        ((1, 8, 8, 1), {"levels": 1}, "at least 2 levels, got 1"),
    )
    def test_refuses(self, shape, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            evaluation.image_grid(np.zeros(shape), **kwargs)


class SaveTest(absltest.TestCase):
    def test_writes_the_grid_without_loss(self):
        for channels in (1, 3):
            images = np.random.default_rng(0).uniform(-20, 280, [6, 8, 8, channels])
            path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "new", "samples.png")
            evaluation.save_image_grid(path, images, 2, padding=3)
            found = tf.io.decode_png(tf.io.read_file(path)).numpy()
            expected = evaluation.image_grid(images, 2, padding=3)
            np.testing.assert_array_equal(found, expected)


if __name__ == "__main__":
    absltest.main()
