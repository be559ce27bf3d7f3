import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.conditioners import BatchNormalization


def _built(**kwargs):
    """One of ours and Keras's own, with the same random weights."""
    ours = BatchNormalization(**kwargs)
    theirs = keras.layers.BatchNormalization(scale=False, momentum=0.9, epsilon=1e-4, **kwargs)
    for layer in (ours, theirs):
        layer.build((None, None, None, 3))
        registry.randomize(layer)
    return ours, theirs


class BatchNormalizationTest(parameterized.TestCase):
    @parameterized.product(
        training=(True, False), dtype=("float32", "float64"), unknown=(True, False)
    )
    def test_is_kerass(self, training, dtype, unknown):
        x = 3 + 2 * tf.random.stateless_normal([4, 3, 5, 3], (1, 0), dtype=dtype)
        weights = tf.random.stateless_normal([4, 3, 5, 3], (2, 0), dtype=dtype)
        results = []
        for layer in _built(dtype=dtype):

            @tf.function(
                input_signature=[tf.TensorSpec([None] * 3 + [3] if unknown else x.shape, dtype)]
            )
            def passed(x, layer=layer):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    y = layer(x, training=training)
                    loss = tf.reduce_sum(tf.tanh(y) * weights)
                return y, *tape.gradient(loss, [x, layer.beta.value])

            results.append([*passed(x), *layer.variables])
        for ours, theirs in zip(*results, strict=True):
            self.assertEqual(ours.dtype, dtype)
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)

    @parameterized.parameters("mixed_bfloat16", "mixed_float16")
    def test_moments_are_float32_under_a_mixed_policy(self, policy):
        x = 3 + 2 * tf.random.stateless_normal([4, 3, 5, 3], (1, 0))
        mixed, exact = _built(dtype=policy)[0], _built()[0]
        for training in (True, False):
            outputs = mixed(x, training=training)
            self.assertEqual(outputs.dtype, mixed.compute_dtype)
            np.testing.assert_allclose(
                tf.cast(outputs, tf.float32), exact(x, training=training), atol=0.1
            )
        for a, b in zip(mixed.variables, exact.variables, strict=True):
            self.assertEqual(a.dtype, "float32")
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2)

    def test_parameters(self):
        layer = _built()[0]
        self.assertEqual([v.shape for v in layer.trainable_variables], [(3,)])
        self.assertEqual([v.shape for v in layer.non_trainable_variables], [(3,), (3,)])

    def test_config_round_trip(self):
        layer = BatchNormalization(momentum=0.5, epsilon=1e-3, dtype="mixed_bfloat16", name="named")
        for copy in (
            BatchNormalization.from_config(layer.get_config()),
            keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)),
        ):
            self.assertEqual(copy.get_config(), layer.get_config())


if __name__ == "__main__":
    absltest.main()
