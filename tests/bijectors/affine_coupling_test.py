import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.bijectors import AffineCoupling, Alternating, Checkerboard
from tfp_realnvp.conditioners import MLP

_COUPLINGS = tuple(
    (entry.name, entry) for entry in registry.BIJECTORS if entry.name.startswith("affine_coupling")
)


def _constant(shift, raw_log_scale):
    """A conditioner for one changed entry."""

    def conditioner(kept):
        return tf.broadcast_to([shift, raw_log_scale], [tf.shape(kept)[0], 2])

    return conditioner


class AffineCouplingTest(parameterized.TestCase):
    @parameterized.parameters(
        ("scale_first", 3.0 * np.exp(0.5 * np.tanh(0.7)) + 2.0),
        ("shift_first", (3.0 + 2.0) * np.exp(0.5 * np.tanh(0.7))),
    )
    def test_forms(self, form, expected):
        coupling = AffineCoupling(_constant(2.0, 0.7), Alternating(0), form=form, initial_gain=0.5)
        z, log_det = coupling.forward_and_log_det(tf.constant([[-1.0, 3.0]]))
        np.testing.assert_allclose(z, [[-1.0, expected]], rtol=1e-6)
        np.testing.assert_allclose(log_det, [0.5 * np.tanh(0.7)], rtol=1e-6)
        x, inverse_log_det = coupling.inverse_and_log_det(z)
        np.testing.assert_allclose(x, [[-1.0, 3.0]], rtol=1e-6)
        np.testing.assert_allclose(inverse_log_det, [-0.5 * np.tanh(0.7)], rtol=1e-6)

    def test_checkerboard_log_det_counts_the_changed_pixels_alone(self):
        coupling = AffineCoupling(lambda kept: tf.ones([1, 3, 3, 2]), Checkerboard(1))
        log_det = coupling.forward_and_log_det(tf.zeros([1, 3, 3, 1]))[1]
        np.testing.assert_allclose(log_det, [4 * np.tanh(1.0)], rtol=1e-6)

    def test_conditioner_is_shown_the_kept_part_alone(self):
        seen = []

        def conditioner(kept):
            seen.append(kept)
            return tf.zeros([2, 4, 4, 4])

        coupling = AffineCoupling(conditioner, Checkerboard(1))
        x = tf.random.stateless_normal([2, 4, 4, 2], (1, 0))
        z = coupling.forward(x)
        coupling.inverse(tf.identity(z))
        self.assertLen(seen, 2)
        for kept in seen:
            np.testing.assert_array_equal(kept, Checkerboard(1).kept(x))

    @parameterized.named_parameters(*_COUPLINGS)
    def test_kept_entries_are_bit_exact(self, entry):
        coupling = registry.built(entry.name)
        # Over 45 orders of magnitude, with denormals; none large, so that the networks stay finite.
        x = entry.events([8]) * 10.0 ** tf.random.stateless_uniform(
            [8, *entry.event_shape], (2, 0), -45, -1
        )
        context = entry.context([8])
        kept = coupling.mask.kept(x).numpy()
        z = coupling.forward_and_log_det(x, context)[0]
        self.assertGreater(np.max(np.abs(z - x)), 1e-3)
        back = coupling.inverse_and_log_det(z, context)[0]
        for y in (z, back):
            np.testing.assert_array_equal(
                coupling.mask.kept(y).numpy().view(np.int32), kept.view(np.int32)
            )

    @parameterized.product(entry=[e for _, e in _COUPLINGS], bad=[np.nan, np.inf])
    def test_a_bad_changed_entry_spoils_itself_alone(self, entry, bad):
        coupling = registry.built(entry.name)
        x, context = entry.events([2]), entry.context([2])
        good, log_det = coupling.forward_and_log_det(x, context)
        spoilt = np.array(coupling.mask.combine(x, tf.fill(coupling.mask.changed(x).shape, bad)))
        first = tuple(np.argwhere(~np.isfinite(spoilt))[0])
        x = x.numpy()
        x[first] = bad
        z, spoilt_log_det = coupling.forward_and_log_det(tf.constant(x), context)
        expected = good.numpy()
        expected[first] = bad
        np.testing.assert_array_equal(np.isfinite(z), np.isfinite(expected))
        others = np.isfinite(expected)
        np.testing.assert_array_equal(z.numpy()[others], expected[others])
        np.testing.assert_array_equal(spoilt_log_det, log_det)

    def test_what_the_conditioner_says_of_kept_pixels_is_ignored(self):
        keeps = Checkerboard(1).kept(tf.ones([1, 4, 4, 1]))[..., :1] > 0
        coupling = AffineCoupling(
            lambda kept: tf.where(keeps, np.nan, tf.ones([2, 4, 4, 2])), Checkerboard(1)
        )
        x = tf.random.stateless_normal([2, 4, 4, 1], (1, 0))
        for function in (coupling.forward_and_log_det, coupling.inverse_and_log_det):
            y, log_det = function(x)
            self.assertTrue(np.all(np.isfinite(y)))
            self.assertTrue(np.all(np.isfinite(log_det)))

    @parameterized.parameters(-1e30, 1e30)
    def test_the_log_scale_is_bounded_by_the_gain(self, raw_log_scale):
        coupling = AffineCoupling(_constant(0.0, raw_log_scale), Alternating(1), initial_gain=2.0)
        z, log_det = coupling.forward_and_log_det(tf.ones([1, 2]))
        np.testing.assert_allclose(log_det, [2 * np.sign(raw_log_scale)])
        np.testing.assert_allclose(z, [[np.exp(2 * np.sign(raw_log_scale)), 1.0]], rtol=1e-6)

    def test_a_gain_of_zero_is_a_mere_shift(self):
        coupling = AffineCoupling(_constant(2.0, 5.0), Alternating(0), initial_gain=0.0)
        z, log_det = coupling.forward_and_log_det(tf.constant([[1.0, 1.0]]))
        np.testing.assert_array_equal(z, [[1.0, 3.0]])
        np.testing.assert_array_equal(log_det, [0.0])

    def test_training_reaches_the_conditioner(self):
        heard = []

        class Conditioner(keras.layers.Layer):
            def call(self, inputs, training=None):
                heard.append(training)
                return tf.concat([inputs, inputs], -1)

        class Model(keras.Model):
            def call(self, inputs):
                return coupling.forward(inputs)

        conditioner = Conditioner()
        conditioner.build([None, 1])
        coupling = AffineCoupling(conditioner, Alternating(0))
        x = tf.ones([3, 2])
        coupling.forward(x)
        Model()(tf.identity(x), training=True)
        Model()(tf.identity(x), training=False)
        self.assertEqual(heard, [False, True, False])

    def test_wrong_number_of_outputs_is_refused(self):
        coupling = AffineCoupling(lambda kept: tf.concat([kept] * 3, -1), Alternating(0))
        with self.assertRaisesRegex(
            ValueError, r"to return 2 channels, a shift .* got shape \(1, 3\)"
        ):
            coupling.forward(tf.ones([1, 2]))

    def test_unknown_form_is_refused(self):
        with self.assertRaisesRegex(
            ValueError, 'expected form to be "scale_first" or "shift_first"'
        ):
            AffineCoupling(_constant(0.0, 0.0), Alternating(0), form="scale")

    def test_unbuilt_conditioner_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected a built layer, .* got the unbuilt 'shy'"):
            AffineCoupling(MLP(outputs=2, name="shy"), Alternating(0))


if __name__ == "__main__":
    absltest.main()
