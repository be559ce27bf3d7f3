import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.conditioners import WeightNormConv2D


def _built(kernel_size=3, channels=5, filters=4, **kwargs):
    convolution = WeightNormConv2D(filters, kernel_size, **kwargs)
    convolution.build((None, None, None, channels))
    return convolution


def _kernel(convolution):
    """The kernel in effect: the response to an impulse in each channel, less the bias."""
    channels, size = convolution.direction.shape[2], convolution.kernel_size
    impulses = np.zeros([channels, size, size, channels], np.float32)
    impulses[range(channels), size // 2, size // 2, range(channels)] = 1
    response = convolution(impulses).numpy()
    if convolution.bias is not None:
        response -= convolution.bias.numpy()
    # A cross-correlation: the response is the kernel turned round.
    return np.moveaxis(response[:, ::-1, ::-1], 0, 2)


class WeightNormConv2DTest(parameterized.TestCase):
    @parameterized.product(kernel_size=(1, 3), use_bias=(True, False), use_magnitude=(True, False))
    def test_kernel_has_the_directions_direction_and_the_magnitudes_norm(self, kernel_size, use_bias, use_magnitude):
        convolution = registry.randomize(_built(kernel_size, use_bias=use_bias, use_magnitude=use_magnitude))
        kernel = _kernel(convolution)
        direction = convolution.direction.numpy()
        norms = np.sqrt(np.sum(kernel**2, (0, 1, 2)))
        expected = np.abs(convolution.magnitude.numpy()) if use_magnitude else np.ones(4)
        np.testing.assert_allclose(norms, expected, rtol=1e-5)
        signs = np.sign(convolution.magnitude.numpy()) if use_magnitude else 1
        units = direction / np.sqrt(np.sum(direction**2, (0, 1, 2)))
        np.testing.assert_allclose(kernel, expected * signs * units, atol=1e-6)
        self.assertEqual(convolution.count_params(), kernel_size**2 * 5 * 4 + 4 * use_bias + 4 * use_magnitude)

    def test_bias(self):
        convolution = registry.randomize(_built())
        outputs = convolution(tf.zeros([1, 4, 6, 5]))
        self.assertEqual(outputs.shape, [1, 4, 6, 4])
        np.testing.assert_array_equal(outputs, np.broadcast_to(convolution.bias, outputs.shape))

    @parameterized.parameters((1, 8), (3, 8), (3, 3))
    def test_starts_in_the_releases_range(self, kernel_size, channels):
        keras.utils.set_random_seed(1)
        convolution = _built(kernel_size, channels, filters=200)
        bound = np.sqrt(2 / channels)
        direction = convolution.direction.numpy()
        self.assertLessEqual(np.max(np.abs(direction)), bound)
        self.assertGreater(np.max(np.abs(direction)), 0.95 * bound)
        self.assertAlmostEqual(np.mean(direction), 0, delta=0.1 * bound)
        self.assertAlmostEqual(np.std(direction), bound / np.sqrt(3), delta=0.05 * bound)
        expected = bound * np.sqrt(channels * kernel_size**2 / 12)
        np.testing.assert_allclose(convolution.magnitude, np.full(200, expected), rtol=1e-6)
        np.testing.assert_array_equal(convolution.bias, np.zeros(200))

    def test_gradients_are_those_of_autodiff(self):
        convolution = registry.randomize(_built(dtype="float64"))
        x = tf.random.stateless_normal([2, 4, 4, 5], (1, 0), dtype=tf.float64)
        weights = tf.random.stateless_normal([2, 4, 4, 4], (2, 0), dtype=tf.float64)
        variables = [v.value for v in (convolution.direction, convolution.magnitude, convolution.bias)]
        direction, magnitude, bias = variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(convolution(x) * weights)
        with tf.GradientTape() as expected_tape:
            kernel = magnitude * tf.nn.l2_normalize(direction, [0, 1, 2])
            expected = tf.reduce_sum((tf.nn.conv2d(x, kernel, 1, "SAME") + bias) * weights)
        np.testing.assert_allclose(loss, expected, rtol=1e-9)
        for a, e in zip(tape.gradient(loss, variables), expected_tape.gradient(expected, variables), strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-7, atol=1e-9)

    @parameterized.parameters("mixed_bfloat16", "mixed_float16")
    def test_mixed_policy(self, policy):
        mixed, exact = registry.randomize(_built(dtype=policy)), registry.randomize(_built())
        x = tf.random.stateless_normal([2, 4, 4, 5], (1, 0))
        outputs = mixed(x)
        self.assertEqual(outputs.dtype, mixed.compute_dtype)
        self.assertEqual({v.dtype for v in mixed.variables}, {"float32"})
        np.testing.assert_allclose(tf.cast(outputs, tf.float32), exact(x), atol=0.05)

    def test_config_round_trip(self):
        convolution = WeightNormConv2D(4, 3, use_bias=False, use_magnitude=False, name="named")
        for copy in (
            WeightNormConv2D.from_config(convolution.get_config()),
            keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(convolution)),
        ):
            self.assertEqual(copy.get_config(), convolution.get_config())
            copy.build((None, None, None, 2))
            self.assertEqual(copy.count_params(), 3 * 3 * 2 * 4)

    def test_output_shape(self):
        self.assertEqual(WeightNormConv2D(4, 3).compute_output_shape((None, 8, 9, 2)), (None, 8, 9, 4))


if __name__ == "__main__":
    absltest.main()
