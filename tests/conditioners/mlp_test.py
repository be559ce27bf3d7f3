import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.conditioners import MLP


def _built(size=3, **kwargs):
    mlp = MLP(**{"outputs": 4, "hidden_units": (6, 5), **kwargs})
    mlp.build((None, size))
    return mlp


class MLPTest(parameterized.TestCase):
    def test_is_dense_layers_with_an_activation_between(self):
        mlp = registry.randomize(_built(activation="tanh"))
        x = np.random.default_rng(0).normal(size=[7, 3]).astype(np.float32)
        kernels = [dense.kernel.numpy() for dense in (*mlp.denses, mlp.dense_out)]
        biases = [dense.bias.numpy() for dense in (*mlp.denses, mlp.dense_out)]
        hidden = np.tanh(np.tanh(x @ kernels[0] + biases[0]) @ kernels[1] + biases[1])
        np.testing.assert_allclose(mlp(x), hidden @ kernels[2] + biases[2], rtol=1e-5, atol=1e-6)

    @parameterized.parameters(None, 2)
    def test_parameter_count(self, context_size):
        size = 3 + (context_size or 0)
        self.assertEqual(
            _built(context_size=context_size).count_params(),
            size * 6 + 6 + 6 * 5 + 5 + 5 * 4 + 4,
        )

    def test_angles_are_read_as_cosine_and_sine(self):
        mlp, plain = _built(circular=[2, 0]), _built(size=5)
        self.assertEqual(mlp.count_params(), plain.count_params())
        registry.randomize(mlp), registry.randomize(plain)
        x = np.random.default_rng(0).normal(size=[7, 3]).astype(np.float32)
        a, b, c = x.T
        read = np.stack([np.cos(a), b, np.cos(c), np.sin(c), np.sin(a)], -1)
        np.testing.assert_allclose(mlp(x), plain(read), rtol=1e-5, atol=1e-6)
        same = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(mlp))
        self.assertEqual(tuple(same.circular), (2, 0))
        for wrong in ([3], [-1], [0, 0]):
            with self.assertRaisesRegex(ValueError, "expected different positions of angles from 0 to 2, got"):
                _built(circular=wrong)

    def test_no_hidden_layers(self):
        self.assertEqual(_built(hidden_units=()).count_params(), 3 * 4 + 4)

    def test_hidden_layers_start_uniform_biases_too(self):
        mlp = _built(size=4, hidden_units=(64, 64), context_size=5)
        for dense, inputs in zip(mlp.denses, (9, 64)):
            for weights in (dense.kernel, dense.bias):
                extent = np.max(np.abs(weights.numpy())) * inputs**0.5
                self.assertBetween(extent, 0.8, 1.0)
        np.testing.assert_array_equal(mlp.dense_out.bias, 0)

    def test_starts_at_zero(self):
        x = tf.random.stateless_normal([7, 3], (1, 0))
        np.testing.assert_array_equal(_built()(x), np.zeros([7, 4]))
        self.assertGreater(np.max(np.abs(_built(zero_output=False)(x))), 1e-2)

    def test_context(self):
        mlp = registry.randomize(_built(context_size=2))
        x, context = tf.ones([7, 3]), tf.random.stateless_normal([7, 2], (1, 0))
        outputs = mlp(x, context=context).numpy()
        self.assertGreater(np.min(np.ptp(outputs, axis=0)), 1e-3)
        with self.assertRaisesRegex(ValueError, "expected a context of size 2, got none"):
            mlp(x)
        with self.assertRaisesRegex(ValueError, r"expected a context of size 2, got shape \(7, 3\)"):
            mlp(x, context=x)
        with self.assertRaisesRegex(ValueError, r"expected no context, got shape \(7, 2\)"):
            _built()(x, context=context)

    @parameterized.parameters("mixed_bfloat16", "mixed_float16")
    def test_a_mixed_policy_keeps_the_output_in_float32(self, policy):
        mlp = registry.randomize(_built(dtype=policy))
        x = tf.random.stateless_normal([7, 3], (1, 0))
        outputs = mlp(x)
        self.assertEqual(outputs.dtype, tf.float32)
        self.assertEqual(mlp.denses[0](x).dtype, mlp.compute_dtype)
        exact = registry.randomize(_built())(x)
        np.testing.assert_allclose(outputs, exact, atol=0.05)
        self.assertGreater(np.max(np.abs(outputs - exact)), 1e-6)

    @parameterized.parameters(
        dict(activation="gelu", context_size=2),
        dict(hidden_units=[8], zero_output=False, dtype="mixed_bfloat16", name="named"),
    )
    def test_config_round_trip(self, **kwargs):
        mlp = MLP(outputs=4, **kwargs)
        for copy in (
            MLP.from_config(mlp.get_config()),
            keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(mlp)),
        ):
            self.assertIsInstance(copy, MLP)
            self.assertEqual(copy.get_config(), mlp.get_config())
            self.assertEqual(copy.dtype_policy, mlp.dtype_policy)
            context = None if mlp.context_size is None else tf.ones([2, mlp.context_size])
            self.assertEqual(copy(tf.ones([2, 3]), context=context).shape, [2, 4])

    def test_an_input_of_unknown_size_is_refused(self):
        with self.assertRaisesRegex(ValueError, r"expected a known size of the last axis, got shape \(None, None\)"):
            MLP(outputs=4).build((None, None))

    def test_output_shape(self):
        self.assertEqual(MLP(outputs=4).compute_output_shape((None, 3)), (None, 4))


if __name__ == "__main__":
    absltest.main()
