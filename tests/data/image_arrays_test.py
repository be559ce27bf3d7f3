"""Arrays of .npy and .npz files as image sets."""

import os
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from tfp_realnvp import data
from tfp_realnvp.data.sets import SPLITS


def _numbered(count: int, *shape: int) -> np.ndarray:
    """Images of noise whose first pixel is their number."""
    images = np.random.default_rng(0).integers(256, size=[count, *shape], dtype=np.uint8)
    images[:, 0, 0] = np.arange(count).reshape([-1] + [1] * (len(shape) - 2))
    return images


class _Test(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, pathlib.Path.cwd())
        os.chdir(self.enter_context(tempfile.TemporaryDirectory()))
        self.images = _numbered(40, 4, 6)
        self.labels = np.arange(40) % 3 * 5


class ArraysTest(_Test):
    @parameterized.parameters(([4, 6],), ([4, 6, 1],), ([4, 6, 3],))
    def test_pixels(self, shape):
        written = _numbered(40, *shape)
        np.save("a.npy", written)
        np.savez("b.npz", x=written, y=np.zeros([40, 2]))
        for name in ("npy:a.npy", "npz:b.npz:x"):
            self.assertFalse(data.is_table(name))
            images = data.load(name)
            self.assertEqual((images.shape, images.levels), ((4, 6, (*shape, 1)[2]), 256))
            self.assertEqual([images.num_examples(split) for split in SPLITS], [33, 3, 4])
            found = np.concatenate([list(images.examples(split).as_numpy_iterator()) for split in SPLITS])
            self.assertEqual(sorted(found[:, 0, 0, 0].tolist()), list(range(40)))
            self.assertNotEqual(found[:, 0, 0, 0].tolist(), list(range(40)))
            np.testing.assert_array_equal(found, written.reshape(40, *images.shape)[found[:, 0, 0, 0]])
        self.assertEndsWith(images.describe(), "of 256 levels; left out: y")
        self.assertTrue(data.is_table("npz:b.npz:y"))

    @parameterized.parameters("", "set/")
    def test_splits(self, prefix):
        parts = dict(zip(SPLITS, np.split(self.images, [25, 30]), strict=True))
        labels = dict(zip(SPLITS, np.split(self.labels, [25, 30]), strict=True))
        arrays = {f"{prefix}{split}": part for split, part in parts.items()}
        np.savez("a.npz", **arrays, **{f"{prefix}{split}_labels": part for split, part in labels.items()})
        images = data.load("npz:a.npz", labels=True)
        self.assertEqual(images.class_names, ("0", "5", "10"))
        self.assertNotIn("left out", images.describe())
        for split in SPLITS:
            found, indices = zip(*images.examples(split).as_numpy_iterator())
            np.testing.assert_array_equal(found, parts[split][..., np.newaxis])
            np.testing.assert_array_equal(indices, labels[split] // 5)

    @parameterized.named_parameters(
        ("numbers", {}, ("0", "5", "10")),
        ("column", {"labels": (np.arange(40) % 3 * 5)[:, np.newaxis]}, ("0", "5", "10")),
        ("texts", {"labels": np.array(["b", "a", "c"])[np.arange(40) % 3]}, ("a", "b", "c")),
        ("by_name", {"images_labels": np.arange(40) % 2 == 0, "labels": np.zeros(1)}, ("False", "True")),
    )
    def test_labels(self, given, names):
        np.savez("a.npz", images=self.images, **{"labels": self.labels, **given})
        images = data.load("npz:a.npz", labels=True)
        self.assertEqual(images.class_names, names)
        self.assertEqual(data.load("npz:a.npz").files, images.files)
        labels = next(iter(given.values()), self.labels).reshape(-1)
        for image, label in images.examples("train"):
            self.assertEqual(str(labels[int(image[0, 0, 0])]), names[int(label)])
        given_names = ("more", *reversed(names))
        again = data.load("npz:a.npz", labels=given_names)
        for image, label in again.examples("test"):
            self.assertEqual(str(labels[int(image[0, 0, 0])]), given_names[int(label)])

    def test_image_size(self):
        np.save("a.npy", np.full([40, 9, 6, 3], 77, np.uint8))
        images = data.load("npy:a.npy", image_size=4)
        self.assertEqual(images.shape, (4, 4, 3))
        np.testing.assert_array_equal(
            next(iter(images.training_batches(8, seed=0, epoch=0))), np.full([8, 4, 4, 3], 77)
        )
        with self.assertRaisesRegex(ValueError, "npy:a.npy: expected an image_size of at most 6, got 7"):
            data.load("npy:a.npy", image_size=7)

    def test_tables_are_tables(self):
        np.save("a.npy", np.zeros([40, 4], np.uint8))
        np.savez("b.npz", x=self.images.astype(np.float32))
        pathlib.Path("c.npz").write_bytes(b"PK no archive")
        os.mkfifo("d.npy")
        names = ("npy:a.npy", "npz:b.npz", "npz:c.npz", "npy:d.npy", "npy:gone.npy", "npz:b.npz:y", f"npy:{'a' * 300}")
        for name in names:
            self.assertTrue(data.is_table(name), name)
        with self.assertRaisesRegex(
            data.BadTableError, r"expected 2 axes \[rows, columns\], got .* of float32; images are uint8"
        ):
            data.load("npz:b.npz")


class RefusedTest(_Test):
    def _message(self, name="npz:a.npz", **kwargs):
        with self.assertRaises(data.BadImageError) as caught:
            data.load(name, **kwargs)
        return str(caught.exception)

    def test_too_few(self):
        np.save("a.npy", self.images[:19])
        self.assertEqual(self._message("npy:a.npy"), "a.npy: expected 20 or more images, got 19")

    @parameterized.parameters(2, 4)
    def test_channels(self, channels):
        np.save("a.npy", _numbered(20, 4, 6, channels))
        self.assertEqual(self._message("npy:a.npy"), f"a.npy: expected images of 1 or 3 channels, got {channels}")

    def test_splits_that_differ(self):
        arrays = dict(train=self.images, validation=self.images, test=self.images[:, :2])
        np.savez("a.npz", **arrays)
        self.assertEqual(
            self._message(), "a.npz, test: expected images of shape (4, 6, 1), as in a.npz, train, got (2, 6, 1)"
        )
        np.savez("a.npz", **(arrays | {"test": self.images.astype(float)}))
        self.assertEqual(
            self._message(),
            "a.npz, test: expected uint8 [n, height, width(, channels)], got float64 of shape (40, 4, 6)",
        )

    def test_no_labels(self):
        np.savez("a.npz", images=self.images)
        np.save("a.npy", self.images)
        expected = "a.npz, images: expected an array images_labels or labels beside it, got none"
        self.assertEqual(self._message(labels=True), expected)
        expected = "a.npy: expected an array labels beside it, got none"
        self.assertEqual(self._message("npy:a.npy", labels=True), expected)

    @parameterized.parameters(
        (np.zeros(40), "a.npz, labels: expected 40 integers or texts, got float64 of shape (40,)"),
        (np.arange(39), "a.npz, labels: expected 40 integers or texts, got int64 of shape (39,)"),
        (np.zeros([40, 2], int), "a.npz, labels: expected 40 integers or texts, got int64 of shape (40, 2)"),
        (np.arange(40), "a.npz: expected labels of classes, got 40 different ones of 40 images"),
        (np.zeros(40, int), "a.npz: expected labels of classes, got 1 different ones of 40 images"),
    )
    def test_labels(self, labels, expected):
        np.savez("a.npz", images=self.images, labels=labels)
        self.assertEqual(self._message(labels=True), expected)

    def test_other_classes(self):
        np.savez("a.npz", images=self.images, labels=self.labels)
        self.assertEqual(self._message(labels=("0", "5")), "a.npz: expected labels among 0, 5, got 10")


if __name__ == "__main__":
    absltest.main()
