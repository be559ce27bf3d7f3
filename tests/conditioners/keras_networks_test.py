"""The conditioners made of Keras' own layers: residual, attention, gated and dense convolutions."""

import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp.conditioners import AttentionNetwork, DenseNetwork, GatedNetwork, ResidualMLP


def _attention(**kwargs):
    network = AttentionNetwork(**{"outputs_per_entry": 2, "entries": 3, "width": 8, "blocks": 1, "heads": 2, **kwargs})
    network.build((None, 3))
    return network


def _residual_mlp(**kwargs):
    network = ResidualMLP(**{"outputs_per_entry": 2, "entries": 3, "width": 8, "blocks": 2, **kwargs})
    network.build((None, 3))
    return network


def _of_images(cls, **kwargs):
    network = cls(**{"outputs": 2, "width": 8, "blocks": 2, **kwargs})
    network.build((None, None, None, 3))
    return network


def _jacobian(tape, outputs, inputs):
    # Not vectorised: in TensorFlow 2.21 oneDNN's product of [6, 1, 6, 8] and [1, 1, 8, 8] is wrong, or a crash.
    return tape.jacobian(outputs, inputs, experimental_use_pfor=False)


class KerasNetworksTest(parameterized.TestCase):
    def test_attention_lets_kept_entries_reach_every_output(self):
        network = registry.randomize(_attention())
        x = tf.random.stateless_normal([1, 3], (1, 0))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            outputs = network(x)
        jacobian = _jacobian(tape, outputs, x)[0, :, 0]
        self.assertGreater(np.min(np.abs(jacobian)), 1e-6)

    @parameterized.parameters(_attention, _residual_mlp)
    def test_a_causal_network_reads_earlier_entries_alone(self, make):
        network = registry.randomize(make(is_causal=True))
        x = tf.random.stateless_normal([1, 3], (1, 0))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            outputs = network(x)
        # The first output of all entries, then the second.
        jacobian = np.reshape(_jacobian(tape, outputs, x), [2, 3, 3])
        for of_output in jacobian:
            np.testing.assert_array_equal(np.triu(of_output), np.zeros([3, 3]))
            self.assertGreater(np.min(np.abs(of_output[np.tril_indices(3, -1)])), 1e-6)

    @parameterized.parameters(False, True)
    def test_a_residual_network_reads_the_context_everywhere(self, is_causal):
        network = registry.randomize(_residual_mlp(is_causal=is_causal, context_size=2))
        context = tf.random.stateless_normal([1, 2], (2, 0))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(context)
            outputs = network(tf.zeros([1, 3]), context)
        self.assertGreater(np.min(np.abs(_jacobian(tape, outputs, context))), 1e-6)

    def test_a_context_closes_the_gates_of_blocks(self):
        network = registry.randomize(_residual_mlp(context_size=2))
        x, context = tf.random.stateless_normal([4, 3], (1, 0)), tf.ones([4, 2])
        expected = network.dense_out(network.dense_in(x) + network.context_in(context))
        self.assertGreater(np.max(np.abs(network(x, context) - expected)), 1e-3)
        for gate in network.gates:
            gate.bias.assign(tf.fill(gate.bias.shape, -1e4))
        np.testing.assert_allclose(network(x, context), expected, rtol=1e-5)

    def test_blocks_start_near_the_identity(self):
        x = tf.random.stateless_normal([4, 3], (1, 0))
        keras.utils.set_random_seed(0)
        network = _residual_mlp(zero_output=False)
        expected = network.dense_out(network.dense_in(x))
        np.testing.assert_allclose(network(x), expected, atol=0.02)
        self.assertGreater(np.max(np.abs(expected)), 0.1)

    @parameterized.parameters("attention", "residual", "gated", "dense")
    def test_starts_at_zero(self, kind):
        image = tf.random.stateless_normal([2, 4, 4, 3], (1, 0))
        outputs = {
            "attention": lambda: _attention()(image[:, 0, 0]),
            "residual": lambda: _residual_mlp()(image[:, 0, 0]),
            "gated": lambda: _of_images(GatedNetwork, output_scale=0.0)(image),
            "dense": lambda: _of_images(DenseNetwork, output_scale=0.0)(image),
        }[kind]()
        np.testing.assert_array_equal(outputs, np.zeros(outputs.shape))

    def test_a_pixel_reaches_all_pixels_by_attention_alone(self):
        image = tf.random.stateless_normal([1, 12, 12, 3], (1, 0))
        changed = tf.tensor_scatter_nd_add(image, [[0, 0, 0, 0]], [1.0])
        for heads, reach in ((0, False), (2, True)):
            network = registry.randomize(_of_images(GatedNetwork, blocks=1, heads=heads))
            change = np.abs(network(changed) - network(image))
            self.assertEqual(np.max(change[0, -1, -1]) > 0, reach)
            self.assertGreater(np.max(change[0, 0, 0]), 0)

    @parameterized.parameters(
        (lambda: _of_images(GatedNetwork, dropout=0.5), [2, 4, 4, 3]), (lambda: _residual_mlp(dropout=0.5), [2, 3])
    )
    def test_dropout_is_for_training(self, make, shape):
        network = registry.randomize(make())
        x = tf.random.stateless_normal(shape, (1, 0))
        np.testing.assert_array_equal(network(x, training=False), network(x, training=False))
        first, second = network(x, training=True), network(x, training=True)
        self.assertGreater(np.max(np.abs(first - second)), 1e-3)

    def test_dense_blocks_read_all_before_them(self):
        network = _of_images(DenseNetwork, growth=5, blocks=3)
        self.assertEqual([conv.kernel.shape[2] for conv in network.convs_1], [8, 13, 18])
        self.assertEqual(network.conv_out.kernel.shape[2], 23)

    @parameterized.parameters(
        (AttentionNetwork, dict(outputs_per_entry=2, entries=3, heads=2, is_causal=True, activation="relu")),
        (ResidualMLP, dict(outputs_per_entry=2, entries=3, is_causal=True, circular=(1,), dropout=0.1, seed=5)),
        (GatedNetwork, dict(outputs=2, heads=0, dropout=0.1, context_size=3, seed=5)),
        (DenseNetwork, dict(outputs=2, growth=3, dtype="mixed_bfloat16", name="named")),
    )
    def test_config_round_trip(self, cls, options):
        network = cls(**options)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
        self.assertIsInstance(again, cls)
        self.assertEqual(again.get_config(), network.get_config())

    @parameterized.parameters(
        (lambda: _attention(width=6, heads=4), "expected a width that is a multiple of heads, .* got 6, 4 and 1"),
        (lambda: _attention(is_causal=True, entries=4), r"expected a vector of 4 entries .* got shape \(None, 3\)"),
        (lambda: _residual_mlp(width=0), "expected a width of 1 or more and blocks of 0 or more, got 0 and 2"),
        (lambda: _residual_mlp(is_causal=True, entries=4), r"expected a vector of 4 .* got shape \(None, 3\)"),
        (lambda: _residual_mlp(is_causal=True, circular=(3,)), r"positions of angles from 0 to 2, got \(3,\)"),
        (lambda: _of_images(GatedNetwork, width=6), "expected a width that is a multiple of 4 .* got 6, 4 and 2"),
        (lambda: _of_images(DenseNetwork, growth=0), "expected a width and a growth of 1 or more, .* got 8, 0 and 2"),
        (
            lambda: nvp.nice(event_shape=4, conditioner="gated"),
            "expected conditioner of vectors to be one of mlp, residual, attention, got 'gated'",
        ),
        (
            lambda: nvp.glow(event_shape=(4, 4, 1), conditioner="gated(head=2)"),
            "expected options of gated among heads, dropout, got head",
        ),
        (
            lambda: nvp.nsf(event_shape=4, conditioner="attention(heads=2)", hidden_units=(8,)),
            r"expected no hidden_units beside the conditioner 'attention.*', which does not read it, got \(8,\)",
        ),
        (
            lambda: nvp.glow(event_shape=(4, 4, 1), conditioner="dense", use_skips=False),
            "expected no use_skips beside the conditioner 'dense', which does not read it, got False",
        ),
        (
            lambda: nvp.real_nvp(event_shape=(4, 4, 1), conditioner=lambda *unused: None, width=8),
            "expected no width beside a conditioner that is a function, which does not read it, got 8",
        ),
    )
    def test_refuses(self, make, message):
        with self.assertRaisesRegex(ValueError, message):
            make()

    def test_a_conditioner_is_a_name_or_a_function(self):
        with self.assertRaisesRegex(TypeError, "expected the name of a conditioner or a function .*, got None"):
            nvp.nice(event_shape=4, conditioner=None)

    @parameterized.parameters(
        ("real_nvp", (4, 4, 1), "gated(dropout=0.5, heads=2)", dict(levels=17, width=4, blocks=1, scales=1)),
        ("glow", (4, 4, 1), "dense(growth=2)", dict(levels=17, width=4, blocks=1, scales=1, steps=1)),
        ("coupling_flow", (3,), "attention(width=4, heads=1, blocks=1)", dict(couplings=2)),
        ("maf", (3,), "attention(width=4, heads=1, blocks=1)", dict(layers=1)),
        ("coupling_flow", (3,), "residual(width=4, blocks=1, dropout=0.5)", dict(couplings=2)),
    )
    def test_by_name_it_trains_and_is_served(self, factory, shape, conditioner, options):
        def trained(steps, backprop="store"):
            keras.utils.set_random_seed(0)
            more = {} if factory == "maf" else {"backprop": backprop}
            flow = getattr(nvp, factory)(event_shape=shape, conditioner=conditioner, **options, **more)
            model = nvp.FlowModel(flow)
            model.compile(nvp.training.Adam(0.01))
            model.fit(data, batch_size=8, epochs=steps, shuffle=False, verbose=0)
            return flow

        random = np.random.default_rng(0)
        data = random.integers(0, 17, [8, *shape]) if len(shape) == 3 else random.normal(size=[8, *shape])
        data = data.astype(np.uint8 if len(shape) == 3 else np.float32)
        flow = trained(3)
        x = tf.cast(data, tf.float32) + 0.5
        loaded = nvp.load(nvp.publish(flow, f"{self.enterContext(tempfile.TemporaryDirectory())}/flow"))
        np.testing.assert_allclose(loaded.log_prob(x), flow.log_prob(x), rtol=1e-4, atol=1e-3)
        if "dropout" in conditioner:  # A recomputed network drops the same.
            np.testing.assert_allclose(trained(3, "invert").log_prob(x), flow.log_prob(x), rtol=1e-3, atol=1e-2)


if __name__ == "__main__":
    absltest.main()
