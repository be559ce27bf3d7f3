import os
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tfp_realnvp.bijectors import Chain, Planar, Standardize


class StandardizeTest(parameterized.TestCase):
    def test_known_values(self):
        standardize = Standardize(mean=[170.0, 70.0], std=[10.0, 12.0])
        z, log_det = standardize.forward_and_log_det(tf.constant([[180.0, 58.0], [170.0, 94.0]]))
        np.testing.assert_allclose(z, [[1, -1], [0, 2]], atol=1e-6)
        np.testing.assert_allclose(log_det, [-np.log(120)] * 2, rtol=1e-6)
        np.testing.assert_allclose(standardize.inverse(tf.constant([[1.0, -1.0]])), [[180, 58]], rtol=1e-6)

    def test_rows_of_any_scale_come_out_with_mean_0_and_variance_1(self):
        mean, std = [1e6, 0, -1e-6, 3e30], [10, 1e-30, 1e-6, 1e30]
        x = (np.float64(mean) + std * np.random.default_rng(0).normal(size=[1000, 4])).astype(np.float32)
        z, log_det = Standardize(x.mean(0, np.float64), x.std(0, dtype=np.float64)).forward_and_log_det(x)
        np.testing.assert_allclose(np.mean(z, 0), 0, atol=1e-2)
        np.testing.assert_allclose(np.std(z, 0), 1, rtol=1e-4)
        self.assertTrue(np.all(np.isfinite(log_det)))

    def test_the_density_is_in_the_units_of_the_rows(self):
        distribution = nvp.FlowDistribution(Standardize([5.0, -2.0], [3.0, 0.5]), [2])
        x = tf.constant([[4.0, -1.5]])
        expected = nvp.FlowDistribution(Standardize([0.0, 0.0], [1.0, 1.0]), [2]).log_prob((x - [5, -2]) / [3, 0.5])
        np.testing.assert_allclose(distribution.log_prob(x), expected - np.log(1.5), rtol=1e-6)

    def test_nothing_is_learned_and_everything_is_saved(self):
        def chain(mean, std):
            return Chain([Standardize(mean, std), Planar(2)])

        saved, restored = chain([5.0, -2.0], [3.0, 0.5]), chain([0.0, 0.0], [1.0, 1.0])
        self.assertLen(saved.trainable_variables, 3)
        self.assertLen(saved.variables, 5)
        with tempfile.TemporaryDirectory() as folder:
            path = tf.train.Checkpoint(flow=saved).write(os.path.join(folder, "checkpoint"))
            tf.train.Checkpoint(flow=restored).read(path).assert_consumed()
        x = tf.constant([[4.0, -1.5]])
        for actual, expected in zip(restored.forward_and_log_det(x), saved.forward_and_log_det(x)):
            np.testing.assert_array_equal(actual, expected)

    @parameterized.parameters(
        ([0.0, 1.0], [1.0], r"expected mean and std of one shape \[size\], got \(2,\) and \(1,\)"),
        ([[0.0]], [[1.0]], r"expected mean and std of one shape \[size\], got \(1, 1\) and \(1, 1\)"),
        (0.0, 1.0, r"expected mean and std of one shape \[size\], got \(\) and \(\)"),
        ([0.0, np.nan], [1.0, 1.0], "expected a finite mean, got nan"),
        ([0.0, 1e39], [1.0, 1.0], "expected a finite mean, got inf"),
        ([0.0, 0.0], [1.0, 0.0], "expected a finite std above 0, got 0.0"),
        ([0.0, 0.0], [-2.0, 1.0], "expected a finite std above 0, got -2.0"),
        ([0.0, 0.0], [1.0, np.nan], "expected a finite std above 0, got nan"),
        ([0.0, 0.0], [1.0, np.inf], "expected a finite std above 0, got inf"),
        ([0.0, 0.0], [1.0, 1e-50], "expected a finite std above 0, got 0.0"),
    )
    def test_refused(self, mean, std, message):
        with self.assertRaisesRegex(ValueError, f"^standardize: {message}$"):
            Standardize(mean, std)

    def test_another_size_is_refused(self):
        standardize = Standardize([0.0, 0.0], [1.0, 1.0])
        for function in (standardize.forward, standardize.inverse):
            with self.assertRaisesRegex(ValueError, "standardize: expected vectors of size 2, got 3"):
                function(tf.zeros([1, 3]))


if __name__ == "__main__":
    absltest.main()
