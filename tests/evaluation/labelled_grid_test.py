"""Rows of images with words, and images in motion."""

import pathlib
import tempfile

import numpy as np
import PIL.Image
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp import evaluation

_RANDOM = np.random.default_rng(0)


class LabelledGridTest(parameterized.TestCase):
    @parameterized.parameters(1, 3)
    def test_pixels_are_those_of_grids(self, channels):
        rows = [_RANDOM.uniform(0, 256, [3, 8, 8, channels]), _RANDOM.uniform(0, 256, [1, 16, 24, channels])]
        picture = evaluation.labelled_grid(rows, ["one", "another"], ["a", "b", "c"])
        grids = [evaluation.image_grid(row, len(row), magnify=8) for row in rows]
        self.assertEqual(picture.dtype, np.uint8)
        self.assertEqual(picture.shape[-1], channels)
        left = picture.shape[1] - max(grid.shape[1] for grid in grids)
        second = grids[1].shape
        np.testing.assert_array_equal(picture[-second[0] :, left : left + second[1]], grids[1])
        first = grids[0].shape
        begin = len(picture) - second[0] - 2 - first[0]
        np.testing.assert_array_equal(picture[begin : begin + first[0], left : left + first[1]], grids[0])
        # Each row and each column has its words, in black.
        self.assertLess(picture[begin : begin + first[0], :left].min(), 100)
        self.assertLess(picture[-second[0] :, :left].min(), 100)
        for i in range(3):
            self.assertLess(picture[:begin, left + 66 * i : left + 66 * i + 64].min(), 100)

    def test_words_differ(self):
        rows = np.zeros([1, 1, 4, 4, 1])
        one, other, again = (evaluation.labelled_grid(rows, [word]) for word in ("on", "no", "on"))
        np.testing.assert_array_equal(one, again)
        self.assertGreater(np.sum(one != other), 0)

    def test_refusals(self):
        rows = [np.zeros([2, 4, 4, 1])]
        with self.assertRaisesRegex(ValueError, "as many labels as rows, got 1 and 2"):
            evaluation.labelled_grid(rows, ["a", "b"])
        with self.assertRaisesRegex(ValueError, "got 0 and 0"):
            evaluation.labelled_grid([], [])
        with self.assertRaisesRegex(ValueError, "expected 2 column labels, got 1"):
            evaluation.labelled_grid(rows, ["a"], ["b"])


class FilesTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def test_picture(self):
        picture = evaluation.labelled_grid([np.zeros([2, 4, 4, 3])], ["a"])
        path = self.folder / "new" / "picture.png"
        evaluation.save_picture(path, picture)
        np.testing.assert_array_equal(tf.io.decode_png(path.read_bytes()), picture)

    def test_animation(self):
        frames = np.arange(5).reshape(5, 1, 1, 1) * np.ones([5, 4, 6, 1])
        path = self.folder / "new" / "frames.gif"
        evaluation.save_animation(path, frames, levels=5, magnify=2, frames_per_second=10)
        with PIL.Image.open(path) as animation:
            self.assertEqual((animation.n_frames, animation.size, animation.info["loop"]), (5, (12, 8), 0))
            for i in range(5):
                animation.seek(i)
                self.assertEqual(animation.info["duration"], 100)
                np.testing.assert_array_equal(np.asarray(animation.convert("L")), np.full([8, 12], round(255 / 4 * i)))

    def test_animation_in_colour(self):
        frames = np.stack([np.broadcast_to(colour, [4, 4, 3]) for colour in ([255, 0, 0], [0, 0, 255])])
        evaluation.save_animation(self.folder / "colours.gif", frames, magnify=1)
        with PIL.Image.open(self.folder / "colours.gif") as animation:
            self.assertEqual(animation.convert("RGB").getpixel((1, 1)), (255, 0, 0))
            animation.seek(1)
            self.assertEqual(animation.convert("RGB").getpixel((1, 1)), (0, 0, 255))


if __name__ == "__main__":
    absltest.main()
