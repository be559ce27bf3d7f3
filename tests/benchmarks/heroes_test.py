"""The first picture of README is drawn, with a row for each density."""

import pathlib
import tempfile

import numpy as np
import PIL.Image
from absl.testing import absltest

from benchmarks import heroes


class DrawTest(absltest.TestCase):
    def test_has_a_row_for_each_density(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        points = np.random.default_rng(0).normal(size=[10, 2])
        heights = []
        for rows in (1, 2):
            heroes.draw([(points, points, np.ones([4, 4]))] * rows, folder / "plane.png")
            heights.append(PIL.Image.open(folder / "plane.png").height)
        self.assertAlmostEqual(heights[1] / heights[0], 2, delta=0.15)


if __name__ == "__main__":
    absltest.main()
