import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest

from tests import registry
from tfp_realnvp import transformers
from tfp_realnvp.bijectors import Alternating, BatchNorm, Bijector, Chain, Coupling, Split
from tfp_realnvp.bijectors.variables import learned_layers
from tfp_realnvp.conditioners import MLP

tfb = tfp.bijectors


class _Spy(Bijector):
    """The identity; notes what it is told."""

    def __init__(self):
        super().__init__(event_ndims=1, parameters=dict(locals()), name="spy")
        self.heard = self._no_dependency([])

    def _forward_and_log_det(self, x, context, training):
        self.heard.append((training, context))
        return tf.identity(x), tf.zeros(tf.shape(x)[:1], x.dtype)

    _inverse_and_log_det = _forward_and_log_det


class _Model(keras.Model):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


class BijectorTest(absltest.TestCase):
    def test_training_is_what_keras_says(self):
        spy = _Spy()
        x = tf.ones([2, 3])
        for function in (
            spy.forward_and_log_det,
            spy.inverse_and_log_det,
            Chain([spy, tfb.Invert(spy)]).forward_and_log_det,
            tfb.Chain([spy]).forward,
            lambda x: tfb.Invert(spy).inverse_log_det_jacobian(tf.identity(x), 1),
            lambda x: tf.function(spy.forward_and_log_det)(x),
        ):
            for training in (True, False):
                spy.heard.clear()
                _Model(function)(x, training=training)
                self.assertEqual({heard for heard, _ in spy.heard}, {training})
            spy.heard.clear()
            # Outside of a model it is inference.
            function(tf.ones([5, 3]))
            self.assertEqual({heard for heard, _ in spy.heard}, {False})
        self.assertIs(spy.heard[0][0], False)

    def test_a_graphs_first_pass(self):
        # In a graph, where a layer's name becomes a scope of it.
        with tf.Graph().as_default():
            z, _ = _Spy().forward_and_log_det(tf.ones([2, 3]))
        self.assertEqual(z.shape, [2, 3])

    def test_takes_arrays(self):
        x = np.ones([2, 3], np.float32)
        z, log_det = _Spy().forward_and_log_det(x)
        np.testing.assert_array_equal(z, x)
        self.assertEqual(log_det.shape, [2])

    def test_batch_axes_of_a_context_become_one(self):
        spy = _Spy()
        spy.forward(tf.ones([2, 3, 4]), context=tf.ones([2, 3, 5, 6]))
        self.assertEqual(spy.heard[-1][1].shape, [6, 5, 6])
        spy.forward(tf.ones([4]), context=tf.ones([5]))
        self.assertEqual(spy.heard[-1][1].shape, [1, 5])

    def test_static_shapes_survive(self):
        traced = tf.function(_Spy().forward_and_log_det).get_concrete_function(
            tf.TensorSpec([2, None, 4])
        )
        z, log_det = traced.structured_outputs
        self.assertEqual(z.shape.as_list(), [2, None, 4])
        self.assertEqual(log_det.shape.as_list(), [2, None])

    def test_only_the_two_passes_are_abstract(self):
        with self.assertRaisesRegex(TypeError, "_forward_and_log_det.*_inverse_and_log_det"):
            Bijector(event_ndims=1, parameters={}, name="abstract")

    def test_variables_under_invert_chain_and_module(self):
        norm = BatchNorm(2)
        module = tf.Module()
        module.flow = tfb.Chain([tfb.Invert(norm)])
        self.assertEqual(
            {id(v) for v in module.variables},
            {id(norm.moving_mean.value), id(norm.moving_variance.value)},
        )
        self.assertEmpty(module.trainable_variables)

    def test_learned_layers_come_once(self):
        conditioner = MLP(outputs=2, hidden_units=(3,))
        conditioner.build([None, 1])
        couplings = [Coupling(transformers.Affine(), conditioner, Alternating(0)) for _ in range(2)]
        norm = BatchNorm(2)
        flow = Chain([couplings[0], tfb.Invert(norm), couplings[1]])
        layers = {id(layer) for layer in learned_layers(flow)}
        expected = [
            conditioner,
            *(c.transformer.gain for c in couplings),
            norm.moving_mean,
            norm.moving_variance,
        ]
        self.assertEqual(layers, {id(layer) for layer in expected})
        self.assertLen(learned_layers(flow), len(expected))
        self.assertEqual(len(learned_layers(Split(norm))), 2)

    def test_shared_conditioners_with_their_own_gains(self):
        # To TFP both have the same constructor arguments, and TFP's cache goes by them.
        conditioner = registry.randomize(_built(MLP(outputs=2, hidden_units=(3,))))
        couplings = [Coupling(transformers.Affine(), conditioner, Alternating(0)) for _ in range(2)]
        couplings[0].transformer.gain.assign(0.5)
        x = tf.ones([1, 2])
        outputs = [coupling.forward(x) for coupling in couplings]
        self.assertNotEqual(outputs[0][0, 1], outputs[1][0, 1])


def _built(mlp):
    mlp.build([None, 1])
    return mlp


if __name__ == "__main__":
    absltest.main()
