import math
import re
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

from tfp_realnvp import FlowDistribution
from tfp_realnvp.bijectors import DequantizedLogit, dequantize

tfd = tfp.distributions


class DequantizeTest(parameterized.TestCase):
    @parameterized.parameters(2, 17, 256, 65536)
    def test_never_reaches_the_next_level(self, levels):
        # The greatest of all noises, which no sample of a test would meet.
        def greatest(shape, seed, minval, maxval, dtype):
            return tf.fill(shape, tf.constant(maxval - 1, dtype))

        images = tf.range(levels)
        with mock.patch.object(tf.random, "stateless_uniform", greatest):
            x = dequantize(images, seed=(0, 0), levels=levels).numpy()
        self.assertEqual(x.dtype, np.float32)
        np.testing.assert_array_less(x, images.numpy() + 1)
        np.testing.assert_array_equal(np.floor(x), images)

    @parameterized.product(levels=(2, 17, 256), dtype=("float32", "float64"))
    def test_noise_is_exact_and_uniform(self, levels, dtype):
        images = tf.repeat(tf.range(levels), 20000 // levels)
        x = dequantize(images, seed=(1, 2), levels=levels, dtype=dtype)
        self.assertEqual(x.dtype, dtype)
        noise = x.numpy() - images.numpy()
        steps = noise * 2 ** (24 - math.ceil(math.log2(levels)))
        np.testing.assert_array_equal(steps, np.round(steps))
        # Kolmogorov and Smirnov: beyond 2 / sqrt(n) with a chance of 7e-4.
        ranks = (np.arange(noise.size) + 0.5) / noise.size
        self.assertLess(np.max(np.abs(np.sort(noise) - ranks)), 2 / math.sqrt(noise.size))

    @parameterized.parameters("uint8", "int32", "int64")
    def test_takes_integers(self, dtype):
        images = np.array([[0, 3], [200, 255]], dtype)
        x = dequantize(images, seed=(1, 2))
        self.assertEqual(x.shape, [2, 2])
        np.testing.assert_array_equal(np.floor(x), images)

    def test_the_seed_decides(self):
        images = tf.zeros([100], tf.uint8)
        x = dequantize(images, seed=(1, 2))
        np.testing.assert_array_equal(x, dequantize(images, seed=tf.constant([1, 2])))
        self.assertLess(np.mean(x == dequantize(images, seed=(1, 3))), 0.1)

    @parameterized.parameters(1, [(1, 2, 3)], [(0.5, 1.0)])
    def test_a_seed_is_two_integers(self, seed):
        with self.assertRaisesRegex(ValueError, re.escape(f"expected a seed of two integers, got {seed}")):
            dequantize(tf.zeros([3], tf.uint8), seed=seed)

    @parameterized.parameters(1, 2, 3)
    def test_parts_of_a_batch_get_the_noise_of_the_whole(self, parts):
        images = tf.reshape(tf.range(24), [6, 4])
        whole = dequantize(images, seed=(1, 2))
        split = [dequantize(part, seed=(1, 2), part=(i, parts)) for i, part in enumerate(tf.split(images, parts))]
        np.testing.assert_array_equal(tf.concat(split, 0), whole)

    @parameterized.parameters("float32", "float64", "bool")
    def test_what_is_no_integer_is_refused(self, dtype):
        with self.assertRaisesRegex(TypeError, f"expected integer pixels to dequantise, got {dtype}"):
            dequantize(np.zeros([2], dtype), seed=(0, 0))


class DequantizedLogitTest(parameterized.TestCase):
    @parameterized.parameters((256, 0.05), (17, 0.01))
    def test_is_the_logit_of_the_squash(self, levels, alpha):
        bijector = DequantizedLogit(levels, alpha=alpha)
        x = np.linspace(0, levels, 101, endpoint=False)
        p = alpha + (1 - 2 * alpha) * x / levels
        z, log_det = bijector.forward_and_log_det(tf.constant(x))
        np.testing.assert_allclose(z, np.log(p / (1 - p)), rtol=1e-12, atol=1e-12)
        slope = (1 - 2 * alpha) / levels / (p * (1 - p))
        np.testing.assert_allclose(log_det, np.log(slope), rtol=1e-12)

    @parameterized.product(levels=(256, 17), alpha=(0.05, 0.01))
    def test_the_uniform_density_is_log2_of_the_levels_bits(self, levels, alpha):
        # When x is uniform on [0, levels), p is on [alpha, 1 - alpha): z is logistic, cut off.
        x = tf.random.stateless_uniform([1000], (1, 0), 0, levels)
        z, log_det = DequantizedLogit(levels, alpha=alpha).forward_and_log_det(x)
        log_prob = tfd.Logistic(0.0, 1.0).log_prob(z) - math.log(1 - 2 * alpha) + log_det
        np.testing.assert_allclose(-log_prob / math.log(2), math.log2(levels), rtol=1e-6)

    @parameterized.product(dtype=("float32", "float64"), bad=(-14.3, 270.3, -1e30, np.inf, np.nan))
    def test_outside_the_support(self, dtype, bad):
        # 256 * (-.05, .95) / .9 = (-14.22, 270.22)
        x = tf.constant([-14.2, bad, 270.2], dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, log_det = DequantizedLogit().forward_and_log_det(x)
            total = tf.reduce_sum(z) + tf.reduce_sum(log_det[::2])
        self.assertTrue(np.all(np.isfinite(z)))
        np.testing.assert_array_equal(np.isfinite(log_det), [True, False, True])
        self.assertEqual(log_det[1], -np.inf)
        self.assertTrue(np.all(np.isfinite(tape.gradient(total, x))))

    @parameterized.parameters(-14.3, 270.3, np.nan)
    def test_validate_args_refuses_what_is_outside(self, bad):
        bijector = DequantizedLogit(validate_args=True)
        self.assertTrue(np.all(np.isfinite(bijector.forward(tf.constant([-14.2, 0.0, 270.2])))))
        for function in (bijector.forward_and_log_det, tf.function(bijector.forward_and_log_det)):
            with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "expected pixels in"):
                function(tf.constant([0.0, bad]))

    @parameterized.parameters("float32", "float64")
    def test_every_latent_gives_a_pixel_of_finite_density(self, dtype):
        bijector = DequantizedLogit()
        z = tf.cast(tf.linspace(-100.0, 100.0, 2001), dtype)
        x, inverse_log_det = bijector.inverse_and_log_det(z)
        self.assertTrue(np.all(np.isfinite(inverse_log_det)))
        np.testing.assert_array_less(-256 * 0.05 / 0.9, x)
        np.testing.assert_array_less(x, 256 * 0.95 / 0.9)
        back, log_det = bijector.forward_and_log_det(x)
        self.assertTrue(np.all(np.isfinite(log_det)))
        moderate = np.abs(z) < 6
        np.testing.assert_allclose(back[moderate], z[moderate], atol=1e-3)

    def test_sampling_undoes_the_squash(self):
        # Against quadrature: the pixels of an identity flow are
        # 256 (sigmoid(z) - alpha) / (1 - 2 alpha), z ~ N(0, 1).
        alpha, count = 0.05, 40000
        distribution = FlowDistribution(DequantizedLogit(alpha=alpha), event_shape=[])
        x = distribution.sample(count, seed=(1, 2)).numpy().astype(np.float64)
        z = np.linspace(-12, 12, 100001)
        weights = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
        pixels = 256 * (1 / (1 + np.exp(-z)) - alpha) / (1 - 2 * alpha)
        mean = np.sum(weights * pixels)
        deviation = np.sqrt(np.sum(weights * (pixels - mean) ** 2))
        tail = np.sum(weights[(pixels < 0) | (pixels >= 256)])
        self.assertAlmostEqual(tail, 0.00324, delta=1e-4)
        # Five standard errors each.
        self.assertAlmostEqual(np.mean(x), mean, delta=5 * deviation / np.sqrt(count))
        self.assertAlmostEqual(np.std(x), deviation, delta=5 * deviation / np.sqrt(2 * count))
        self.assertAlmostEqual(np.mean((x < 0) | (x >= 256)), tail, delta=5 * np.sqrt(tail / count))

    def test_settings_out_of_range_are_refused(self):
        with self.assertRaisesRegex(ValueError, "expected at least 2 levels, got 1"):
            DequantizedLogit(1)
        for alpha in (0.0, 0.5):
            with self.assertRaisesRegex(ValueError, "expected alpha between 0 and 0.5, got"):
                DequantizedLogit(alpha=alpha)


if __name__ == "__main__":
    absltest.main()
