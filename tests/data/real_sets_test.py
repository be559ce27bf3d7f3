"""Real sets, where they are on this machine: in ../shared/data/tfds or $TFP_REALNVP_DATA."""

import os
import pathlib

import numpy as np
from absl.testing import absltest, parameterized

from tests.data import fake_sets
from tfp_realnvp import data

_DATA_DIR = os.environ.get("TFP_REALNVP_DATA", pathlib.Path(__file__).resolve().parents[2].parent / "shared/data/tfds")


def _sizes(images: data.Events) -> tuple[int, ...]:
    return tuple(images.num_examples(split) for split in ("train", "validation", "test"))


class RealSetsTest(parameterized.TestCase):
    def _load(self, name: str) -> data.Events:
        if not os.path.isdir(os.path.join(_DATA_DIR, name)):
            self.skipTest(f"{name} is not in {_DATA_DIR}; set TFP_REALNVP_DATA to where it is")
        return data.load(name, _DATA_DIR)

    # The means of the test images as they are usually quoted.
    @parameterized.parameters(
        ("mnist", (28, 28, 1), (55000, 5000, 10000), [0.1325]),
        ("cifar10", (32, 32, 3), (45000, 5000, 10000), [0.4942, 0.4851, 0.4504]),
    )
    def test_complete_set(self, name, shape, sizes, mean):
        images = self._load(name)
        self.assertEqual((images.name, images.shape, images.levels), (name, shape, 256))
        self.assertEqual(_sizes(images), sizes)
        batches = list(images.evaluation_batches("test", 1000).as_numpy_iterator())
        np.testing.assert_allclose(np.mean(batches, (0, 1, 2, 3)) / 255, mean, atol=1e-4)

    def test_tiny_imagenet_which_only_its_files_describe(self):
        images = self._load("tiny_imagenet")
        self.assertEqual((images.shape, images.levels), ((64, 64, 3), 256))
        self.assertEqual(_sizes(images), (9000, 1000, 3000))
        batch = next(iter(images.training_batches(100, seed=0, epoch=0)))
        self.assertEqual(batch.shape, (100, 64, 64, 3))
        self.assertBetween(batch.numpy().mean(), 90, 140)

    def test_nothing_is_written(self):
        self._load("mnist")
        before = fake_sets.listing(_DATA_DIR)
        list(self._load("mnist").evaluation_batches("test", 1000))
        self.assertEqual(fake_sets.listing(_DATA_DIR), before)


if __name__ == "__main__":
    absltest.main()
