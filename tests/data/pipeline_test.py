"""Order, skipping and flips, for splits kept in memory and for splits read from files."""

import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized

from tests.data import fake_sets
from tfp_realnvp import data
from tfp_realnvp.data import image_source, prepared, sets

_TRAIN, _VALIDATION, _TEST = 90, 10, 7
_BATCH = 8
_BATCHES = _TRAIN // _BATCH
_CLASSES = 200 + _TEST  # The label of an image is its number.

KEPT_OR_READ = parameterized.named_parameters(("in_memory", True), ("from_files", False))


def _numbered(start: int, count: int) -> list[np.ndarray]:
    """2x3 images whose left half says which one they are."""
    images = np.zeros((count, 2, 3, 1), np.uint8)
    images[:, :, 0] = np.arange(start, start + count)[:, np.newaxis, np.newaxis]
    images[:, :, 2] = 255
    return list(images)


def _numbers(images: np.ndarray) -> list[int]:
    """The numbers of images, mirrored or not: the other end is 255."""
    return np.minimum(images[:, 0, 0, 0], images[:, 0, 2, 0]).tolist()


def _read(batches: tf.data.Dataset) -> np.ndarray:
    return np.stack(list(batches.as_numpy_iterator()))


def _read_pairs(batches: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.stack(images), np.stack(labels)


class PipelineTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data_dir = cls.enterClassContext(tempfile.TemporaryDirectory())
        train_and_validation = _numbered(0, _TRAIN + _VALIDATION)
        splits = {"train": train_and_validation, "test": _numbered(200, _TEST)}
        fake_sets.write(
            cls.data_dir,
            "numbered",
            splits,
            shape=(2, 3, 1),
            files=5,
            labels={split: _numbers(np.stack(images)) for split, images in splits.items()},
            label=tfds.features.ClassLabel(num_classes=_CLASSES),
        )

    def _load(self, in_memory: bool, **kwargs) -> data.Events:
        if not in_memory:
            self.enter_context(mock.patch.object(image_source, "_IN_MEMORY_BYTES", 0))
            self.enter_context(mock.patch.object(prepared.TFDSRecords, "shuffle_block", 13))
        return data.load("numbered", self.data_dir, **kwargs)

    def test_what_it_says_of_itself(self):
        images = self._load(True)
        self.assertEqual(repr(images), "Events(name='numbered', shape=(2, 3, 1), levels=256)")

    @KEPT_OR_READ
    def test_no_image_is_in_two_splits_or_in_none(self, in_memory):
        images = self._load(in_memory)
        expected = {
            "train": range(_TRAIN),
            "validation": range(_TRAIN, _TRAIN + _VALIDATION),
            "test": range(200, 200 + _TEST),
        }
        for split, numbers in expected.items():
            examples = images.examples(split)
            self.assertEqual(images.num_examples(split), len(numbers))
            self.assertEqual(examples.cardinality(), len(numbers))
            self.assertEqual(examples.element_spec, tf.TensorSpec((2, 3, 1), tf.uint8))
            self.assertEqual(_numbers(_read(examples)), list(numbers))

    @KEPT_OR_READ
    def test_evaluation_keeps_order_and_the_last_batch(self, in_memory):
        batches = self._load(in_memory).evaluation_batches("test", 4)
        self.assertEqual(batches.cardinality(), 2)
        first, last = batches.as_numpy_iterator()
        self.assertEqual(_numbers(first), [200, 201, 202, 203])
        self.assertEqual(_numbers(last), [204, 205, 206])

    @KEPT_OR_READ
    def test_an_epoch_has_every_image_once_but_for_the_remainder(self, in_memory):
        images = self._load(in_memory)
        whole = images.training_batches(_TRAIN // 10, seed=0, epoch=0)
        numbers = _numbers(np.concatenate(_read(whole)))
        self.assertEqual(sorted(numbers), list(range(_TRAIN)))
        self.assertNotEqual(numbers, list(range(_TRAIN)))

        batches = images.training_batches(_BATCH, seed=0, epoch=0)
        self.assertEqual(batches.cardinality(), _BATCHES)
        self.assertEqual(batches.element_spec, tf.TensorSpec((_BATCH, 2, 3, 1), tf.uint8))
        numbers = _numbers(np.concatenate(_read(batches)))
        self.assertLen(set(numbers), _BATCHES * _BATCH)

    @KEPT_OR_READ
    def test_seed_and_epoch_alone_decide(self, in_memory):
        images, again = self._load(in_memory), self._load(in_memory)

        def epoch(images: data.Events, seed: int, epoch: int) -> list:
            batches = images.training_batches(_BATCH, seed=seed, epoch=epoch, flip=True)
            return _read(batches).tolist()

        tf.random.set_seed(1)
        first = epoch(images, 0, 0)
        self.assertEqual(epoch(images, 0, 0), first)
        tf.random.set_seed(2)
        self.assertEqual(epoch(again, 0, 0), first)
        others = [epoch(images, *key) for key in [(0, 1), (1, 0), (1, 1), (-1, 0), (2**40, 0)]]
        for index, other in enumerate([first, *others]):
            self.assertEqual([first, *others].index(other), index)

    @KEPT_OR_READ
    def test_skipping_is_dropping(self, in_memory):
        images = self._load(in_memory)

        def epoch(skip: int) -> list:
            batches = images.training_batches(_BATCH, seed=3, epoch=4, flip=True, skip=skip)
            self.assertEqual(batches.cardinality(), _BATCHES - skip)
            return [batch.tolist() for batch in batches.as_numpy_iterator()]

        whole = epoch(0)
        for skip in (1, 2, _BATCHES - 1, _BATCHES):
            self.assertEqual(epoch(skip), whole[skip:])

    @KEPT_OR_READ
    def test_half_of_the_images_are_flipped_and_which_changes(self, in_memory):
        images = self._load(in_memory)

        def flipped(epoch: int) -> np.ndarray:
            """Whether each image that both epochs hold was flipped, by its number."""
            plain = images.training_batches(9, seed=0, epoch=epoch)
            mirrored = images.training_batches(9, seed=0, epoch=epoch, flip=True)
            plain, mirrored = (np.concatenate(_read(b)) for b in (plain, mirrored))
            turned = (mirrored != plain).any((1, 2, 3))
            expected = np.where(turned[:, None, None, None], plain[:, :, ::-1], plain)
            np.testing.assert_array_equal(mirrored, expected)
            return turned[np.argsort(_numbers(plain))]

        first, second = flipped(0), flipped(1)
        self.assertBetween(first.mean(), 0.3, 0.7)
        self.assertBetween((first != second).mean(), 0.3, 0.7)

    def test_what_fits_is_decoded_once(self):
        images = self._load(True)
        decode = image_source.ImageSource._from_files
        with mock.patch.object(image_source.ImageSource, "_from_files", autospec=True) as spy:
            spy.side_effect = decode
            for epoch in range(3):
                _read(images.training_batches(_BATCH, seed=0, epoch=epoch))
            _read(images.examples("train"))
        spy.assert_called_once()

    def test_what_does_not_fit_is_not_kept(self):
        images = self._load(False)
        with mock.patch.object(image_source.ImageSource, "_in_memory", side_effect=AssertionError):
            _read(images.training_batches(_BATCH, seed=0, epoch=0))
            _read(images.examples("train"))

    def test_files_are_shuffled_too(self):
        images = self._load(False)
        with mock.patch.object(prepared.TFDSRecords, "shuffle_block", 1):
            orders = [
                _numbers(np.concatenate(_read(images.training_batches(9, seed=0, epoch=epoch)))) for epoch in range(3)
            ]
        for order in orders:
            self.assertEqual(sorted(order), list(range(_TRAIN)))
        self.assertLen({tuple(order) for order in orders}, 3)

    def test_images_of_one_file_are_shuffled(self):
        batches = self._load(False).training_batches(9, seed=0, epoch=0)
        first_file = [n for n in _numbers(np.concatenate(_read(batches))) if n < 20]
        self.assertLen(first_file, 20)
        self.assertGreater(np.sum(np.diff(first_file) < 0), 5)

    @KEPT_OR_READ
    def test_every_worker_sees_one_order(self, in_memory):
        images = self._load(in_memory)
        for batches in (
            images.training_batches(_BATCH, seed=0, epoch=0, flip=True),
            images.evaluation_batches("test", _BATCH),
        ):
            options = batches.options()
            self.assertTrue(options.deterministic)
            self.assertEqual(
                options.experimental_distribute.auto_shard_policy,
                tf.data.experimental.AutoShardPolicy.DATA,
            )

    def test_a_strategy_can_distribute_the_batches(self):
        images = self._load(True)
        batches = images.training_batches(_BATCH, seed=0, epoch=0, flip=True)
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        distributed = strategy.experimental_distribute_dataset(batches)
        np.testing.assert_array_equal(np.stack([b.numpy() for b in distributed]), _read(batches))

    def test_classes(self):
        self.assertIsNone(self._load(True).classes)
        self.assertEqual(self._load(True, labels=True).classes, _CLASSES)

    @KEPT_OR_READ
    def test_every_image_has_its_label(self, in_memory):
        images = self._load(in_memory, labels=True)
        for split in sets.SPLITS:
            examples = images.examples(split)
            self.assertEqual(examples.cardinality(), images.num_examples(split))
            self.assertEqual(examples.element_spec, (tf.TensorSpec((2, 3, 1), tf.uint8), tf.TensorSpec((), tf.int32)))
            pixels, labels = _read_pairs(examples)
            self.assertEqual(_numbers(pixels), labels.tolist())
        (_, first), (last_images, last) = images.evaluation_batches("test", 4).as_numpy_iterator()
        self.assertEqual([*first, *last], list(range(200, 200 + _TEST)))
        self.assertEqual(_numbers(last_images), last.tolist())

        batches = images.training_batches(_BATCH, seed=0, epoch=0, flip=True)
        self.assertEqual(batches.cardinality(), _BATCHES)
        self.assertEqual(
            batches.element_spec,
            (tf.TensorSpec((_BATCH, 2, 3, 1), tf.uint8), tf.TensorSpec((_BATCH,), tf.int32)),
        )
        pixels, labels = _read_pairs(batches)
        self.assertEqual(_numbers(np.concatenate(pixels)), np.concatenate(labels).tolist())

    @parameterized.product(in_memory=(True, False), flip=(False, True), skip=(0, 3))
    def test_labels_change_nothing_in_the_images(self, in_memory, flip, skip):
        plain, labelled = self._load(in_memory), self._load(in_memory, labels=True)
        for key in ({"seed": 0, "epoch": 0}, {"seed": 5, "epoch": 2}):
            expected = _read(plain.training_batches(_BATCH, flip=flip, skip=skip, **key))
            pixels, _ = _read_pairs(labelled.training_batches(_BATCH, flip=flip, skip=skip, **key))
            np.testing.assert_array_equal(pixels, expected)

    def test_labels_change_nothing_in_random_crops(self):
        cropped = {"numbered": sets.Recipe(size=2, random_crop=True)}
        self.enter_context(mock.patch.dict(sets.RECIPES, cropped))
        plain, labelled = self._load(False), self._load(False, labels=True)
        expected = _read(plain.training_batches(_BATCH, seed=1, epoch=0, flip=True))
        pixels, labels = _read_pairs(labelled.training_batches(_BATCH, seed=1, epoch=0, flip=True))
        np.testing.assert_array_equal(pixels, expected)
        # A crop at the left has the number, one at the right only what lies beside it.
        numbers = pixels.max(axis=(2, 3, 4), where=pixels != 255, initial=0)
        self.assertBetween(np.mean(numbers == labels), 0.3, 0.7)

    def test_a_strategy_can_distribute_pairs(self):
        batches = self._load(True, labels=True).training_batches(_BATCH, seed=0, epoch=0, flip=True)
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        pixels, labels = zip(*strategy.experimental_distribute_dataset(batches), strict=True)
        expected_pixels, expected_labels = _read_pairs(batches)
        np.testing.assert_array_equal(np.stack(pixels), expected_pixels)
        np.testing.assert_array_equal(np.stack(labels), expected_labels)

    @parameterized.named_parameters(
        (
            "unknown_split",
            lambda images: images.num_examples("valid"),
            "unknown split 'valid' of numbered: expected one of train, validation, test",
        ),
        (
            "unknown_split_of_examples",
            lambda images: images.examples("train[:5]"),
            "unknown split 'train[:5]' of numbered: expected one of train, validation, test",
        ),
        (
            "batch_of_none",
            lambda images: images.evaluation_batches("test", 0),
            "expected a batch_size of 1 or more, got 0",
        ),
        (
            "training_batch_of_none",
            lambda images: images.training_batches(0, seed=0, epoch=0),
            "expected a batch_size of 1 to 90, the size of the train split of numbered, got 0",
        ),
        (
            "split_too_small_for_a_batch",
            lambda images: images.training_batches(91, seed=0, epoch=0),
            "expected a batch_size of 1 to 90, the size of the train split of numbered, got 91",
        ),
        (
            "skip_past_the_end",
            lambda images: images.training_batches(20, seed=0, epoch=0, skip=5),
            "expected skip to be 0 to 4, the batches in an epoch of numbered at batch_size=20, got 5",
        ),
        (
            "negative_skip",
            lambda images: images.training_batches(20, seed=0, epoch=0, skip=-1),
            "expected skip to be 0 to 4, the batches in an epoch of numbered at batch_size=20, got -1",
        ),
    )
    def test_error(self, call, message):
        with self.assertRaises(ValueError) as caught:
            call(self._load(True))
        self.assertEqual(str(caught.exception), message)


if __name__ == "__main__":
    absltest.main()
