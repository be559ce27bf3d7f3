import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tests.bijectors.training_mode import Training
from tfp_realnvp.bijectors import Residual
from tfp_realnvp.bijectors.elimination import log_det_of_one_plus


def _block(size=3, coefficient=0.6, dtype="float64", **settings):
    network = nvp.conditioners.LipschitzMLP(outputs=size, hidden_units=(4,), coefficient=coefficient, dtype=dtype)
    network.build((None, size))
    block = Residual(network, size, **settings)
    for i, variable in enumerate(network.trainable_variables):
        variable.assign(2 * np.random.default_rng(i).normal(size=variable.shape))  # At their bounds.
    return block


class ResidualTest(parameterized.TestCase):
    @parameterized.parameters("series", "roulette")
    def test_estimates_over_ten_thousand_draws(self, method):
        x = np.random.default_rng(5).normal(size=[1, 3])
        many = tf.constant(np.repeat(x, 10_000, 0))
        settings = dict(log_det=method, terms=3 if method == "series" else 1)
        block = _block(seed=1, **settings)
        with tf.GradientTape() as tape:
            tape.watch(many)
            z, estimates = Training(block)(many, training=True)
        gradients = tape.gradient(estimates, many)
        single = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(single)
            exact = block.forward_and_log_det(single)
        np.testing.assert_allclose(z[:1], exact[0])
        expected = exact[1], tape.gradient(exact[1], single)
        self.assertGreater(np.std(estimates), 0.01)
        if method == "series":
            # What the first terms alone give, from the Jacobian.
            product = block.network.linearized(single)[1]
            jacobian = product(tf.eye(3, dtype=tf.float64)[:, tf.newaxis])[:, 0].numpy().T
            powers = [np.linalg.matrix_power(jacobian, k) for k in (1, 2, 3)]
            truncated = sum((-1) ** k * np.trace(power) / (k + 1) for k, power in enumerate(powers))
            self.assertLess(abs(truncated - expected[0]), block.truncation_bound)
            expected = ([truncated],)
        for drawn, mean in zip((estimates, gradients), expected):
            errors = np.std(drawn, 0) / 100
            self.assertLess(np.max(np.abs(np.mean(drawn, 0) - mean[0]) / errors), 3)

    def test_draws_change_and_evaluation_does_not(self):
        block = _block(log_det="roulette", seed=1)
        model, x = Training(block), tf.ones([4, 3], tf.float64)
        first, second = (model(x, training=True)[1] for _ in range(2))
        self.assertGreater(np.max(np.abs(first - second)), 0)
        again = Training(_block(log_det="roulette", seed=1))(x, training=True)[1]
        np.testing.assert_array_equal(again, first)
        np.testing.assert_array_equal(*(model(x, training=False)[1] for _ in range(2)))

    @parameterized.parameters("float32", "float64")
    def test_inverts_to_the_last_digits(self, dtype):
        block = _block(coefficient=0.9, dtype=dtype)
        x = 3 * tf.random.stateless_normal([20, 3], (0, 0), dtype=dtype)
        z = block.forward(x)
        error = 1e3 * np.finfo(dtype).eps
        np.testing.assert_allclose(block.inverse(tf.identity(z)), x, rtol=error, atol=error)

    def test_a_network_that_is_no_contraction_is_an_error(self):
        class Doubles(keras.layers.Layer):
            coefficient = 0.5

            def linearized(self, x, context=None):
                return 2 * x, lambda tangents: 2 * tangents

        network = Doubles()
        network.build((None, 3))
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "residual: expected the inverse to converge in"):
            Residual(network, 3).inverse(tf.ones([1, 3]))

    @parameterized.parameters("exact", "series", "roulette")
    def test_trains(self, method):
        flow = nvp.residual(event_shape=2, layers=2, hidden_units=(8,), log_det=method, coefficient=0.7)
        events = tf.random.stateless_normal([64, 2], (1, 0)) * [0.5, 1.0] + [2.0, 0.0]
        before = tf.reduce_mean(flow.log_prob(events))
        model = nvp.FlowModel(flow)
        model.compile(keras.optimizers.Adam(0.05), jit_compile=method == "roulette")
        model.fit(events, batch_size=32, epochs=4, verbose=0)
        self.assertGreater(tf.reduce_mean(flow.log_prob(events)), before + 1)
        for block in registry.parts(flow, Residual):
            self.assertEqual(getattr(block, "passes", 8), 8)

    def test_says_which_method_it_uses(self):
        self.assertEqual(_block().describe(), "residual: log-det exact")
        self.assertEqual(
            _block(log_det="roulette").describe(), "residual: log-det exact, in training by Russian roulette"
        )
        series = _block(log_det="series", terms=2)
        self.assertEqual(series.describe(), "residual: log-det exact, in training by 2 terms of the series")
        self.assertAlmostEqual(series.truncation_bound, 3 * 0.6**3 / (3 * 0.4))
        self.assertEqual(_block().truncation_bound, 0)

    @parameterized.parameters(
        (dict(log_det="guess"), "expected log_det to be one of exact, series, roulette, got 'guess'"),
        (dict(terms=0), "expected at least 1 term, got 0"),
    )
    def test_other_settings_are_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            _block(**settings)

    def test_other_networks_are_refused(self):
        dense = keras.layers.Dense(2)
        dense.build((None, 2))
        with self.assertRaisesRegex(
            ValueError, "a coefficient between 0 and 1, such as LipschitzMLP, got None from Dense"
        ):
            Residual(dense, 2)

    def test_elimination_is_numpys(self):
        matrices = np.random.default_rng(0).normal(size=[5, 4, 4])
        matrices *= 0.99 / np.linalg.norm(matrices, 2, axis=(1, 2))[:, np.newaxis, np.newaxis]
        x, direction = tf.constant(matrices), np.random.default_rng(1).normal(size=[5, 4, 4])
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                log_det = log_det_of_one_plus(x)
            gradient = tape.gradient(log_det, x)
            along = tf.reduce_sum(gradient * direction)
        inverse = np.linalg.inv(np.eye(4) + matrices)
        np.testing.assert_allclose(log_det, np.linalg.slogdet(np.eye(4) + matrices)[1], rtol=1e-9)
        np.testing.assert_allclose(gradient, np.swapaxes(inverse, 1, 2), rtol=1e-9)
        second = -np.swapaxes(inverse @ direction @ inverse, 1, 2)
        np.testing.assert_allclose(outer.gradient(along, x), second, rtol=1e-9)


if __name__ == "__main__":
    absltest.main()
