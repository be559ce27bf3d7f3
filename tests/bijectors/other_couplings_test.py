"""The couplings that are not affine."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp.bijectors import AdditiveCoupling, Alternating, SplineCoupling
from tfp_realnvp.bijectors.logistic_mixture import components_of, mixture_logit


def _constant(values):
    """A conditioner that says the same of every event."""
    return lambda kept: tf.tile(tf.constant([values], kept.dtype), [tf.shape(kept)[0], 1])


class AdditiveCouplingTest(absltest.TestCase):
    def test_shifts(self):
        coupling = AdditiveCoupling(lambda kept: 2 * kept[:, :1], Alternating(0))
        z, log_det = coupling.forward_and_log_det(tf.constant([[1.0, 5.0, 3.0]]))
        np.testing.assert_array_equal(z, [[1, 7, 3]])
        np.testing.assert_array_equal(log_det, [0])

    def test_another_number_of_outputs_is_refused(self):
        coupling = AdditiveCoupling(_constant([1.0, 2.0]), Alternating(0))
        with self.assertRaisesRegex(
            ValueError, r"additive_coupling: expected the conditioner to return 1 channels, a shift for each of 1, got"
        ):
            coupling.forward(tf.zeros([2, 3]))


class SplineCouplingTest(parameterized.TestCase):
    def test_zeros_are_the_identity(self):
        coupling = SplineCoupling(_constant([0.0] * 11), Alternating(0), bins=4, bound=2.0)
        x = tf.random.stateless_uniform([50, 2], (0, 0), -3, 3)
        z, log_det = coupling.forward_and_log_det(x)
        np.testing.assert_allclose(z, x, atol=1e-6)
        np.testing.assert_allclose(log_det, 0, atol=1e-5)

    def test_beyond_the_bound_nothing_moves(self):
        raw = np.random.default_rng(0).normal(size=11).tolist()
        coupling = SplineCoupling(_constant(raw), Alternating(0), bins=4, bound=2.0)
        x = tf.constant([[0.0, 2.5], [0.0, -7.0], [0.0, 2.0], [0.0, 1.0]])
        z, log_det = coupling.forward_and_log_det(x)
        np.testing.assert_array_equal(z[:2], x[:2])
        np.testing.assert_array_equal(log_det[:2], 0)
        np.testing.assert_allclose(z[2], x[2], atol=1e-5)
        self.assertGreater(np.abs(z[3, 1] - x[3, 1]), 0.01)

    def test_rises_everywhere(self):
        raw = (2 * np.random.default_rng(1).normal(size=23)).tolist()
        coupling = SplineCoupling(_constant(raw), Alternating(0), bins=8)
        x = np.stack([np.zeros(100_000), np.linspace(-4, 4, 100_000)], 1).astype(np.float32)
        z, log_det = coupling.forward_and_log_det(x)
        self.assertGreaterEqual(np.min(np.diff(z[:, 1])), 0)
        # The log-det is the slope: their integral is the whole way.
        self.assertAlmostEqual(float(np.mean(np.exp(log_det)) * 8), 8, delta=0.05)

    def test_the_inverse_of_steep_splines_is_that_of_float64(self):
        random = np.random.default_rng(0)
        raw, z = 10 * random.normal(size=[20_000, 23]), random.uniform(-3, 3, [20_000, 2])
        coupling = SplineCoupling(lambda kept: tf.constant(raw, kept.dtype), Alternating(0), bins=8)
        x, log_det = coupling.inverse_and_log_det(tf.constant(z, tf.float32))
        exact, exact_log_det = coupling.inverse_and_log_det(tf.constant(z))
        np.testing.assert_allclose(x, exact, atol=0.01)
        np.testing.assert_allclose(log_det, exact_log_det, atol=0.02)
        # In flat stretches, where many x have the same z.
        flat = coupling.inverse(coupling.forward(tf.constant(z, tf.float32)))
        self.assertTrue(np.isfinite(flat).all())

    def test_each_channel_has_parameters_of_its_own(self):
        raw = np.concatenate([np.zeros(11), np.random.default_rng(0).normal(size=11)]).tolist()
        coupling = SplineCoupling(_constant(raw), Alternating(0), bins=4)
        x = tf.constant([[0.0, 1.0, 0.0, 1.0]])
        z = coupling.forward(x).numpy()
        self.assertAlmostEqual(z[0, 1], 1, places=5)
        self.assertGreater(abs(z[0, 3] - 1), 0.01)

    @parameterized.parameters((dict(bins=1), "expected 2 to 500 bins, got 1"), (dict(bound=0), "positive bound, got 0"))
    def test_unknown_settings_are_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            SplineCoupling(_constant([0.0]), Alternating(0), **settings)


class LogisticMixtureTest(absltest.TestCase):
    def test_slopes_far_out_are_those_of_float64(self):
        random = np.random.default_rng(0)
        raw = random.normal(size=[200, 24]).astype(np.float32)
        x = (random.normal(size=200) * 10 ** random.uniform(0, 9, 200)).astype(np.float32)
        y, log_slope = mixture_logit(tf.constant(x), components_of(tf.constant(raw)))
        wide = mixture_logit(tf.constant(x, tf.float64), components_of(tf.constant(raw, tf.float64)))
        np.testing.assert_allclose(y, wide[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(log_slope, wide[1], rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    absltest.main()
