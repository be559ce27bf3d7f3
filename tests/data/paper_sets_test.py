"""The paper's large sets, as small fakes under their TFDS names: from file to batch."""

import tempfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized
from PIL import Image

from tests.data import fake_sets
from tfp_realnvp import data


def _noise(count: int, *shape: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8))


def _pillow_resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """By Pillow, antialiased; it rounds twice, so that a level more or less is to be expected."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def _read(examples: tf.data.Dataset) -> np.ndarray:
    return np.stack(list(examples.as_numpy_iterator()))


def _sizes(images: data.Events) -> tuple[int, ...]:
    return tuple(images.num_examples(split) for split in ("train", "validation", "test"))


class PaperSetsTest(parameterized.TestCase):
    def _load(self, name: str, splits: dict[str, Sequence[np.ndarray]], **kwargs) -> data.Events:
        data_dir = self.enter_context(tempfile.TemporaryDirectory())
        fake_sets.write(data_dir, name, splits, **kwargs)
        return data.load(name, data_dir)

    @parameterized.parameters(32, 64)
    def test_downsampled_imagenet(self, size):
        splits = {
            "train": _noise(20, size, size, 3),
            "validation": _noise(5, size, size, 3, seed=1),
        }
        images = self._load(f"downsampled_imagenet/{size}x{size}", splits)
        self.assertEqual((images.shape, images.levels), ((size, size, 3), 256))
        np.testing.assert_array_equal(_read(images.examples("train")), splits["train"][:18])
        np.testing.assert_array_equal(_read(images.examples("validation")), splits["train"][18:])
        np.testing.assert_array_equal(_read(images.examples("test")), splits["validation"])

    def test_celeb_a(self):
        splits = {
            split: _noise(count, 218, 178, 3, seed=count)
            for split, count in {"train": 6, "validation": 3, "test": 2}.items()
        }
        images = self._load("celeb_a", splits, shape=(218, 178, 3))
        self.assertEqual((images.shape, images.levels), ((64, 64, 3), 256))
        self.assertEqual(_sizes(images), (6, 3, 2))
        for split, originals in splits.items():
            made = _read(images.examples(split)).astype(int)
            expected = [_pillow_resized(image[40:188, 15:163], 64, 64) for image in originals]
            self.assertLessEqual(np.abs(made - expected).max(), 1)
        batch = next(iter(images.training_batches(4, seed=0, epoch=0, flip=True)))
        self.assertEqual(batch.shape, (4, 64, 64, 3))

    @parameterized.parameters("lsun/bedroom", "lsun/tower", "lsun/church_outdoor")
    def test_lsun_in_evaluation(self, name):
        test = [*_noise(1, 256, 383, 3), *_noise(1, 400, 256, 3)]
        images = self._load(name, {"train": _noise(20, 96, 96, 3), "validation": test})
        self.assertEqual((images.shape, images.levels), ((64, 64, 3), 256))
        self.assertEqual(_sizes(images), (18, 2, 2))
        wide, tall = _read(images.examples("test")).astype(int)
        wide_expected = _pillow_resized(test[0], 96, 143)[16:80, 39:103]
        tall_expected = _pillow_resized(test[1], 150, 96)[43:107, 16:80]
        self.assertLessEqual(np.abs(wide - wide_expected).max(), 1)
        self.assertLessEqual(np.abs(tall - tall_expected).max(), 1)

    def test_lsun_in_training(self):
        # 96x112 images whose pixels say row, column and number: a resize to 96 leaves them alone.
        rows, columns = np.mgrid[:96, :112]
        train = [np.stack([rows, columns, np.full_like(rows, number)], -1).astype(np.uint8) for number in range(40)]
        images = self._load("lsun/bedroom", {"train": train, "validation": train[:1]})

        def crops(epoch: int, skip: int = 0) -> list[tuple[int, int, int]]:
            """The number of each image of an epoch, and where it was cropped."""
            found = []
            for batch in images.training_batches(4, seed=0, epoch=epoch, skip=skip):
                for made in batch.numpy():
                    top, left, number = made[0, 0].tolist()
                    original = train[number][top : top + 64, left : left + 64]
                    np.testing.assert_array_equal(made, original)
                    found.append((number, top, left))
            return found

        first, second = crops(0), crops(1)
        for epoch in (first, second):
            self.assertCountEqual([number for number, _, _ in epoch], range(36))
            self.assertGreater(len({top for _, top, _ in epoch}), 12)
            self.assertGreater(len({left for _, _, left in epoch}), 12)
        self.assertNotEqual(sorted(first), sorted(second))
        self.assertEqual(crops(0), first)
        self.assertEqual(crops(0, skip=3), first[12:])


if __name__ == "__main__":
    absltest.main()
