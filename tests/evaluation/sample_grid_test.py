"""Pictures in TensorBoard."""

import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import summaries
from tfp_realnvp import evaluation


class SampleGridTest(absltest.TestCase):
    def test_every_fit_is_written(self):
        folder = self.enter_context(tempfile.TemporaryDirectory())
        distribution = nvp.real_nvp(event_shape=(4, 4, 1), scales=1, width=2, blocks=0, levels=17, context_size=2)
        context = tf.one_hot([0, 1, 1], 2)
        callback = evaluation.SampleGrid(
            folder, tf.fill([5, 4, 4, 1], 8.0), levels=17, count=3, every=2, context=context
        )
        optimizer = mock.Mock(iterations=tf.Variable(0))
        callback.set_model(mock.Mock(distribution=distribution, optimizer=optimizer))
        for epochs in (range(3), range(3, 5)):
            callback.on_train_begin()
            for epoch in epochs:
                optimizer.iterations.assign_add(10)
                callback.on_epoch_end(epoch)
            callback.on_train_end()
        events = summaries.read(folder)
        self.assertEqual(
            [(step, tag) for step, tag, _ in events],
            [(20, "samples"), (20, "inversion_error"), (40, "samples"), (40, "inversion_error")],
        )
        width, height, png = events[0][2]
        samples = distribution.sample(3, seed=(0, 0), context=context).numpy()
        expected = evaluation.image_grid(samples, levels=17)
        drawn = tf.io.decode_png(png).numpy()
        self.assertEqual(drawn.shape[:2], (int(height), int(width)))
        self.assertGreater(np.mean(drawn == expected), 0.97)
        self.assertLess(events[1][2], 1e-3)


if __name__ == "__main__":
    absltest.main()
