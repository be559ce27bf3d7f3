import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.bijectors import Alternating, BatchNorm, Chain, ChannelHalves, Checkerboard

tfb, tfd = tfp.bijectors, tfp.distributions

_EPSILON = 1e-4
_MASKS = (
    ("vector", None, (16, 5)),
    ("image", None, (3, 4, 4, 2)),
    ("checkerboard_0", Checkerboard(0), (3, 3, 5, 2)),
    ("checkerboard_1", Checkerboard(1), (3, 3, 5, 2)),
    ("channels", ChannelHalves("first"), (3, 4, 2, 5)),
    ("alternating", Alternating(1), (16, 5)),
)


class _Training(keras.Model):
    """Calls a function with Keras's `training` set, as `fit` does."""

    def __init__(self, function):
        super().__init__(autocast=False)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def _in_training(function, x):
    return _Training(function)(x, training=True)


def _is_changed(mask, shape):
    """A boolean array, true at the changed entries."""
    if mask is None:
        return np.ones(shape, bool)
    ones = tf.ones(shape)
    return mask.combine(ones, tf.zeros_like(mask.changed(ones))).numpy() == 0


def _moments(x, is_changed):
    """Mean and variance of the changed entries of each channel that has some."""
    x, is_changed = (np.reshape(t, [-1, t.shape[-1]]) for t in (np.asarray(x, np.float64), is_changed))
    columns = [x[is_changed[:, c], c] for c in range(x.shape[1]) if is_changed[:, c].any()]
    return np.array([c.mean() for c in columns]), np.array([c.var() for c in columns])


def _batch_norm(mask, shape, **kwargs):
    channels = shape[-1] if mask is None else mask.changed_size(shape[-1])
    return registry.randomize(BatchNorm(channels, mask=mask, **kwargs))


def _moving(norm):
    return norm.moving_mean.numpy(), norm.moving_variance.numpy()


class BatchNormTest(parameterized.TestCase):
    def assert_normalised_by(self, z, log_det, x, is_changed, mean, variance):
        """`z` and `log_det` are those of these moments, given for the channels that change."""
        channels = np.reshape(is_changed, [-1, x.shape[-1]]).any(0)
        all_means, all_variances = np.zeros(x.shape[-1]), np.ones(x.shape[-1])
        all_means[channels], all_variances[channels] = mean, variance
        scaled = (x - all_means) / np.sqrt(all_variances + _EPSILON)
        np.testing.assert_allclose(z, np.where(is_changed, scaled, x), rtol=1e-4, atol=1e-5)
        per_entry = np.where(is_changed, -0.5 * np.log(all_variances + _EPSILON), 0)
        event_axes = tuple(range(np.ndim(log_det), x.ndim))
        np.testing.assert_allclose(log_det, per_entry.sum(event_axes), rtol=1e-4, atol=1e-5)

    @parameterized.named_parameters(*_MASKS)
    def test_training_takes_the_moments_of_changed_entries(self, mask, shape):
        norm = _batch_norm(mask, shape)
        before = _moving(norm)
        is_changed = _is_changed(mask, shape)
        x = 3 + 2 * tf.random.stateless_normal(shape, (1, 0)).numpy()
        x = np.where(is_changed, x, 1000.0).astype(np.float32)  # Were they counted, it would show.
        z, log_det = _in_training(norm.forward_and_log_det, tf.constant(x))
        moments = _moments(x, is_changed)
        self.assert_normalised_by(z, log_det, x, is_changed, *moments)
        np.testing.assert_array_equal(z.numpy()[~is_changed], x[~is_changed])
        for moving, old, batch in zip(_moving(norm), before, moments, strict=True):
            np.testing.assert_allclose(moving, 0.9 * old + 0.1 * batch, rtol=1e-4)

    @parameterized.named_parameters(*_MASKS)
    def test_rho_mixes_the_moving_moments_in(self, mask, shape):
        norm = _batch_norm(mask, shape, rho=0.75)
        is_changed = _is_changed(mask, shape)
        expected = _moving(norm)
        for seed in range(2):
            x = 3 + 2 * tf.random.stateless_normal(shape, (seed, 0)).numpy()
            z, log_det = _in_training(norm.forward_and_log_det, tf.constant(x))
            expected = [0.75 * old + 0.25 * batch for old, batch in zip(expected, _moments(x, is_changed), strict=True)]
            self.assert_normalised_by(z, log_det, x, is_changed, *expected)
            for moving, e in zip(_moving(norm), expected, strict=True):
                np.testing.assert_allclose(moving, e, rtol=1e-4)

    @parameterized.parameters(None, 0.75)
    def test_gradients_flow_through_the_current_batch_alone(self, rho):
        norm = registry.randomize(BatchNorm(3, rho=rho, dtype="float64"))
        old_mean, old_variance = (tf.constant(moment) for moment in _moving(norm))
        x = tf.random.stateless_normal([8, 3], (1, 0), dtype=tf.float64)
        weights = tf.random.stateless_normal([8, 3], (2, 0), dtype=tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, log_det = _in_training(norm.forward_and_log_det, x)
            loss = tf.reduce_sum(weights * z) + tf.reduce_sum(log_det)
        with tf.GradientTape() as expected_tape:
            expected_tape.watch(x)
            kept = rho or 0.0
            mean = kept * old_mean + (1 - kept) * tf.reduce_mean(x, 0)
            batch_variance = tf.reduce_mean(tf.square(x - tf.reduce_mean(x, 0)), 0)
            if rho is None:
                variance = batch_variance
            else:
                variance = rho * old_variance + (1 - rho) * batch_variance
            z = (x - mean) / tf.sqrt(variance + _EPSILON)
            expected_loss = tf.reduce_sum(weights * z) - 4 * tf.reduce_sum(tf.math.log(variance + _EPSILON))
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-9)
        np.testing.assert_allclose(
            tape.gradient(loss, x), expected_tape.gradient(expected_loss, x), rtol=1e-7, atol=1e-9
        )

    @parameterized.named_parameters(*_MASKS)
    def test_inference_and_every_inverse_use_the_moving_moments(self, mask, shape):
        norm = _batch_norm(mask, shape)
        is_changed = _is_changed(mask, shape)
        mean, variance = before = _moving(norm)
        x = tf.random.stateless_normal(shape, (1, 0))
        self.assert_normalised_by(*norm.forward_and_log_det(x), x.numpy(), is_changed, mean, variance)
        outside = norm.inverse_and_log_det(x)
        inside = _in_training(norm.inverse_and_log_det, x)
        for a, b in zip(outside, inside, strict=True):
            np.testing.assert_array_equal(a, b)
        back, back_log_det = norm.forward_and_log_det(outside[0])
        np.testing.assert_allclose(back, x, atol=1e-5)
        np.testing.assert_allclose(back_log_det, -outside[1], rtol=1e-6)
        for a, b in zip(_moving(norm), before, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_the_moving_moments_move_once_per_pass(self):
        x = 1 + tf.random.stateless_normal([8, 3], (1, 0))
        base = tfd.Sample(tfd.Normal(0.0, 1.0), 3)
        passes = {
            "both": lambda norm: norm.forward_and_log_det,
            "tfb": lambda norm: lambda x: norm.forward(x) + norm.forward_log_det_jacobian(x, 1)[:, None],
            "tfb.Chain": lambda norm: lambda x: tfb.Chain([norm])(x),
            "chain": lambda norm: Chain([norm]).forward_and_log_det,
            "log_prob": lambda norm: tfd.TransformedDistribution(base, tfb.Invert(norm)).log_prob,
        }
        for name, make in passes.items():
            for wrap in (lambda f: f, tf.function):
                with self.subTest(f"{name}, {wrap}"):
                    norm = BatchNorm(3, momentum=0.5)
                    _in_training(wrap(make(norm)), tf.identity(x))
                    np.testing.assert_allclose(norm.moving_mean, 0.5 * np.mean(x, 0), rtol=1e-5)
                    np.testing.assert_allclose(norm.moving_variance, 0.5 + 0.5 * np.var(x, 0), rtol=1e-5)

    def test_two_batch_axes_are_one_batch(self):
        x = tf.random.stateless_normal([4, 2, 3], (1, 0))
        norms = BatchNorm(3), BatchNorm(3)
        z, log_det = _in_training(norms[0].forward_and_log_det, x)
        flat_z, flat_log_det = _in_training(norms[1].forward_and_log_det, tf.reshape(x, [8, 3]))
        np.testing.assert_array_equal(tf.reshape(z, [8, 3]), flat_z)
        np.testing.assert_array_equal(tf.reshape(log_det, [8]), flat_log_det)
        np.testing.assert_array_equal(norms[0].moving_mean, norms[1].moving_mean)

    def test_an_image_without_changed_pixels(self):
        # Parity 1 keeps the only pixel.
        norm = BatchNorm(2, mask=Checkerboard(1))
        x = tf.random.stateless_normal([4, 1, 1, 2], (1, 0))
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, log_det = _in_training(norm.forward_and_log_det, x)
        np.testing.assert_array_equal(z, x)
        np.testing.assert_array_equal(log_det, np.zeros(4))
        np.testing.assert_array_equal(tape.gradient(z, x), np.ones(x.shape))
        self.assertTrue(np.all(np.isfinite(_moving(norm))))

    @parameterized.parameters(-0.1, 1.0)
    def test_rho_outside_its_range_is_refused(self, rho):
        with self.assertRaisesRegex(ValueError, r"expected rho in \[0, 1\), got"):
            BatchNorm(3, rho=rho)

    def test_wrong_number_of_channels_is_refused(self):
        norm = BatchNorm(4, mask=ChannelHalves("first"))
        for function in (norm.forward, norm.inverse):
            with self.assertRaisesRegex(ValueError, "batch_norm: expected 4 changed channels, got 2"):
                function(tf.zeros([1, 2, 2, 4]))


if __name__ == "__main__":
    absltest.main()
