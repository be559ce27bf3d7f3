"""Bits per dimension and how an evaluation sums up and reads."""

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


class EvaluationTest(parameterized.TestCase):
    def test_mean_and_standard_error(self):
        bits = np.float32([1.0, 2.0, 4.0, 5.0])
        result = evaluation.Evaluation.of_images(bits, 1)
        self.assertEqual(result.bits_per_dim, 3.0)
        # Deviations -2, -1, 1, 2: variance 10 / 3, standard error sqrt(10 / 3 / 4).
        self.assertAlmostEqual(result.standard_error, math.sqrt(10 / 12), places=14)
        self.assertEqual((result.num_examples, result.importance_samples), (4, 1))
        self.assertIsInstance(result.bits_per_dim, float)

    def test_one_image_has_no_standard_error(self):
        result = evaluation.Evaluation.of_images(np.array([2.5]), 1)
        self.assertEqual(result.bits_per_dim, 2.5)
        self.assertTrue(math.isnan(result.standard_error))

    def test_one_impossible_image_makes_the_mean_infinite(self):
        result = evaluation.Evaluation.of_images(np.array([2.5, math.inf]), 1)
        self.assertEqual(result.bits_per_dim, math.inf)
        self.assertTrue(math.isnan(result.standard_error))

    @parameterized.parameters(
        (300, 1, "2.0612 +- 0.0123 bits/dim (uniform dequantisation, 1 sample, 300 images)"),
        (10_000, 50, "2.0612 +- 0.0123 bits/dim (uniform dequantisation, 50 samples, 10,000 images)"),
        (1, 0, "2.0612 +- 0.0123 bits/dim (exact, 1 image)"),
    )
    def test_reads_well(self, num_examples, samples, expected):
        result = evaluation.Evaluation(2.06123, 0.01232, num_examples, samples)
        self.assertEqual(str(result), expected)


if __name__ == "__main__":
    absltest.main()
