import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest

from tests import registry
from tfp_realnvp import transformers
from tfp_realnvp.bijectors import (
    Alternating,
    BatchNorm,
    Chain,
    Coupling,
    DequantizedLogit,
    Squeeze,
)

tfb = tfp.bijectors


class ChainTest(absltest.TestCase):
    def test_the_first_is_met_first(self):
        chain = Chain([tfb.Scale(2.0), tfb.Shift(1.0)])
        np.testing.assert_array_equal(chain.forward(3.0), 7.0)
        np.testing.assert_array_equal(chain.inverse(7.0), 3.0)

    def test_log_dets_add_up(self):
        # Two elementwise layers, ours and TFP's, one on vectors, one on images.
        norm = registry.randomize(BatchNorm(2))
        layers = [DequantizedLogit(), tfb.SinhArcsinh(0.3), norm, Squeeze()]
        x = tf.random.stateless_uniform([3, 4, 4, 2], (1, 0), 0, 256)
        z, log_det = Chain(layers).forward_and_log_det(x)
        expected, at = 0.0, x
        for layer in layers:
            expected += layer.forward_log_det_jacobian(at, event_ndims=3)
            at = layer.forward(at)
        np.testing.assert_allclose(z, at, rtol=1e-6)
        np.testing.assert_allclose(log_det, expected, rtol=1e-6)

    def test_elementwise_layers_alone_give_a_log_det_for_each_entry(self):
        chain = Chain([DequantizedLogit(), tfb.Scale(3.0)])
        x = tf.constant([[10.0, 20.0]])
        expected = DequantizedLogit().forward_and_log_det(x)[1] + np.log(3.0)
        np.testing.assert_allclose(chain.forward_and_log_det(x)[1], expected, rtol=1e-6)
        self.assertEqual(chain.forward_log_det_jacobian(tf.identity(x), event_ndims=1).shape, [1])

    def test_is_tfps_chain_the_other_way_round(self):
        first, second = tfb.SinhArcsinh(0.3), registry.built("coupling_alternating_0")
        x = tf.random.stateless_normal([4, 5], (1, 0))
        theirs = tfb.Chain([second, first])
        z, log_det = Chain([first, second]).forward_and_log_det(x)
        np.testing.assert_allclose(z, theirs.forward(tf.identity(x)), rtol=1e-6)
        np.testing.assert_allclose(log_det, theirs.forward_log_det_jacobian(tf.identity(x), 1), rtol=1e-6)

    def test_leaves_are_evaluated_one_by_one(self):
        chain = registry.built("chain_context")
        entry = registry.BY_NAME["chain_context"]
        x, context = entry.events([3]), entry.context([3])
        outputs, log_dets = [x], []
        for leaf in chain.leaves():
            output, log_det = leaf.forward(outputs[-1], context, training=False)
            outputs.append(output)
            log_dets.append(log_det)
        z, log_det = chain.forward_and_log_det(x, context)
        layers = [getattr(layer, "bijector", layer) for layer in chain.bijectors]
        self.assertEqual([leaf.bijector for leaf in chain.leaves()], layers)
        np.testing.assert_array_equal(outputs[-1], z)
        np.testing.assert_allclose(sum(log_dets), log_det, rtol=1e-6)
        self.assertGreater(np.max(np.abs(outputs[0] - outputs[1])), 1e-2)

    def test_new_weights_of_a_tfp_layer_count_at_once(self):
        scale = tf.Variable(2.0)
        chain = Chain([tfb.Scale(scale)])
        x = tf.constant([1.0, 2.0])
        for function, sign in ((chain.forward_and_log_det, 1), (chain.inverse_and_log_det, -1)):
            scale.assign(2.0)
            held = function(x)  # While it lives, TFP's cache does.
            scale.assign(3.0)
            y, log_det = function(x)
            np.testing.assert_allclose(y, x * 3.0**sign, rtol=1e-6)
            np.testing.assert_allclose(log_det, [sign * np.log(3.0)] * 2, rtol=1e-6)
            del held

    def test_a_layer_may_occur_twice(self):
        # Once forth and once back, as a squeeze and its unsqueeze: nothing is left.
        coupling = registry.built("coupling_alternating_0")
        chain = Chain([coupling, tfb.Invert(coupling)])
        x = tf.random.stateless_normal([4, 5], (1, 0))
        z, log_det = chain.forward_and_log_det(x)
        np.testing.assert_allclose(z, x, atol=1e-6)
        np.testing.assert_allclose(log_det, np.zeros(4), atol=1e-6)
        self.assertLen(chain.trainable_variables, len(coupling.trainable_variables))

    def test_a_shape_that_a_later_layer_refuses(self):
        chain = Chain([Squeeze(name="once"), Squeeze(name="twice")])
        with self.assertRaisesRegex(ValueError, r"twice: expected an even height and width, got \(3, 1, 8\)"):
            chain.forward(tf.zeros([1, 6, 2, 2]))
        with self.assertRaisesRegex(ValueError, r"once: expected a number of channels divisible by 4, got"):
            chain.inverse(tf.zeros([1, 2, 2, 8]))

    def test_no_layer_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected at least one bijector, got none"):
            Chain([])

    def test_tfp_variables_train(self):
        shift = tf.Variable([1.0, 2.0])
        coupling = Coupling(transformers.Affine(), lambda kept: tf.concat([kept, kept], -1), Alternating(0))
        chain = Chain([tfb.Shift(shift), coupling])
        self.assertEqual({id(v) for v in chain.trainable_variables}, {id(shift), id(coupling.transformer.gain.value)})


if __name__ == "__main__":
    absltest.main()
