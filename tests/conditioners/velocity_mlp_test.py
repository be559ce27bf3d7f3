import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.conditioners import VelocityMLP


def _built(**kwargs):
    network = VelocityMLP(**{"outputs": 3, "dtype": "float64", **kwargs})
    network.build((None, 3))
    return network


class VelocityMLPTest(parameterized.TestCase):
    @parameterized.parameters(((5,),), ((5, 4),), ((5, 4, 6),))
    def test_divergence_is_the_trace_of_the_jacobian(self, hidden_units):
        network = registry.randomize(_built(hidden_units=hidden_units, context_size=2))
        x, context = (tf.random.stateless_normal([4, size], (0, 0), dtype=tf.float64) for size in (3, 2))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            value = network(x, time=0.3, context=context)
        jacobian = tape.batch_jacobian(value, x, experimental_use_pfor=False)
        same, divergence = network.with_divergence(x, 0.3, context)
        np.testing.assert_allclose(same, value)
        np.testing.assert_allclose(divergence(None), tf.linalg.trace(jacobian), rtol=1e-10)
        directions = tf.random.stateless_normal([4, 3], (1, 0), dtype=tf.float64)
        expected = np.einsum("bi,bij,bj->b", directions, jacobian, directions)
        np.testing.assert_allclose(divergence(directions), expected, rtol=1e-10)

    def test_depends_on_the_time(self):
        network = registry.randomize(_built(hidden_units=(4,)))
        x = tf.ones([1, 3], tf.float64)
        self.assertGreater(np.max(np.abs(network(x, time=0.0) - network(x, time=1.0))), 1e-3)

    def test_starts_at_zero_and_comes_back_from_its_config(self):
        network = _built(hidden_units=(4,))
        np.testing.assert_array_equal(network(tf.ones([2, 3], tf.float64), time=0.5), 0)
        same = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
        self.assertEqual(same.get_config(), network.get_config())

    def test_no_hidden_layer_is_refused(self):
        with self.assertRaisesRegex(ValueError, r"expected hidden_units of 1 or more, got \(\)"):
            VelocityMLP(outputs=2, hidden_units=())


if __name__ == "__main__":
    absltest.main()
