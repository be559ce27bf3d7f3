"""Roots, their gradients, and the mixtures that are inverted by them."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp.transformers.bisection import inverse_by_bisection
from tfp_realnvp.transformers.logistic_mixture import components_of, inverse_mixture_logit, mixture_logit


class BisectionTest(parameterized.TestCase):
    @parameterized.parameters(("float32", 2e-7), ("float64", 1e-15))
    def test_root_and_its_gradient(self, dtype, tolerance):
        y, scale = tf.constant([-8.0, 0.0, 1.0, 27.0], dtype), tf.constant(2.0, dtype)
        with tf.GradientTape() as tape:
            tape.watch([y, scale])
            x = inverse_by_bisection(lambda x: (scale * x + x**3, scale + 3 * x**2), y, -abs(y) - 1, abs(y) + 1)
        np.testing.assert_allclose(scale * x + x**3, y, rtol=20 * tolerance, atol=20 * tolerance)
        of_y, of_scale = tape.gradient(x, [y, scale])
        # Of y = s x + x^3 at a fixed y or s.
        np.testing.assert_allclose(of_y, 1 / (scale + 3 * x**2), rtol=1e-5)
        np.testing.assert_allclose(of_scale, tf.reduce_sum(-x / (scale + 3 * x**2)), rtol=1e-5, atol=1e-7)


class LogisticMixtureTest(parameterized.TestCase):
    def test_one_component_is_a_line(self):
        raw = tf.constant([[0.3], [0.7], [-0.5]], tf.float64)
        _, mean, log_scale = components_of(raw)
        x = tf.constant([1.5], tf.float64)
        y, log_slope = mixture_logit(x, components_of(raw))
        np.testing.assert_allclose(y, (x - mean[0]) * np.exp(-log_scale[0]), rtol=1e-12)
        np.testing.assert_allclose(log_slope, -log_scale[0], rtol=1e-12)

    def test_it_is_the_logit_of_the_distribution_function(self):
        raw = tf.random.stateless_normal([9, 5], (0, 0), dtype=tf.float64)
        logits, means, log_scales = (part.numpy() for part in components_of(raw))
        x = np.linspace(-2, 2, 5)
        weights = np.exp(logits) / np.sum(np.exp(logits), 0)
        cdf = np.sum(weights / (1 + np.exp(-(x - means) / np.exp(log_scales))), 0)
        np.testing.assert_allclose(mixture_logit(x, components_of(raw))[0], np.log(cdf / (1 - cdf)), rtol=1e-9)

    @parameterized.parameters(-1e4, -30.0, 0.0, 30.0, 1e4)
    def test_far_out_it_is_finite_and_inverts(self, x):
        components = components_of(tf.constant([[v] for v in (1.0, -1, 0.5, -2, 2, 0, 0.5, -0.5, 0)]))
        y, log_slope = mixture_logit(tf.constant([x]), components)
        self.assertTrue(np.isfinite(log_slope[0]))
        back, inverse_log_slope = inverse_mixture_logit(y, components)
        np.testing.assert_allclose(back, [x], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(inverse_log_slope, -log_slope, rtol=1e-4, atol=1e-4)

    def test_whatever_a_network_says_nothing_overflows(self):
        components = components_of(tf.constant([[1e6], [-1e6], [1e6], [-1e6], [1e6], [-1e6]]))
        for x in (-1e3, 0.0, 1e3):
            self.assertTrue(np.all(np.isfinite(mixture_logit(tf.constant([x]), components))))

    def test_components_start_apart(self):
        _, means, _ = components_of(tf.zeros([3 * 4]))
        self.assertLen(set(means.numpy()), 4)


if __name__ == "__main__":
    absltest.main()
