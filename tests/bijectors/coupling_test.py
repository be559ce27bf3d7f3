import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp import transformers
from tfp_realnvp.bijectors import Alternating, Autoregressive, Checkerboard, Coupling, Elementwise
from tfp_realnvp.conditioners import MLP

_COUPLINGS = tuple((entry.name, entry) for entry in registry.BIJECTORS if entry.name.startswith("coupling_"))
_CURVED = ("spline", "circular", "bernstein", "sum_of_squares", "monotonic", "coupling_sigmoidal", "mixture_image")
_AFFINE = [e for name, e in _COUPLINGS if not name.endswith(_CURVED)]


def _constant(shift, raw_log_scale):
    """A conditioner for one changed entry."""

    def conditioner(kept):
        return tf.broadcast_to([shift, raw_log_scale], [tf.shape(kept)[0], 2])

    return conditioner


class CouplingTest(parameterized.TestCase):
    def test_checkerboard_log_det_counts_the_changed_pixels_alone(self):
        coupling = Coupling(transformers.Affine(), lambda kept: tf.ones([1, 3, 3, 2]), Checkerboard(1))
        log_det = coupling.forward_and_log_det(tf.zeros([1, 3, 3, 1]))[1]
        np.testing.assert_allclose(log_det, [4 * np.tanh(1.0)], rtol=1e-6)

    def test_conditioner_is_shown_the_kept_part_alone(self):
        seen = []

        def conditioner(kept):
            seen.append(kept)
            return tf.zeros([2, 4, 4, 4])

        coupling = Coupling(transformers.Affine(), conditioner, Checkerboard(1))
        x = tf.random.stateless_normal([2, 4, 4, 2], (1, 0))
        z = coupling.forward(x)
        coupling.inverse(tf.identity(z))
        self.assertLen(seen, 2)
        for kept in seen:
            np.testing.assert_array_equal(kept, Checkerboard(1).kept(x))

    def test_a_shared_transformer_has_one_set_of_variables(self):
        affine = transformers.Affine()
        composed = transformers.Compose(affine, transformers.ByEntry([], affine, affine))
        couplings = [Coupling(affine, _constant(1.0, 1.0), Alternating(parity)) for parity in (0, 1)]
        couplings.append(Coupling(composed, lambda kept: tf.ones([1, 4]), Alternating(0)))
        couplings.append(couplings[0].copy())
        for coupling in couplings:
            self.assertEqual([id(v) for v in coupling.variables], [id(affine.gain.value)])
        with self.assertRaisesRegex(ValueError, "expected a transformer that no float32 layer has, got affine"):
            Coupling(affine, _constant(1.0, 1.0), Alternating(0), dtype="float64")

    @parameterized.parameters(
        (
            lambda x: tf.constant(0.7),
            r"log-slopes of shape \(1, 2\) and dtype float32, one for each entry, got \(\) and",
        ),
        (lambda x: tf.fill([1, 1], 0.7), r"log-slopes of shape \(1, 2\) .*, got \(1, 1\) and float32"),
        (lambda x: tf.zeros([1]), r"log-slopes of shape \(1, 2\) .*, got \(1,\) and float32"),
        (lambda x: tf.zeros(x.shape, tf.float64), "log-slopes of .*, got .* float64"),
    )
    def test_a_transformer_returns_a_slope_for_each_entry(self, slope, message):
        class Doubling(transformers.Transformer):
            outputs = 1

            def forward(self, x, raw):
                return 2 * x, slope(x)

            def inverse(self, z, raw):
                return z / 2, slope(z)

        layers = [
            Coupling(Doubling(), lambda kept: tf.zeros([1, 2]), Alternating(0)),
            Autoregressive(Doubling(), lambda x: tf.zeros([1, 2]), 2),
            Elementwise(Doubling(), [2]),
        ]
        for layer, x in zip(layers, (tf.ones([1, 4]), tf.ones([1, 2]), tf.ones([1, 2]))):
            for direction in (layer.forward_and_log_det, layer.inverse_and_log_det):
                with self.assertRaisesRegex(ValueError, message):
                    direction(x)

    @parameterized.named_parameters(*_COUPLINGS)
    def test_kept_entries_are_bit_exact(self, entry):
        coupling = registry.built(entry.name)
        # Over 45 orders of magnitude, with denormals; none large, so that the networks stay finite.
        x = entry.events([8]) * 10.0 ** tf.random.stateless_uniform([8, *entry.event_shape], (2, 0), -45, -1)
        context = entry.context([8])
        kept = coupling.mask.kept(x).numpy()
        z = coupling.forward_and_log_det(x, context)[0]
        self.assertGreater(np.max(np.abs(z - x)), 1e-3)
        back = coupling.inverse_and_log_det(z, context)[0]
        for y in (z, back):
            np.testing.assert_array_equal(coupling.mask.kept(y).numpy().view(np.int32), kept.view(np.int32))

    @parameterized.product(entry=_AFFINE, bad=[np.nan, np.inf])
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
        conditioner = lambda kept: tf.where(keeps, np.nan, tf.ones([2, 4, 4, 2]))  # noqa: E731
        coupling = Coupling(transformers.Affine(), conditioner, Checkerboard(1))
        x = tf.random.stateless_normal([2, 4, 4, 1], (1, 0))
        for function in (coupling.forward_and_log_det, coupling.inverse_and_log_det):
            y, log_det = function(x)
            self.assertTrue(np.all(np.isfinite(y)))
            self.assertTrue(np.all(np.isfinite(log_det)))

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
        coupling = Coupling(transformers.Affine(), conditioner, Alternating(0))
        x = tf.ones([3, 2])
        coupling.forward(x)
        Model()(tf.identity(x), training=True)
        Model()(tf.identity(x), training=False)
        self.assertEqual(heard, [False, True, False])

    def test_wrong_number_of_outputs_is_refused(self):
        coupling = Coupling(transformers.Affine(), lambda kept: tf.concat([kept] * 3, -1), Alternating(0))
        with self.assertRaisesRegex(
            ValueError, r"to return 2 channels, 2 for each of 1 entries \(affine\), got shape \(1, 3\)"
        ):
            coupling.forward(tf.ones([1, 2]))

    def test_a_class_in_place_of_a_transformer_is_refused(self):
        with self.assertRaisesRegex(TypeError, r"expected a transformer, such as .*Affine\(\), got <class"):
            Coupling(transformers.Affine, _constant(0.0, 0.0), Alternating(0))

    def test_unbuilt_conditioner_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected a built layer, .* got the unbuilt 'shy'"):
            Coupling(transformers.Affine(), MLP(outputs=2, name="shy"), Alternating(0))


if __name__ == "__main__":
    absltest.main()
