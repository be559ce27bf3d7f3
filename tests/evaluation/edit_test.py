"""The same latent under another label."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import evaluation

_SHAPE = (8, 8, 1)


def _distribution(**kwargs):
    return registry.randomize(nvp.real_nvp(event_shape=_SHAPE, scales=1, width=2, blocks=0, levels=17, **kwargs))


class ChangeLabelsTest(absltest.TestCase):
    def test_under_its_own_label_an_image_comes_back(self):
        distribution = _distribution(context_size=3)
        labels = np.array([2, 0])
        x = distribution.sample(2, seed=(0, 1), context=tf.one_hot(labels, 3)).numpy()
        done = []
        found = evaluation.change_labels(distribution, x, labels, 3, progress=done.append)
        self.assertEqual((found.shape, done), ((2, 3, *_SHAPE), [6]))
        np.testing.assert_allclose(found[[0, 1], labels], x, rtol=1e-3, atol=1e-3)
        for label in (0, 1, 2):
            z = distribution.flow.forward(x, context=tf.one_hot(labels, 3))
            expected = distribution.flow.inverse(z, context=tf.one_hot([label, label], 3))
            np.testing.assert_allclose(found[:, label], expected, rtol=1e-3, atol=1e-3)
        self.assertGreater(np.max(np.abs(found[0, 1] - x[0])), 0.01)
        # A float32 rounding in the encoding of random weights is some hundredths of a level where it comes back.
        for compiled, tolerance in ((False, 1e-3), (True, 0.2)):
            how = dict(batch_size=4, jit_compile=compiled, progress=done.append)
            again = evaluation.change_labels(distribution, x, labels, 3, **how)
            np.testing.assert_allclose(again, found, rtol=1e-3, atol=tolerance)
        self.assertEqual(done, [6, 4, 6, 4, 6])

    def test_refuses_labels_of_no_class(self):
        distribution = _distribution(context_size=3)
        for labels in ([3, 0], [-1, 0], [0], [1.0, 0.0], [True, False]):
            with self.assertRaisesRegex(ValueError, r"expected 2 integer labels in 0 ... 2, got"):
                evaluation.change_labels(distribution, np.ones([2, *_SHAPE], np.float32), np.array(labels), 3)


if __name__ == "__main__":
    absltest.main()
