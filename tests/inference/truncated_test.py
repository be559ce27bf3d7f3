"""Rounds of simulations: where they are, and that the posterior stays the exact one."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest

import tfp_realnvp as nvp
from tfp_realnvp import inference

tfd = tfp.distributions

_SMALL = functools.partial(nvp.maf, layers=1, hidden_units=(16,))
_NOISE = 0.2


class TruncatedTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.asked = []

        def simulator(theta):
            cls.asked.append(theta.numpy())
            return theta + _NOISE * tf.random.normal(tf.shape(theta))

        cls.x = np.array([0.5, -1.0], np.float32)
        prior = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
        options = dict(flow=_SMALL, learning_rate=0.02, max_epochs=15)
        cls.posterior = inference.fit_posterior_sequentially(
            prior, simulator, cls.x, rounds=2, simulations=800, left_out=1e-3, **options
        )

    def test_later_rounds_simulate_where_the_posterior_lies(self):
        self.assertEqual([theta.shape for theta in self.asked], [(800, 2), (800, 2)])
        far = [np.max(np.abs(theta - self.x)) for theta in self.asked]
        self.assertGreater(far[0], 2.5)
        self.assertLess(far[1], 2)

    def test_the_posterior_is_the_exact_one_of_the_whole_prior(self):
        samples = self.posterior.sample(4_000, self.x).numpy()
        variance = _NOISE**2 / (1 + _NOISE**2)
        np.testing.assert_allclose(samples.mean(0), self.x / (1 + _NOISE**2), atol=0.1)
        np.testing.assert_allclose(samples.std(0), variance**0.5, rtol=0.25)

    def test_errors(self):
        prior = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
        with self.assertRaisesRegex(ValueError, "expected 1 round or more, got 0"):
            inference.fit_posterior_sequentially(prior, tf.identity, self.x, rounds=0)
        with self.assertRaisesRegex(ValueError, r"expected one observation, got a batch of \(2,\): each has"):
            inference.fit_posterior_sequentially(prior, tf.identity, np.stack([self.x, self.x]), simulations=2)
        with self.assertRaisesRegex(ValueError, "expected a left_out between 0 and 1, got 1"):
            inference.fit_posterior_sequentially(prior, tf.identity, self.x, left_out=1.0)


if __name__ == "__main__":
    absltest.main()
