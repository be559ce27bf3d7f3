"""What `load` finds, and what it says when it does not."""

import os
import tempfile
import time
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from absl.testing import absltest, parameterized

from tests.data import fake_sets
from tfp_realnvp import data

_PAPER_SETS = (
    "digits, mnist, cifar10, downsampled_imagenet/32x32, downsampled_imagenet/64x64, celeb_a,"
    " lsun/bedroom, lsun/tower, lsun/church_outdoor"
)


def _noise(count: int, *shape: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8))


class LoadTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.data_dir = self.enter_context(tempfile.TemporaryDirectory())
        self.enter_context(fake_sets.no_network())

    def _error(self, error: type[Exception], name: str, **kwargs) -> str:
        verbosity = logging.get_verbosity()
        started = time.monotonic()
        with self.assertNoLogs("absl", "WARNING"), self.assertRaises(error) as caught:
            data.load(name, self.data_dir, **kwargs)
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(logging.get_verbosity(), verbosity)
        self.assertIsNone(caught.exception.__cause__)
        self.assertTrue(caught.exception.__suppress_context__ or not caught.exception.__context__)
        message = str(caught.exception)
        self.assertNotIn("\n", message)
        return message

    def test_names(self):
        self.assertEqual(", ".join(data.names()), _PAPER_SETS)

    @parameterized.parameters(*(name for name in data.names() if name != "digits"), "cifar100")
    def test_known_but_not_here(self, name):
        self.assertEqual(
            self._error(data.DataNotFoundError, name),
            f"{name} is not in {self.data_dir}: pass the TFDS directory that contains it"
            " (--data_dir=DIR), or prepare it on a machine with a network:"
            f" tfds build {name} --data_dir={self.data_dir}",
        )
        self.assertEmpty(os.listdir(self.data_dir))

    def test_not_here_is_a_file_not_found(self):
        self.assertTrue(issubclass(data.DataNotFoundError, FileNotFoundError))

    @parameterized.parameters(
        ("cifar11", " (did you mean cifar10_1 or cifar10 or cifar100?)"),
        ("mnits", " (did you mean mnist or kmnist or emnist?)"),
        ("lsun/bedrooom", " (did you mean lsun/bedroom?)"),
        ("mnist:9.9.9", " (did you mean mnist?)"),
        ("zzzzzz", ""),
        ("", ""),
        ("no such set", ""),
        ("huggingface:zzzzzz", ""),
    )
    def test_unknown(self, name, guess):
        self.assertEqual(
            self._error(ValueError, name),
            f"unknown image set {name!r}{guess}: expected one of {_PAPER_SETS}, another TFDS name,"
            f" a set in {self.data_dir}, or folder:PATH",
        )

    def test_not_images(self):
        self.assertEqual(
            self._error(ValueError, "imdb_reviews"),
            "imdb_reviews/plain_text: expected a feature 'image' of uint8 pixels, got text, label",
        )

    def test_not_uint8(self):
        splits = {"train": [np.zeros((4, 4, 1), np.uint16)]}
        fake_sets.write(self.data_dir, "fake", splits, shape=(4, 4, 1), dtype=np.uint16)
        self.assertEqual(
            self._error(ValueError, "fake"),
            "fake: expected a feature 'image' of uint8 pixels, got Image(shape=(4, 4, 1), dtype=uint16)",
        )

    def test_images_of_no_static_shape(self):
        self.assertEqual(
            self._error(ValueError, "stanford_dogs"),
            "stanford_dogs: expected images of one static shape (height, width, channels), got"
            " (None, None, 3); image_size=SIZE resizes and crops them to one",
        )

    def test_image_size_of_nothing(self):
        self.assertEqual(
            self._error(ValueError, "digits", image_size=0),
            "expected an image_size of 1 pixel or more, got 0",
        )

    @parameterized.parameters(
        ("celeb_a", "image, landmarks, attributes, identity"), ("downsampled_imagenet/32x32", "image")
    )
    def test_no_labels(self, name, features):
        self.assertEqual(
            self._error(ValueError, name, labels=True),
            f"{name}: expected a feature 'label' of classes, got {features}",
        )

    def test_labels_that_are_no_classes(self):
        splits, labels = {"train": _noise(3, 4, 4, 3)}, {"train": [0, 1, 2]}
        label = tfds.features.Scalar(np.int64)
        fake_sets.write(self.data_dir, "fake", splits, shape=(4, 4, 3), labels=labels, label=label)
        self.assertEqual(
            self._error(ValueError, "fake", labels=True),
            "fake: expected a feature 'label' of classes, got Scalar(shape=(), dtype=int64)",
        )
        self.assertIsNone(data.load("fake", self.data_dir).classes)

    def test_labels_of_no_known_number_of_classes(self):
        with mock.patch.object(tfds.features.ClassLabel, "num_classes", None):
            message = self._error(ValueError, "mnist", labels=True)
        self.assertEqual(
            message,
            "mnist: expected a feature 'label' of classes, got ClassLabel(shape=(), dtype=int64, num_classes=None)",
        )

    def test_labels_of_the_digits(self):
        images = data.load("digits", self.data_dir, labels=True)
        self.assertEqual(images.classes, 10)
        batch, labels = next(iter(images.training_batches(200, seed=0, epoch=0)))
        self.assertEqual((batch.shape, labels.shape), ((200, 8, 8, 1), (200,)))
        self.assertEqual(set(labels.numpy()), set(range(10)))

    def test_an_image_of_no_known_class_has_label_minus_1(self):
        splits = {"train": _noise(20, 4, 4, 3), "test": _noise(2, 4, 4, 3)}
        labels = {"train": [0, 1] * 10, "test": [-1, -1]}
        label = tfds.features.ClassLabel(num_classes=2)
        fake_sets.write(self.data_dir, "fake", splits, shape=(4, 4, 3), labels=labels, label=label)
        images = data.load("fake", self.data_dir, labels=True)
        self.assertEqual(images.classes, 2)
        self.assertEqual([int(label) for _, label in images.examples("test")], [-1, -1])

    def test_no_train_split(self):
        splits = {"test": _noise(3, 4, 4, 3), "extra": _noise(3, 4, 4, 3)}
        fake_sets.write(self.data_dir, "fake", splits, shape=(4, 4, 3))
        self.assertEqual(self._error(ValueError, "fake"), "fake: expected a split 'train', got extra, test")

    def test_image_size_gives_any_set_a_static_shape(self):
        test = [*_noise(1, 7, 5, 3), *_noise(1, 6, 30, 3)]
        splits = {"train": _noise(20, 9, 12, 3), "test": test}
        fake_sets.write(self.data_dir, "fake", splits)
        images = data.load("fake", self.data_dir, image_size=5)
        self.assertEqual(images.shape, (5, 5, 3))
        (batch,) = images.evaluation_batches("test", 2)
        self.assertEqual(batch.shape, (2, 5, 5, 3))
        # 7x5 has the right shorter side: its centre is cropped and nothing is resized.
        np.testing.assert_array_equal(batch[0], test[0][1:6])
        batch = next(iter(images.training_batches(4, seed=0, epoch=0)))
        self.assertEqual(batch.shape, (4, 5, 5, 3))

    def test_default_configuration_and_version_are_understood(self):
        splits = {"train": _noise(20, 32, 32, 3), "validation": _noise(4, 32, 32, 3)}
        fake_sets.write(self.data_dir, "downsampled_imagenet/32x32", splits)
        for name in (
            "downsampled_imagenet",
            "downsampled_imagenet/32x32",
            "downsampled_imagenet/32x32:2.0.0",
        ):
            images = data.load(name, self.data_dir)
            self.assertEqual(images.name, "downsampled_imagenet/32x32")
            self.assertEqual(images.shape, (32, 32, 3))

    def test_a_read_only_directory_is_enough_and_stays_as_it_is(self):
        fake_sets.write(self.data_dir, "fake", {"train": _noise(20, 4, 4, 3)}, shape=(4, 4, 3))
        for folder, _, files in os.walk(self.data_dir):
            os.chmod(folder, 0o555)
            for file in files:
                os.chmod(os.path.join(folder, file), 0o444)
        before = fake_sets.listing(self.data_dir)
        images = data.load("fake", self.data_dir)
        for split in ("train", "validation", "test"):
            self.assertLen(list(images.examples(split)), images.num_examples(split))
        self.assertEqual(fake_sets.listing(self.data_dir), before)
        for folder, _, _ in os.walk(self.data_dir):
            os.chmod(folder, 0o755)  # To be removed.


if __name__ == "__main__":
    absltest.main()
