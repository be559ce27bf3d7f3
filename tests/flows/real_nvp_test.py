import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry

nvb = nvp.bijectors


def _image(**kwargs):
    return nvp.real_nvp(**{"event_shape": (8, 8, 3), "scales": 3, "width": 2, "blocks": 0, **kwargs})


def _words(flow):
    """The layers of a flow in a word each, a split's in a list of their own."""
    words = []
    for layer in flow.bijectors:
        if isinstance(layer, nvb.Coupling):
            mask = layer.mask
            words.append(mask.keep if isinstance(mask, nvb.ChannelHalves) else mask.parity)
        elif isinstance(layer, nvb.Split):
            words.append(_words(layer.flow))
        elif isinstance(layer, nvb.Squeeze):
            words.append(layer.order)
        elif isinstance(layer, tfp.bijectors.Bijector) and hasattr(layer, "bijector"):
            words.append(f"un-{layer.bijector.order}")
        else:
            words.append(type(layer).__name__)
    return words


class ImagesTest(parameterized.TestCase):
    def test_order_of_the_layers(self):
        def scale(rest):
            checkerboards_and_channels = [1, 0, 1, "channel_major", "first", "second", "first"]
            return [
                *checkerboards_and_channels,
                "un-channel_major",
                "diagonal",
                rest,
                "un-diagonal",
            ]

        expected = ["DequantizedLogit", *scale(scale([1, 0, 1, 0]))]
        self.assertEqual(_words(_image(norm=None).flow), expected)
        self.assertEqual(_words(_image(norm=None, levels=None).flow), expected[1:])
        self.assertEqual(
            _words(_image(scales=1).flow),
            [
                "DequantizedLogit",
                *(word for parity in (1, 0, 1, 0) for word in (parity, "BatchNorm")),
            ],
        )

    def test_couplings(self):
        couplings = registry.parts(_image(), nvb.Coupling)
        self.assertLen(couplings, 6 * (3 - 1) + 4)
        for coupling in couplings:
            scale = int(coupling.name.split("_")[1])
            is_checkerboard = isinstance(coupling.mask, nvb.Checkerboard)
            self.assertEqual(coupling.conditioner.width, 2 * 2**scale * (1 if is_checkerboard else 2))
            self.assertEqual(coupling.conditioner.mask_channel, is_checkerboard)
            # As the release starts them.
            self.assertEqual(coupling.transformer.gain.numpy(), 0.0 if is_checkerboard else 1.0)
            self.assertEqual(coupling.transformer.form, "shift_first")

    def test_batch_norm_is_over_the_changed_part_of_the_coupling_before(self):
        flow = _image(rho=0.5).flow
        layers = flow.bijectors[1:7] + flow.bijectors[8:14]
        for coupling, norm in zip(layers[::2], layers[1::2], strict=True):
            self.assertIs(norm.mask, coupling.mask)
            self.assertEqual(norm.channels, 6 if isinstance(norm.mask, nvb.ChannelHalves) else 3)
            self.assertEqual((norm.epsilon, norm.momentum, norm.rho), (1e-4, 0.9, 0.5))

    def test_backprop_is_the_outermost_chains(self):
        self.assertEqual(_image(backprop="invert").flow.backprop, "invert")
        self.assertEqual(nvp.real_nvp(event_shape=[4], backprop="remat").flow.backprop, "remat")
        self.assertEqual(_image().flow.backprop, "store")

    @parameterized.parameters(
        ((16, 16, 1), 3),
        ((12, 12, 1), 3),
        ((8, 4, 1), 1),
        ((8, 8, 1), 2),
        ((5, 8, 1), 1),
    )
    def test_scales_by_default(self, event_shape, expected):
        flow = nvp.real_nvp(event_shape=event_shape, width=1, blocks=0, norm=None).flow
        scales = 1
        while splits := [layer for layer in flow.bijectors if isinstance(layer, nvb.Split)]:
            (split,) = splits
            flow, scales = split.flow, scales + 1
        self.assertEqual(scales, expected)

    def test_latents_are_kept_from_the_scale_where_they_leave(self):
        # The second half of the diagonal squeeze is final: the odd half of the checkerboard.
        distribution = registry.randomize(_image(event_shape=(4, 4, 1), scales=2, levels=None))
        x = tf.random.stateless_normal([1, 4, 4, 1], (1, 0))
        flow = distribution.flow
        before = nvb.Chain(flow.bijectors[:-3]).forward(x)
        z = flow.forward(x)
        left = (np.indices([4, 4]).sum(0) % 2 == 1)[np.newaxis, ..., np.newaxis]
        np.testing.assert_allclose(z.numpy()[left], before.numpy()[left], rtol=1e-6)
        self.assertGreater(np.min(np.abs(z - before)[~left]), 1e-4)

    def test_runs_on_larger_images(self):
        flow = registry.randomize(_image(levels=None)).flow
        z = tf.random.stateless_normal([1, 16, 24, 3], (1, 0))
        x, log_det = flow.inverse_and_log_det(z)
        self.assertEqual(x.shape, [1, 16, 24, 3])
        back, back_log_det = flow.forward_and_log_det(x)
        np.testing.assert_allclose(back, z, atol=1e-3)
        np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-4)

    @parameterized.parameters(
        (
            dict(event_shape=(7, 8, 3), scales=2),
            "an even height and width at each of 1 squeezes, .* multiples of 2",
        ),
        (dict(event_shape=(12, 12, 3), scales=4), r"multiples of 8, got \(12, 12, 3\)"),
        (dict(scales=0), "expected at least one scale, got 0"),
        (dict(event_shape=(8, 8)), r"\(height, width, channels\) or \(size,\), got \(8, 8\)"),
        (dict(event_shape=()), r"an event shape of positive integers, such as .* got \(\)"),
        (dict(form="scale_only"), "expected form to be"),
        (dict(normalization="group"), "expected normalization to be one of"),
        (dict(levels=1), "expected at least 2 levels"),
        (dict(alpha=0.5), "expected alpha between 0 and 0.5"),
        (dict(rho=1.5), "expected rho in"),
        (dict(rho=0.5, norm=None), 'expected norm="batch" for a rho, got None'),
        (dict(backprop="reverse"), "expected backprop to be one of"),
    )
    def test_bad_settings_are_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            _image(**settings)

    def test_settings_are_keywords(self):
        with self.assertRaises(TypeError):
            nvp.real_nvp((8, 8, 3))
        with self.assertRaisesRegex(TypeError, "scale_count"):
            nvp.real_nvp(event_shape=(8, 8, 3), scale_count=2)


class VectorsTest(parameterized.TestCase):
    def test_couplings(self):
        distribution = nvp.real_nvp(event_shape=[5], couplings=3, hidden_units=(4, 6), activation="tanh")
        order, *couplings = distribution.flow.bijectors
        # The couplings alternate between the even and the odd entries of the data.
        np.testing.assert_array_equal(order.forward(tf.range(5.0)), [1, 3, 0, 2, 4])
        self.assertEqual([coupling.mask.keep for coupling in couplings], ["second", "first", "second"])
        for coupling in couplings:
            self.assertEqual(coupling.transformer.form, "scale_first")
            self.assertEqual(coupling.transformer.gain.numpy(), 2.0)
            self.assertEqual(coupling.conditioner.hidden_units, (4, 6))
            self.assertIs(coupling.conditioner.activation, keras.activations.tanh)

    def test_starts_as_the_identity_but_for_the_order(self):
        x = tf.random.stateless_normal([4, 5], (1, 0))
        z, log_det = nvp.real_nvp(event_shape=[5]).flow.forward_and_log_det(x)
        np.testing.assert_array_equal(z, x.numpy()[:, [1, 3, 0, 2, 4]])
        np.testing.assert_array_equal(log_det, np.zeros(4))

    def test_every_entry_depends_on_every_other(self):
        flow = registry.built("real_nvp_vector", "float64")
        x = tf.random.stateless_normal([1, 6], (1, 0), dtype=tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = flow.forward(x)
        self.assertGreater(np.min(np.abs(tape.batch_jacobian(z, x))), 1e-9)

    @parameterized.parameters(0, 1)
    def test_too_short_vectors_are_refused(self, size):
        expected = "of positive integers" if size == 0 else r"of at least 2 entries, got \(1,\)"
        with self.assertRaisesRegex(ValueError, expected):
            nvp.real_nvp(event_shape=[size])


class DtypesTest(parameterized.TestCase):
    @parameterized.parameters(((2, 2, 2), dict(width=2, blocks=1)), ((4,), dict(hidden_units=(3,), norm="batch")))
    def test_dtype_is_that_of_flow_and_networks(self, event_shape, settings):
        distribution = nvp.real_nvp(event_shape=event_shape, dtype="float64", **settings)
        self.assertEqual({v.dtype for v in distribution.variables}, {tf.float64})
        x = distribution.sample(3, seed=1)
        self.assertEqual((x.dtype, distribution.log_prob(x).dtype), (tf.float64, tf.float64))

    def test_a_policy_is_the_networks_alone(self):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, before)
        by_default = nvp.real_nvp(event_shape=[4], hidden_units=(3,))
        named = nvp.real_nvp(event_shape=[4], hidden_units=(3,), dtype_policy="mixed_float16")
        for distribution, compute_dtype in ((by_default, "bfloat16"), (named, "float16")):
            coupling = distribution.flow.bijectors[1]
            self.assertEqual(coupling.conditioner.compute_dtype, compute_dtype)
            self.assertEqual({v.dtype for v in distribution.variables}, {tf.float32})
            self.assertEqual(distribution.log_prob(tf.zeros([1, 4])).dtype, tf.float32)
        # A double flow is double throughout, unless told otherwise.
        double = nvp.real_nvp(event_shape=[4], hidden_units=(3,), dtype="float64")
        self.assertEqual(double.flow.bijectors[1].conditioner.compute_dtype, "float64")


if __name__ == "__main__":
    absltest.main()
