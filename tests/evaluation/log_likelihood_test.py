"""The log-likelihood of vectors."""

import numpy as np
import tensorflow_probability as tfp
from absl.testing import absltest

import tfp_realnvp as nvp
from tfp_realnvp import evaluation

tfd = tfp.distributions


class LogLikelihoodTest(absltest.TestCase):
    def test_mean_and_standard_error_over_batches(self):
        rows = np.random.default_rng(0).normal(size=[10, 3]).astype(np.float32)
        distribution = tfd.Sample(tfd.Normal(0.0, 1.0), [3])
        result = evaluation.log_likelihood(distribution, [rows[:4], rows[4:]])
        expected = -0.5 * np.sum(rows**2, 1) - 1.5 * np.log(2 * np.pi)
        self.assertAlmostEqual(result.nats, np.mean(expected), 5)
        self.assertAlmostEqual(result.standard_error, np.std(expected, ddof=1) / np.sqrt(10), 5)
        self.assertRegex(str(result), r"^-\d+\.\d{4} \+- \d\.\d{4} nats \(10 vectors\)$")

    def test_nothing_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected at least one vector to evaluate on, got none"):
            evaluation.log_likelihood(nvp.nice(event_shape=(2,), hidden_units=(2,)), [])

    def test_gaussian_is_that_of_the_training_rows(self):
        random = np.random.default_rng(1)
        mixing = np.array([[2.0, 0, 0], [1, 0.5, 0], [0, 3, 100]])
        train, test = (random.normal(size=[n, 3]) @ mixing.T + 5 for n in (500, 50))
        fitted = tfd.MultivariateNormalFullCovariance(train.mean(0), np.cov(train, rowvar=False, bias=True))
        result = evaluation.gaussian_log_likelihood([train[:100], train[100:]], [test])
        self.assertAlmostEqual(result.nats, float(np.mean(fitted.log_prob(test))), 3)


if __name__ == "__main__":
    absltest.main()
