"""Batches of vectors: their order, and skipping."""

import os
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp import data


def _read(batches: tf.data.Dataset) -> np.ndarray:
    return np.stack(list(batches.as_numpy_iterator()))


class VectorsTest(parameterized.TestCase):
    """As the order of images: see `pipeline_test.py`."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.path = os.path.join(folder, "a.npz")
        rows = np.stack([np.arange(107), np.arange(107) % 2], 1)
        np.savez(cls.path, train=rows[:90], validation=rows[90:100], test=rows[100:])
        cls.table = data.load_table(f"npz:{cls.path}")

    def _epoch(self, **kwargs) -> list:
        batches = self.table.training_batches(8, **{"seed": 3, "epoch": 4, **kwargs})
        self.assertEqual(batches.element_spec, tf.TensorSpec((8, 2), tf.float32))
        return [batch[:, 0].tolist() for batch in batches.as_numpy_iterator()]

    def test_evaluation_keeps_order_and_the_last_batch(self):
        batches = self.table.evaluation_batches("test", 4)
        self.assertEqual(batches.element_spec, tf.TensorSpec((None, 2), tf.float32))
        numbers = [batch[:, 0].tolist() for batch in batches.as_numpy_iterator()]
        self.assertEqual(numbers, [[100, 101, 102, 103], [104, 105, 106]])

    def test_an_epoch_has_every_row_once_but_for_the_remainder(self):
        epoch = self._epoch()
        self.assertLen(epoch, 11)
        self.assertLen(set(sum(epoch, [])), 88)
        whole = _read(self.table.training_batches(90, seed=0, epoch=0))[0, :, 0]
        self.assertEqual(sorted(whole), list(range(90)))
        self.assertNotEqual(list(whole), list(range(90)))

    def test_seed_and_epoch_alone_decide(self):
        tf.random.set_seed(1)
        first = self._epoch()
        tf.random.set_seed(2)
        self.assertEqual(self._epoch(), first)
        others = [self._epoch(seed=s, epoch=e) for s, e in [(3, 5), (4, 4), (4, 3), (-3, 4), (2**40, 4)]]
        for index, other in enumerate([first, *others]):
            self.assertEqual([first, *others].index(other), index)

    def test_skipping_is_dropping(self):
        whole = self._epoch()
        for skip in (1, 2, 10, 11):
            self.assertEqual(self._epoch(skip=skip), whole[skip:])
            self.assertEqual(self.table.training_batches(8, seed=3, epoch=4, skip=skip).cardinality(), 11 - skip)

    def test_the_order_is_that_of_images(self):
        images = data.load("digits", self.enter_context(tempfile.TemporaryDirectory()))
        pixels = _read(images.examples("train"))
        with tempfile.TemporaryDirectory() as folder:
            rows = np.stack([pixels.reshape(len(pixels), -1).sum(1), np.arange(len(pixels))], 1)
            np.savez(f"{folder}/a.npz", train=rows, validation=rows, test=rows)
            table = data.load_table(f"npz:{folder}/a.npz")
        order = _read(table.training_batches(64, seed=5, epoch=6, skip=3))[..., 1].astype(int)
        np.testing.assert_array_equal(_read(images.training_batches(64, seed=5, epoch=6, skip=3)), pixels[order])

    def test_every_worker_sees_one_order(self):
        for batches in (
            self.table.training_batches(8, seed=0, epoch=0),
            self.table.evaluation_batches("test", 4),
        ):
            options = batches.options()
            self.assertTrue(options.deterministic)
            policy = options.experimental_distribute.auto_shard_policy
            self.assertEqual(policy, tf.data.experimental.AutoShardPolicy.DATA)

    def test_a_strategy_can_distribute_the_batches(self):
        batches = self.table.training_batches(8, seed=0, epoch=0)
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        distributed = strategy.experimental_distribute_dataset(batches)
        np.testing.assert_array_equal(np.stack([b.numpy() for b in distributed]), _read(batches))

    @parameterized.named_parameters(
        (
            "unknown_split",
            lambda table: table.num_examples("valid"),
            "unknown split 'valid' of NAME: expected one of train, validation, test",
        ),
        (
            "batch_of_none",
            lambda table: table.evaluation_batches("test", 0),
            "expected a batch_size of 1 or more, got 0",
        ),
        (
            "split_too_small_for_a_batch",
            lambda table: table.training_batches(91, seed=0, epoch=0),
            "expected a batch_size of 1 to 90, the size of the train split of NAME, got 91",
        ),
        (
            "skip_past_the_end",
            lambda table: table.training_batches(20, seed=0, epoch=0, skip=5),
            "expected skip to be 0 to 4, the batches in an epoch of NAME at batch_size=20, got 5",
        ),
        (
            "flipped",
            lambda table: table.training_batches(20, seed=0, epoch=0, flip=True),
            "expected flip=False for the vectors of NAME: only images can be mirrored",
        ),
    )
    def test_error(self, call, message):
        with self.assertRaises(ValueError) as caught:
            call(self.table)
        self.assertEqual(str(caught.exception), message.replace("NAME", self.table.name))


if __name__ == "__main__":
    absltest.main()
