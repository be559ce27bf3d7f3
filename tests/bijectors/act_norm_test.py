import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import training
from tfp_realnvp.bijectors import ActNorm, Alternating, Chain

_MOMENTS = ([2.0, -30.0, 0.5], [0.1, 9.0, 2.0])


def _batch(seed, count=64):
    mean, deviation = np.float32(_MOMENTS)
    return mean + deviation * tf.random.stateless_normal([count, 2, 4, 3], (seed, 0))


class _Model(keras.Model):
    def __init__(self, norm):
        super().__init__(autocast=False)
        self.norm = norm

    def call(self, x):
        return self.norm.forward_and_log_det(x)[0]


class ActNormTest(absltest.TestCase):
    def test_the_first_batch_in_training_sets_it(self):
        norm = ActNorm(3, event_ndims=3)
        np.testing.assert_array_equal(norm.forward(_batch(0)), _batch(0))  # Not in inference.
        model = _Model(norm)
        z = model(_batch(0), training=True)
        np.testing.assert_allclose(np.mean(z, (0, 1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(np.std(z, (0, 1, 2)), 1, rtol=1e-5)
        # What inference does then, and every later batch.
        for is_training in (False, True):
            np.testing.assert_allclose(model(_batch(0), training=is_training), z, rtol=1e-5, atol=1e-5)
        later = model(_batch(1) * 100, training=True)
        self.assertGreater(np.max(np.abs(later)), 50)
        np.testing.assert_allclose(model(_batch(0), training=True), z, rtol=1e-5, atol=1e-5)

    def test_a_channel_that_is_the_same_everywhere(self):
        model = _Model(ActNorm(1))
        z = model(tf.ones([8, 1]), training=True)
        np.testing.assert_allclose(z, 0, atol=1e-6)
        self.assertTrue(np.all(np.isfinite(model.norm.forward_and_log_det(2 * tf.ones([8, 1]))[1])))

    def test_another_number_of_channels_is_refused(self):
        with self.assertRaisesRegex(ValueError, "act_norm: expected vectors of size 2, got 3"):
            ActNorm(2).forward(tf.zeros([1, 3]))

    def _flow(self):
        conditioner = nvp.conditioners.MLP(outputs=4, hidden_units=(4,), dtype="float64")
        conditioner.build([None, 2])
        coupling = nvp.bijectors.Coupling(nvp.transformers.Affine(), conditioner, Alternating(0), dtype="float64")
        return nvp.FlowDistribution(Chain([ActNorm(4, dtype="float64"), coupling]), [4], dtype=tf.float64)

    def test_a_training_step_sets_it_once(self):
        events = 5 + 3 * tf.random.stateless_normal([16, 4], (0, 0), dtype=tf.float64)
        distribution = self._flow()
        (norm,) = registry.parts(distribution, ActNorm)
        model = training.FlowModel(distribution)
        model.compile(training.Adam(1e-3))
        step = tf.function(model.train_step)
        step(events * np.nan)  # Skipped: it sets nothing.
        np.testing.assert_array_equal(norm.variance.value, 0)
        step(events)
        np.testing.assert_allclose(norm.mean.value, np.mean(events, 0), rtol=1e-9)
        np.testing.assert_allclose(norm.variance.value, np.var(events, 0), rtol=1e-9)
        self.assertGreater(np.max(np.abs(norm.shift.value)), 0)
        step(events - 7)
        np.testing.assert_allclose(norm.mean.value, np.mean(events, 0), rtol=1e-9)

    def test_fit(self):
        distribution = self._flow()
        model = training.FlowModel(distribution)
        model.compile(training.Adam(1e-3))
        events = 5 + 3 * np.random.default_rng(0).normal(size=[64, 4])
        losses = model.fit(events, batch_size=32, epochs=2, verbose=0).history["loss"]
        self.assertLess(losses[0], -np.mean(distribution.distribution.log_prob(events)) / 2)
        (norm,) = registry.parts(distribution, ActNorm)
        np.testing.assert_allclose(norm.mean.value, 5, atol=2)


if __name__ == "__main__":
    absltest.main()
