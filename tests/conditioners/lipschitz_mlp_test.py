import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.conditioners import LipschitzMLP
from tfp_realnvp.conditioners.lipschitz_mlp import spectral_bound


def _built(size=3, **kwargs):
    network = LipschitzMLP(**{"outputs": 3, "hidden_units": (6, 5), "dtype": "float64", **kwargs})
    network.build((None, size))
    return network


class LipschitzMLPTest(parameterized.TestCase):
    @parameterized.parameters(0.01, 1.0, 100.0)
    def test_is_a_contraction_whatever_the_weights(self, deviation):
        network, random = _built(coefficient=0.8), np.random.default_rng(0)
        for variable in network.trainable_variables:
            variable.assign(random.normal(0, deviation, variable.shape))
        x = 3 * random.normal(size=[500, 3])
        jacobians = np.moveaxis(
            network.linearized(tf.constant(x))[1](np.eye(3)[:, np.newaxis] * np.ones([500, 1])), 0, 2
        )
        self.assertLessEqual(np.max(np.linalg.norm(jacobians, 2, axis=(1, 2))), 0.8 + 1e-12)

    def test_linearized_is_the_derivative(self):
        network = registry.randomize(_built(context_size=2))
        x, context = (tf.random.stateless_normal([4, size], (0, 0), dtype=tf.float64) for size in (3, 2))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            value = network(x, context=context)
        expected = tape.batch_jacobian(value, x, experimental_use_pfor=False)
        same, product = network.linearized(x, context)
        np.testing.assert_allclose(same, value)
        tangents = tf.random.stateless_normal([2, 4, 3], (1, 0), dtype=tf.float64)
        np.testing.assert_allclose(product(tangents), np.einsum("bij,kbj->kbi", expected, tangents), rtol=1e-10)

    @parameterized.parameters(((20, 7),), ((5, 30),), ((1, 4),))
    def test_the_bound_is_one_and_near(self, shape):
        random = np.random.default_rng(0)
        for matrix in (random.normal(size=shape), 1e-18 * random.normal(size=shape), np.eye(*shape)):
            exact, bound = np.linalg.norm(matrix, 2), spectral_bound(tf.constant(matrix, tf.float32)).numpy()
            self.assertBetween(bound / exact, 1 - 1e-5, min(shape) ** (1 / 64) + 1e-5)

    def test_zeros_have_a_gradient(self):
        kernel = tf.Variable(tf.zeros([3, 2]))
        with tf.GradientTape() as tape:
            bound = spectral_bound(kernel)
        self.assertLess(bound, 1e-30)
        self.assertTrue(np.all(np.isfinite(tape.gradient(bound, kernel))))

    def test_starts_at_zero_and_comes_back_from_its_config(self):
        network = _built(context_size=2, coefficient=0.5)
        np.testing.assert_array_equal(network(tf.ones([2, 3], tf.float64), context=tf.ones([2, 2], tf.float64)), 0)
        same = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
        self.assertEqual(same.get_config(), network.get_config())

    @parameterized.parameters(
        (dict(coefficient=1.0), "expected a coefficient between 0 and 1, got 1.0"),
        (dict(hidden_units=()), r"expected hidden_units of 1 or more, got \(\)"),
        (dict(hidden_units=(3, 0)), r"expected hidden_units of 1 or more, got \(3, 0\)"),
    )
    def test_other_settings_are_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            LipschitzMLP(outputs=2, **settings)


if __name__ == "__main__":
    absltest.main()
