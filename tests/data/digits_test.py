"""The packaged digits: the images, their splits, and that nothing is written or fetched for them."""

import hashlib
import os
import tempfile

import numpy as np
from absl.testing import absltest
from sklearn.datasets import load_digits

from tests.data import fake_sets
from tfp_realnvp import data
from tfp_realnvp.data import digits

_SIZES = {"train": 1297, "validation": 200, "test": 300}


class DigitsTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data_dir = cls.enterClassContext(tempfile.TemporaryDirectory())
        with fake_sets.no_network():
            cls.set = data.load("digits", cls.data_dir, labels=True)
        cls.splits = {split: list(cls.set.examples(split).as_numpy_iterator()) for split in _SIZES}
        with np.load(digits._FILE) as file:
            cls.images, cls.labels = file["images"], file["labels"]

    def test_the_images_are_those_of_scikit_learn(self):
        images, labels = load_digits(return_X_y=True)
        np.testing.assert_array_equal(self.images, images.reshape(-1, 8, 8))
        np.testing.assert_array_equal(self.labels, labels)

    def test_every_image_is_in_one_split_with_its_label(self):
        found = [(image.tobytes(), int(label)) for split in self.splits.values() for image, label in split]
        pairs = zip(self.images, self.labels, strict=True)
        self.assertCountEqual(found, [(image.tobytes(), int(label)) for image, label in pairs])

    def test_sizes_shape_and_levels(self):
        self.assertEqual((self.set.shape, self.set.levels, self.set.classes), ((8, 8, 1), 17, 10))
        for split, pairs in self.splits.items():
            images = np.stack([image for image, _ in pairs])
            self.assertEqual((images.dtype, images.shape), (np.uint8, (_SIZES[split], 8, 8, 1)))
            self.assertEqual(self.set.num_examples(split), _SIZES[split])
            self.assertEqual(set(images.ravel()), set(range(17)))

    def test_splits_are_the_same_in_all_versions(self):
        content = b"".join(image.tobytes() + bytes([label]) for split in self.splits.values() for image, label in split)
        self.assertEqual(hashlib.md5(content).hexdigest(), "a5a6eed29c61a7130726b2ce40415ae7")
        images = np.stack(list(data.load("digits").examples("test").as_numpy_iterator()))
        np.testing.assert_array_equal(images, np.stack([image for image, _ in self.splits["test"]]))

    def test_splits_mix_the_writers(self):
        # The file has writer after writer: each split must come from all over it.
        place = {image.tobytes(): number for number, image in enumerate(self.images)}
        for pairs in self.splits.values():
            self.assertBetween(np.median([place[image.tobytes()] for image, _ in pairs]), 750, 1050)

    def test_another_size(self):
        images = data.load("digits", image_size=4)
        batch = next(iter(images.training_batches(8, seed=0, epoch=0)))
        self.assertEqual((images.shape, batch.shape), ((4, 4, 1), (8, 4, 4, 1)))

    def test_nothing_is_written(self):
        self.assertEmpty(os.listdir(self.data_dir))


if __name__ == "__main__":
    absltest.main()
