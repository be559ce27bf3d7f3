import math
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.conditioners import ResidualNetwork

# Section 4 of the release layout: kernel size, bias, magnitude.
_RELEASE_LAYOUT = {
    "conv_in": (3, True, False),
    "block_0_conv_1": (3, False, False),
    "block_1_conv_1": (3, False, False),
    "block_0_conv_2": (3, True, True),
    "block_1_conv_2": (3, True, True),
    "skip_0": (1, True, True),
    "skip_1": (1, True, True),
    "skip_2": (1, True, True),
    "conv_out": (1, True, True),
}


def _built(channels=4, **kwargs):
    network = ResidualNetwork(**{"outputs": 6, "width": 5, "blocks": 2, **kwargs})
    network.build((None, None, None, channels))
    return network


def _count(variables):
    return sum(math.prod(v.shape) for v in variables)


def _sublayers(network):
    return {layer.name: layer for layer in network._flatten_layers(include_self=False)}


def _outputs_and_gradients(network, x, context):
    variables = [v.value for v in network.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = network(x, context=context)
        loss = tf.reduce_sum(tf.tanh(outputs) ** 3)
    return outputs, tape.gradient(loss, [x, *variables])


class ResidualNetworkTest(parameterized.TestCase):
    @parameterized.parameters(False, True)
    def test_has_the_releases_layers_to_the_unit(self, mask_channel):
        network = _built(channels=4, mask_channel=mask_channel)
        layers = _sublayers(network)
        data, joined = (3, 7) if mask_channel else (4, 8)
        c_in = {"conv_in": joined}
        c_out = {"conv_out": 6}
        expected = 0
        for name, (size, bias, magnitude) in _RELEASE_LAYOUT.items():
            filters = c_out.get(name, 5)
            count = size**2 * c_in.get(name, 5) * filters + filters * (bias + magnitude)
            self.assertEqual(_count(layers[name].trainable_variables), count, name)
            self.assertEqual(layers[name].bias is not None, bias, name)
            self.assertEqual(layers[name].magnitude is not None, magnitude, name)
            expected += count
        # An offset and no scale each.
        norms = {"norm_in": data, "norm_out": 5}
        norms |= {f"block_{i}_norm_{j}": 5 for i in range(2) for j in (1, 2)}
        for name, size in norms.items():
            self.assertEqual([v.shape for v in layers[name].trainable_variables], [(size,)], name)
            self.assertEqual(layers[name].epsilon, 1e-4)
            self.assertEqual(layers[name].momentum, 0.9)
            expected += size
        self.assertEqual(_count(network.trainable_variables), expected)
        self.assertEqual(set(layers), set(_RELEASE_LAYOUT) | set(norms))

    @parameterized.product(mask_channel=(False, True), use_skips=(False, True))
    def test_is_what_its_docstring_says(self, mask_channel, use_skips):
        network = registry.randomize(_built(channels=3, mask_channel=mask_channel, use_skips=use_skips))
        x = tf.random.stateless_normal([2, 4, 6, 3], (1, 0))
        data = x[..., :2] if mask_channel else x
        h = (2 if mask_channel else 1) * network.norm_in(data)
        f = network.conv_in(tf.concat([tf.nn.relu(h), tf.nn.relu(-h)] + ([x[..., 2:]] if mask_channel else []), -1))
        features = [f]
        for i in range(2):
            change = network.convs_1[i](tf.nn.relu(network.norms_1[i](f)))
            f = f + network.convs_2[i](tf.nn.relu(network.norms_2[i](change)))
            features.append(f)
        total = sum(skip(f) for skip, f in zip(network.skips, features, strict=True)) if use_skips else f
        expected = network.conv_out(tf.nn.relu(network.norm_out(total)))
        np.testing.assert_allclose(network(x), expected, rtol=1e-5, atol=1e-5)
        self.assertEqual(network(x).shape, [2, 4, 6, 6])

    @parameterized.product(normalization=("batch", "layer", "none"), use_skips=(False, True), context_size=(None, 3))
    def test_inference_is_what_the_layers_say_one_by_one(self, normalization, use_skips, context_size):
        network = registry.randomize(
            _built(normalization=normalization, use_skips=use_skips, context_size=context_size, dtype="float64")
        )
        x = tf.random.stateless_normal([2, 4, 4, 4], (1, 0), dtype=tf.float64)
        context = None if context_size is None else tf.ones([2, context_size], tf.float64)
        folded, gradients = _outputs_and_gradients(network, x, context)
        # As in training, nothing is folded.
        with mock.patch.object(network, "folded", lambda: network._weights({})):
            expected, expected_gradients = _outputs_and_gradients(network, x, context)
        np.testing.assert_allclose(folded, expected, rtol=1e-9)
        for a, e in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-7, atol=1e-9)

    @parameterized.parameters(("mixed_bfloat16", 0.05), ("mixed_float16", 0.01))
    def test_folded_in_half_precision(self, policy, tolerance):
        mixed = registry.randomize(_built(dtype=policy))
        exact = registry.randomize(_built())
        x = tf.random.stateless_normal([2, 4, 4, 4], (1, 0))
        self.assertLess(np.max(np.abs(mixed(x) - exact(x))) / np.max(np.abs(exact(x))), tolerance)

    @parameterized.product(policy=("mixed_bfloat16", "mixed_float16"), training=(False, True))
    def test_gradients_in_half_precision_point_where_those_of_single_do(self, policy, training):
        x = tf.random.stateless_normal([2, 4, 4, 4], (1, 0))
        gradients = []
        for dtype in (policy, "float32"):
            network = registry.randomize(_built(dtype=dtype))
            variables = [v.value for v in network.trainable_variables]
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.tanh(network(x, training=training)) ** 3)
            found = tape.gradient(loss, variables)
            self.assertEqual({gradient.dtype for gradient in found}, {tf.float32})
            gradients.append(np.concatenate([np.ravel(gradient) for gradient in found]))
        half, single = gradients
        self.assertGreater(half @ single / np.linalg.norm(half) / np.linalg.norm(single), 0.99)
        self.assertAlmostEqual(np.linalg.norm(half) / np.linalg.norm(single), 1, delta=0.05)

    def test_frozen_inference_follows_no_later_change_of_a_kernel(self):
        network = registry.randomize(_built())
        x = tf.random.stateless_normal([2, 4, 4, 4], (1, 0))
        before = network(x)
        variables = [id(v) for v in network.variables]
        with network.frozen():
            for layer in (*network.convs_1, *network.norms_2, *network.skips, network.norm_out):
                registry.randomize(layer, seed=1)
            np.testing.assert_array_equal(network(x), before)
            thawed = network(x, training=True)
        registry.randomize(network)
        self.assertGreater(np.max(np.abs(network(x, training=True) - thawed)), 1e-2)
        for layer in (*network.convs_1, *network.norms_2, *network.skips, network.norm_out):
            registry.randomize(layer, seed=1)
        self.assertGreater(np.max(np.abs(network(x) - before)), 1e-2)
        self.assertEqual([id(v) for v in network.variables], variables)

    def test_output_scale(self):
        x = tf.random.stateless_normal([2, 4, 4, 4], (1, 0))
        np.testing.assert_array_equal(_built(output_scale=0.0)(x), np.zeros([2, 4, 4, 6]))
        network = _built(output_scale=0.1)
        np.testing.assert_array_equal(network.conv_out.magnitude, np.full([6], 0.1, np.float32))
        config = _built().get_config()
        del config["output_scale"]  # As in models of before.
        self.assertIsNone(ResidualNetwork.from_config(config).output_scale)

    def test_without_skips_there_are_none(self):
        skips = 3 * (5 * 5 + 5 + 5)
        self.assertEqual(_built().count_params() - _built(use_skips=False).count_params(), skips)

    @parameterized.product(normalization=("batch", "layer", "none"), channels=(1, 3), mask_channel=(False, True))
    def test_sees_all_of_its_input(self, normalization, channels, mask_channel):
        inputs = channels + mask_channel
        network = registry.randomize(_built(inputs, normalization=normalization, mask_channel=mask_channel))
        x = tf.random.stateless_normal([2, 4, 4, inputs], (1, 0))
        # Each channel, and what all share: a layer norm over the channels would hide the latter.
        for change in (*np.eye(inputs), np.ones(inputs)):
            moved = x + 0.5 * tf.cast(change, tf.float32)
            self.assertGreater(np.max(np.abs(network(moved) - network(x))), 1e-2)

    @parameterized.product(normalization=("batch", "layer", "none"))
    def test_normalization_in_training(self, normalization):
        network = registry.randomize(_built(normalization=normalization))
        x = tf.random.stateless_normal([3, 4, 4, 4], (1, 0))
        before = [v.numpy() for v in network.non_trainable_variables]
        inference, training = network(x), network(x, training=True)
        alone = network(x[:1], training=True)
        # Batch norm alone sees other examples, and has moments that move; once for each of six.
        sees_others = np.max(np.abs(training[:1] - alone)) > 1e-3
        self.assertEqual(sees_others, normalization == "batch")
        self.assertEqual(np.max(np.abs(training - inference)) > 1e-3, normalization == "batch")
        self.assertLen(before, 12 if normalization == "batch" else 0)
        for old, new in zip(before, network.non_trainable_variables, strict=True):
            self.assertGreater(np.max(np.abs(old - new)), 0)

    def test_unknown_normalization_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected normalization to be one of batch, layer, none, got"):
            ResidualNetwork(outputs=2, normalization="group")

    def test_context(self):
        network = registry.randomize(_built(context_size=3))
        x, context = tf.ones([7, 4, 4, 4]), tf.random.stateless_normal([7, 3], (1, 0))
        outputs = network(x, context=context).numpy()
        self.assertGreater(np.min(np.max(np.ptp(outputs, axis=0), (0, 1))), 1e-3)
        self.assertEqual(network.count_params() - _built().count_params(), 3 * 5)
        with self.assertRaisesRegex(ValueError, "expected a context of size 3, got none"):
            network(x)
        with self.assertRaisesRegex(ValueError, r"expected a context of size 3, got shape \(7, 2\)"):
            network(x, context=context[:, :2])
        with self.assertRaisesRegex(ValueError, "expected no context, got shape"):
            _built()(x, context=context)

    @parameterized.parameters("mixed_bfloat16", "mixed_float16")
    def test_a_mixed_policy_keeps_the_output_in_float32(self, policy):
        network = registry.randomize(_built(dtype=policy))
        x = tf.random.stateless_normal([2, 4, 4, 4], (1, 0))
        for training in (False, True):
            outputs = network(x, training=training)
            self.assertEqual(outputs.dtype, tf.float32)
            self.assertTrue(np.all(np.isfinite(outputs)))
        self.assertEqual(network.convs_1[0](x[..., :1] * tf.ones([5])).dtype, network.compute_dtype)
        self.assertEqual({v.dtype for v in network.variables}, {"float32"})

    @parameterized.parameters(
        dict(mask_channel=True, activation="gelu", context_size=2),
        dict(use_skips=False, normalization="layer", dtype="mixed_bfloat16", name="named"),
        dict(blocks=0, normalization="none", output_scale=0.1),
    )
    def test_config_round_trip(self, **kwargs):
        network = ResidualNetwork(**{"outputs": 2, "width": 3, "blocks": 1, **kwargs})
        for copy in (
            ResidualNetwork.from_config(network.get_config()),
            keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network)),
        ):
            self.assertIsInstance(copy, ResidualNetwork)
            self.assertEqual(copy.get_config(), network.get_config())
            self.assertEqual(copy.dtype_policy, network.dtype_policy)
            context = None if network.context_size is None else tf.ones([2, network.context_size])
            self.assertEqual(copy(tf.ones([2, 4, 4, 3]), context=context).shape, [2, 4, 4, 2])

    def test_output_shape(self):
        self.assertEqual(_built().compute_output_shape((None, 8, 9, 4)), (None, 8, 9, 6))


if __name__ == "__main__":
    absltest.main()
