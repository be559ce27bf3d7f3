"""The nearest images of a set."""

import numpy as np
from absl.testing import absltest

from tfp_realnvp import evaluation


class NearestImagesTest(absltest.TestCase):
    def test_is_what_every_distance_says(self):
        random = np.random.default_rng(0)
        images = random.integers(256, size=[23, 3, 2, 1], dtype=np.uint8)
        queries = random.uniform(0, 256, [4, 3, 2, 1]).astype(np.float32)
        done = []
        found, distances = evaluation.nearest_images(
            queries, [images[:2], images[2:20], images[20:]], 5, progress=done.append
        )
        self.assertEqual(done, [2, 20, 23])
        every = np.linalg.norm((queries[:, np.newaxis] - images.astype(np.float64)).reshape(4, 23, -1), axis=-1)
        order = np.argsort(every, 1)[:, :5]
        np.testing.assert_array_equal(found, images[order])
        np.testing.assert_allclose(distances, np.take_along_axis(every, order, 1), rtol=1e-6)

    def test_refusals(self):
        images = np.zeros([2, 3, 2, 1])
        with self.assertRaisesRegex(ValueError, "at least one neighbour, got 0"):
            evaluation.nearest_images(images, [images], 0)
        with self.assertRaisesRegex(ValueError, "at least 3 images for 3 neighbours, got 2"):
            evaluation.nearest_images(images, [images], 3)
        with self.assertRaisesRegex(ValueError, r"of shape \(3, 2, 1\), got \(2, 3, 1\)"):
            evaluation.nearest_images(images, [images.transpose(0, 2, 1, 3)], 1)


if __name__ == "__main__":
    absltest.main()
