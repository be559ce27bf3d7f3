"""How the inversion error is measured."""

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import evaluation


class _Forgetful(nvp.bijectors.Bijector):
    """Adds 3 and takes away 2.75 from the first of a batch, and 3 from the others."""

    def __init__(self):
        super().__init__(event_ndims=1, name="forgetful")

    def _forward_and_log_det(self, x, context, training):
        return x + 3, tf.zeros_like(x[:, 0])

    def _inverse_and_log_det(self, z, context, training):
        amounts = tf.concat([[2.75], tf.fill([tf.shape(z)[0] - 1], 3.0)], 0)
        return z - amounts[:, tf.newaxis], tf.zeros_like(z[:, 0])


class InversionErrorTest(absltest.TestCase):
    def test_measures_what_is_wrong(self):
        distribution = nvp.FlowDistribution(_Forgetful(), [2])
        error = evaluation.inversion_error(distribution, tf.zeros([4, 2]))
        self.assertEqual(error, evaluation.InversionError(maximum=0.25, mean=0.0625))

    def test_is_not_fooled_by_the_cache(self):
        """TFP's own distributions have no guard against it."""
        distribution = tfp.distributions.TransformedDistribution(
            tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), [2]),
            tfp.bijectors.Invert(_Forgetful()),
        )
        x = tf.zeros([4, 2])
        self.assertEqual(evaluation.inversion_error(distribution, x).maximum, 0.25)

    def test_of_a_flow_is_rounding(self):
        distribution = registry.randomize(nvp.real_nvp(event_shape=(4, 4, 1), scales=1, width=4, blocks=1))
        pixels = np.random.default_rng(0).uniform(0, 256, [8, 4, 4, 1])  # float64, as numpy has it
        error = evaluation.inversion_error(distribution, pixels)
        self.assertBetween(error.maximum, 1e-7, 1e-2)
        self.assertBetween(error.mean, 1e-8, error.maximum)

    def test_of_a_flow_that_overflows_is_nan(self):
        distribution = nvp.FlowDistribution(nvp.bijectors.BatchNorm(2), [2])
        error = evaluation.inversion_error(distribution, np.array([[0.0, 1.0], [math.nan, 0.0]]))
        self.assertTrue(math.isnan(error.maximum))
        self.assertTrue(math.isnan(error.mean))

    def test_refuses_integers(self):
        distribution = nvp.FlowDistribution(nvp.bijectors.BatchNorm(2), [2])
        with self.assertRaisesRegex(TypeError, "real-valued events, got uint8"):
            evaluation.inversion_error(distribution, np.zeros([3, 2], np.uint8))
        with self.assertRaisesRegex(ValueError, "expected at least one event, got none"):
            evaluation.inversion_error(distribution, np.zeros([0, 2]))


if __name__ == "__main__":
    absltest.main()
