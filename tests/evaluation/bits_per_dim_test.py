"""Bits per dimension."""

import math

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp import evaluation


class BitsPerDimTest(parameterized.TestCase):
    @parameterized.parameters(2, 17, 256)
    def test_a_uniform_density_has_log2_levels(self, levels):
        log_prob = np.full([5], -8 * 8 * 3 * math.log(levels))
        bits = evaluation.bits_per_dim(log_prob, (8, 8, 3))
        np.testing.assert_allclose(bits, math.log2(levels), rtol=1e-15)

    def test_numbers_arrays_and_tensors(self):
        self.assertAlmostEqual(evaluation.bits_per_dim(-4 * math.log(2), [4]), 1.0, places=14)
        tensor = evaluation.bits_per_dim(tf.constant([-1.0, 2.0]), tf.TensorShape([2, 1, 1]))
        self.assertEqual(tensor.dtype, tf.float32)
        np.testing.assert_allclose(tensor, [0.5 / math.log(2), -1 / math.log(2)], rtol=1e-6)
        array = evaluation.bits_per_dim(np.float32([[-1.0]]), (1,))
        self.assertEqual((array.dtype, array.shape), (np.float32, (1, 1)))

    @parameterized.parameters(([None, 8, 1],), ([8, 0, 1],), (tf.TensorShape([None]),))
    def test_refuses_an_unknown_or_empty_shape(self, event_shape):
        with self.assertRaisesRegex(ValueError, "expected an event shape of known sizes above 0"):
            evaluation.bits_per_dim(-1.0, event_shape)


if __name__ == "__main__":
    absltest.main()
