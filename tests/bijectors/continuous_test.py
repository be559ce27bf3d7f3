import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tests.bijectors.training_mode import Training
from tfp_realnvp.bijectors import Continuous


def _layer(hidden_units=(4,), size=2, **settings):
    network = nvp.conditioners.VelocityMLP(outputs=size, hidden_units=hidden_units, dtype="float64")
    network.build((None, size))
    return registry.randomize(Continuous(network, size, **settings))


class ContinuousTest(parameterized.TestCase):
    def test_is_the_solution_of_a_linear_equation(self):
        matrix = np.array([[0.3, -0.5], [0.2, 0.1]])

        class Linear(keras.layers.Layer):
            def with_divergence(self, x, time, context=None):
                return x @ matrix.T, lambda directions: np.trace(matrix) * tf.ones_like(x[:, 0])

        network = Linear()
        network.build((None, 2))
        x = np.random.default_rng(0).normal(size=[3, 2])
        z, log_det = Continuous(network, 2, steps=50).forward_and_log_det(x)
        np.testing.assert_allclose(z, x @ tf.linalg.expm(matrix).numpy().T, rtol=1e-8)
        np.testing.assert_allclose(log_det, np.trace(matrix), rtol=1e-8)

    def test_estimates_over_ten_thousand_draws(self):
        layer = _layer(trace="hutchinson", steps=5)
        single = tf.constant(np.random.default_rng(5).normal(size=[1, 2]))
        many = tf.repeat(single, 10_000, 0)
        results = []
        for model, x, training in ((layer, single, {}), (Training(layer), many, {"training": True})):
            with tf.GradientTape() as tape:
                tape.watch(x)
                _, log_det = model(x, **training) if training else model.forward_and_log_det(x)
            results.append((log_det.numpy(), tape.gradient(log_det, x).numpy()))
        for drawn, mean in zip(results[1], results[0]):
            errors = np.std(drawn, 0) / 100
            self.assertGreater(np.min(errors), 1e-5)
            self.assertLess(np.max(np.abs(np.mean(drawn, 0) - mean[0]) / errors), 3)
        self.assertEqual(layer.passes, 1)

    def test_errors_are_of_order_four_and_estimated(self):
        x = 2 * tf.random.stateless_normal([20, 2], (0, 0), dtype=tf.float64)
        exact = _layer(steps=100).forward_and_log_det(x)
        errors = []
        for steps in (3, 6):
            layer = _layer(steps=steps)
            found = [np.abs(a - e) for a, e in zip(layer.forward_and_log_det(x), exact)]
            errors.append((np.max(found[0], -1), found[1]))
            for error, estimate in zip(errors[-1], layer.error(x)):
                np.testing.assert_allclose(np.max(estimate), np.max(error), rtol=0.3)
        for coarse, fine in zip(*errors):
            self.assertBetween(np.max(coarse) / np.max(fine), 10, 30)

    def test_trains(self):
        flow = nvp.ffjord(event_shape=2, hidden_units=(8,), trace="hutchinson", steps=3)
        events = tf.random.stateless_normal([64, 2], (1, 0)) * [0.5, 1.0] + [2.0, 0.0]
        before = tf.reduce_mean(flow.log_prob(events))
        model = nvp.FlowModel(flow)
        model.compile(keras.optimizers.Adam(0.05))
        model.fit(events, batch_size=32, epochs=2, verbose=0)
        self.assertGreater(tf.reduce_mean(flow.log_prob(events)), before + 1)

    def test_says_its_evaluations(self):
        self.assertEqual(_layer(steps=5).describe(), "continuous: 5 steps, 20 evaluations, trace exact")

    @parameterized.parameters(
        (dict(steps=0), "expected at least 1 step, got 0"),
        (dict(trace="guess"), "expected trace to be one of exact, hutchinson, got 'guess'"),
    )
    def test_other_settings_are_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            _layer(**settings)


if __name__ == "__main__":
    absltest.main()
