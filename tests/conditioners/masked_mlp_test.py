import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.conditioners import MaskedMLP


def _built(size=4, **kwargs):
    network = MaskedMLP(**{"hidden_units": (7, 6), **kwargs})
    network.build((None, size))
    return network


class MaskedMLPTest(parameterized.TestCase):
    @parameterized.parameters(
        (4, (7, 6)), (4, (2,)), (4, ()), (1, (3,)), (6, (5, 5, 5)), (4, (7, 6), 2), (4, (2,), 2), (1, (3,), 1)
    )
    def test_what_is_said_of_an_entry_depends_on_those_before(self, size, hidden, context_size=None):
        given = dict(activation="tanh", context_size=context_size, dtype="float64")
        network = registry.randomize(_built(size, hidden_units=hidden, **given))
        x = tf.random.stateless_normal([1, size], (0, 0), dtype=tf.float64)
        context = None if context_size is None else tf.ones([1, context_size], tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = network(x, context=context)[0, :size]  # The first number of each entry.
        depends = np.abs(tape.jacobian(outputs, x)[:, 0]) > 0
        # On nothing later, nor on itself; and with enough units on all before.
        self.assertFalse(np.any(np.triu(depends)))
        if min(hidden, default=size) >= size - 1:
            np.testing.assert_array_equal(depends, np.tril(np.ones([size, size]), -1))

    def test_is_dense_layers_with_masks(self):
        network = registry.randomize(_built(3, hidden_units=(2,), activation="relu"))
        x = np.random.default_rng(0).normal(size=[5, 3]).astype(np.float32)
        first, last = (kernel.numpy() for kernel in network.kernels)
        # Degrees 1, 2, 3; 1, 2; and twice 1, 2, 3.
        first *= [[1, 1], [0, 1], [0, 0]]
        last *= [[0, 1, 1, 0, 1, 1], [0, 0, 1, 0, 0, 1]]
        hidden = np.maximum(x @ first + network.biases[0].numpy(), 0)
        expected = hidden @ last + network.biases[1].numpy()
        np.testing.assert_allclose(network(x), expected, rtol=1e-5, atol=1e-6)

    def test_angles_have_a_period_and_keep_the_order(self):
        network = registry.randomize(_built(3, hidden_units=(4,), activation="tanh", circular=[0, 1], dtype="float64"))
        x = tf.random.stateless_normal([1, 3], (0, 0), dtype=tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = network(x)[0, :3]
        depends = np.abs(tape.jacobian(outputs, x)[:, 0]) > 0
        np.testing.assert_array_equal(depends, np.tril(np.ones([3, 3]), -1))
        np.testing.assert_allclose(network(x + [2 * np.pi, -4 * np.pi, 0])[0, :3], outputs, atol=1e-12)

    def test_starts_at_zero(self):
        x = tf.random.stateless_normal([7, 4], (1, 0))
        np.testing.assert_array_equal(_built()(x), np.zeros([7, 8]))
        self.assertGreater(np.max(np.abs(_built(zero_output=False)(x))), 1e-2)

    def test_context_reaches_every_entry(self):
        network = registry.randomize(_built(context_size=2, activation="tanh"))
        x, context = tf.ones([7, 4]), tf.random.stateless_normal([7, 2], (1, 0))
        spread = np.min(np.reshape(np.ptp(network(x, context=context), axis=0), [2, 4]), 0)
        self.assertGreater(np.min(spread), 1e-3)
        with self.assertRaisesRegex(ValueError, "expected a context of size 2, got none"):
            network(x)
        with self.assertRaisesRegex(ValueError, r"expected no context, got shape \(7, 2\)"):
            _built()(x, context=context)

    def test_config(self):
        network = registry.randomize(_built(context_size=2, outputs_per_entry=3, activation="tanh"))
        same = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
        same.set_weights(network.get_weights())
        x, context = tf.ones([1, 4]), tf.ones([1, 2])
        np.testing.assert_array_equal(same(x, context=context), network(x, context=context))
        self.assertEqual(network.compute_output_shape((5, 4)), (5, 12))

    @parameterized.parameters("mixed_bfloat16", "mixed_float16")
    def test_a_mixed_policy_keeps_the_output_in_float32(self, policy):
        network = registry.randomize(_built(dtype=policy))
        exact = _built()
        exact.set_weights(network.get_weights())
        x = tf.random.stateless_normal([3, 4], (0, 0))
        self.assertEqual(network(x).dtype, tf.float32)
        np.testing.assert_allclose(network(x), exact(x), atol=0.05)


if __name__ == "__main__":
    absltest.main()
