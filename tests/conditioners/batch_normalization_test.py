import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tests.training import processes
from tfp_realnvp.conditioners import BatchNormalization


def _built(**kwargs):
    """One of ours and Keras's own, with the same random weights."""
    ours = BatchNormalization(**kwargs)
    theirs = keras.layers.BatchNormalization(scale=False, momentum=0.9, epsilon=1e-4, **kwargs)
    for layer in (ours, theirs):
        layer.build((None, None, None, 3))
        registry.randomize(layer)
    return ours, theirs


def _two_replicas():
    """Asserts that two devices normalise as one does; in a process of its own, which makes them."""
    processes.set_cpus(2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for dtype, tolerance in ("float64", 1e-9), ("float32", 1e-5), ("mixed_bfloat16", 0.05), ("mixed_float16", 0.01):
        _assert_two_replicas_are_as_one(strategy, dtype, tolerance)


def _assert_two_replicas_are_as_one(strategy, dtype, tolerance):
    x = 3 + 2 * tf.random.stateless_normal([4, 3, 5, 3], (1, 0), dtype="float64")
    with strategy.scope():
        several = BatchNormalization(dtype=dtype)
        several.build(x.shape)
    one = BatchNormalization(dtype=dtype)
    one.build(x.shape)

    def gradient(layer, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.tanh(tf.cast(y, tf.float64)) ** 3)
        return tf.cast(y, tf.float64), tape.gradient(loss, x)

    parts = strategy.experimental_distribute_values_from_function(
        lambda context: tf.split(x, 2)[context.replica_id_in_sync_group]
    )
    results = tf.function(strategy.run)(lambda x: gradient(several, x), (parts,))
    results = [tf.concat(strategy.experimental_local_results(result), 0) for result in results]
    for found, expected in zip([*results, *several.variables], [*gradient(one, x), *one.variables], strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    for variable in several.variables:
        first, second = (value.numpy() for value in strategy.experimental_local_results(variable.value))
        np.testing.assert_array_equal(first, second)


class BatchNormalizationTest(parameterized.TestCase):
    @parameterized.product(training=(True, False), dtype=("float32", "float64"), unknown=(True, False))
    def test_is_kerass(self, training, dtype, unknown):
        x = 3 + 2 * tf.random.stateless_normal([4, 3, 5, 3], (1, 0), dtype=dtype)
        weights = tf.random.stateless_normal([4, 3, 5, 3], (2, 0), dtype=dtype)
        results = []
        for layer in _built(dtype=dtype):

            @tf.function(input_signature=[tf.TensorSpec([None] * 3 + [3] if unknown else x.shape, dtype)])
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
            np.testing.assert_allclose(tf.cast(outputs, tf.float32), exact(x, training=training), atol=0.1)
        for a, b in zip(mixed.variables, exact.variables, strict=True):
            self.assertEqual(a.dtype, "float32")
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-2)

    @parameterized.product(dtype=("float32", "float64", "mixed_bfloat16", "mixed_float16"), jit_compile=(False, True))
    def test_a_stateless_scope_intercepts_the_moments(self, dtype, jit_compile):
        layer = _built(dtype=dtype)[0]
        x = 3 + 2 * tf.random.stateless_normal([4, 3, 5, 3], (1, 0))
        start = [2.0 * tf.ones_like(v.value) for v in layer.non_trainable_variables]

        @tf.function(jit_compile=jit_compile)
        def passed(training):
            scope = keras.StatelessScope(list(zip(layer.non_trainable_variables, start, strict=True)))
            with scope:
                outputs = layer(x, training=training)
            return outputs, [scope.get_current_value(v) for v in layer.non_trainable_variables]

        before = [v.numpy() for v in layer.variables]
        (training, moved), (inference, kept) = passed(True), passed(False)
        for old, new in zip(before, layer.variables, strict=True):
            np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(kept, start)
        for variable, value in zip(layer.non_trainable_variables, start, strict=True):
            variable.assign(value)
        # XLA and half precision round elsewhere.
        tolerance = dict(rtol=0.01, atol=0.05) if "mixed" in dtype else dict(rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(*(tf.cast(y, tf.float64) for y in (inference, layer(x))), **tolerance)
        np.testing.assert_allclose(*(tf.cast(y, tf.float64) for y in (training, layer(x, training=True))), **tolerance)
        np.testing.assert_allclose(moved, layer.non_trainable_variables, **tolerance)
        self.assertGreater(np.min(np.abs(np.subtract(moved, kept))), 0.01)

    def test_a_single_pixel_has_no_variance(self):
        layer = _built()[0]
        old = layer.moving_variance.numpy()
        outputs = layer(tf.random.stateless_normal([1, 1, 1, 3], (1, 0)), training=True)
        np.testing.assert_allclose(outputs[0, 0, 0], layer.beta, atol=1e-6)
        np.testing.assert_allclose(layer.moving_variance, 0.9 * old, rtol=1e-5)

    def test_two_replicas_are_as_one(self):
        processes.Process(_two_replicas).result()

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
