import copy
import inspect
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import transformers
from tfp_realnvp.bijectors import Alternating, BatchNorm, Bijector, Chain, Coupling, Split, Squeeze
from tfp_realnvp.bijectors.variables import learned_layers, variables_of
from tfp_realnvp.conditioners import MLP

tfb = tfp.bijectors


class _Spy(Bijector):
    """The identity; notes what it is told."""

    def __init__(self):
        super().__init__(event_ndims=1, name="spy")
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
        traced = tf.function(_Spy().forward_and_log_det).get_concrete_function(tf.TensorSpec([2, None, 4]))
        z, log_det = traced.structured_outputs
        self.assertEqual(z.shape.as_list(), [2, None, 4])
        self.assertEqual(log_det.shape.as_list(), [2, None])

    def test_only_the_two_passes_are_abstract(self):
        with self.assertRaisesRegex(TypeError, "_forward_and_log_det.*_inverse_and_log_det"):
            Bijector(event_ndims=1, name="abstract")

    def test_variables_under_invert_chain_and_module(self):
        norm = BatchNorm(2)
        module = tf.Module()
        module.flow = tfb.Chain([tfb.Invert(norm)])
        self.assertEqual(
            {id(v) for v in module.variables},
            {id(norm.moving_mean.value), id(norm.moving_variance.value)},
        )
        self.assertEmpty(module.trainable_variables)

    def test_parameters_are_the_arguments(self):
        norm = BatchNorm(2, rho=0.5)
        expected = dict(channels=2, mask=None, epsilon=1e-4, momentum=0.9, rho=0.5, dtype="float32", name="batch_norm")
        self.assertEqual(norm.parameters, expected)
        self.assertEqual(norm.copy(channels=3).parameters, {**expected, "channels": 3})
        self.assertEqual(copy.deepcopy(norm).parameters, expected)
        # Of a class's own constructor, not of the one it calls; `**options` by their names.
        self.assertEqual(_Owner([1], width=3).parameters, {"part": [1], "width": 3})
        self.assertIn("part", inspect.signature(_Owner).parameters)
        distribution = nvp.FlowDistribution(norm, 2)
        self.assertEqual(
            {name for name, value in distribution.parameters.items() if value is not None},
            {"flow", "event_shape", "dtype", "validate_args"},
        )
        self.assertIs(distribution.copy(name="other").flow, norm)

    def test_attributes_are_owned(self):
        dense, other = _built_dense("one"), _built_dense("other")
        free, folder = tf.Variable(1.0), self.enter_context(tempfile.TemporaryDirectory())
        with_dense = tf.Module()
        with_dense.parts = [dense, free]
        mixed = [_Owner(dense), other, tfb.Scale(free)]  # Beside Keras parts, bijectors are not tracked.
        parts = ((dense, 2), ([dense, other], 4), ((dense, free), 3), (with_dense, 3), (dense.kernel, 1), (mixed, 5))
        parts += (({"one": dense, "others": [other, free]}, 5),)
        for part, count in parts:
            owner = _Owner(part)
            self.assertLen({id(v.value) for v in variables_of(learned_layers(owner))}, count)
            self.assertLen(variables_of(learned_layers(owner)), count)
            self.assertIs(owner.part, part)
            self.assertLen(owner.trainable_variables, count)
            saved = tf.train.Checkpoint(owner=owner).save(os.path.join(folder, "checkpoint"))
            names = [name for name, _ in tf.train.list_variables(saved) if name.startswith("owner/")]
            self.assertLen(names, count)
        owner.part = other
        self.assertEqual([id(v) for v in owner.variables], [id(v.value) for v in other.variables])
        owner.part = None
        self.assertEmpty(owner.variables)

        class Grows(_Owner):
            def __init__(self, part):
                super().__init__([])
                self.part.append(part)

        owner = Grows(dense)
        self.assertLen(owner.trainable_variables, 2)
        saved = tf.train.Checkpoint(owner=owner).save(os.path.join(folder, "checkpoint"))
        self.assertLen([name for name, _ in tf.train.list_variables(saved) if name.startswith("owner/")], 2)
        self.assertEqual(copy.deepcopy(owner).part[0].get_config(), dense.get_config())
        for unbuilt in (keras.layers.Dense(1, name="unbuilt"), [keras.layers.Dense(1, name="unbuilt")]):
            with self.assertRaisesRegex(ValueError, "expected a built layer, .* got the unbuilt 'unbuilt'"):
                _Owner(unbuilt)

    def test_leaves(self):
        norm, squeeze, scale = BatchNorm(8, name="norm"), Squeeze(), tfb.Scale(2.0)
        inner = Chain([norm, tfb.Invert(scale)], name="inner")
        split = Split(inner)
        flow = Chain([squeeze, tfb.Invert(tfb.Invert(split)), tfb.Invert(Chain([scale, squeeze], name="back"))])
        rows = [
            (leaf.describe(), "/".join(part.name for part in leaf.path), leaf.shape.as_list())
            for leaf in flow.leaves((4, 4, 4))
        ]
        self.assertEqual(
            rows,
            [
                ("Squeeze channel_major", "chain", [2, 2, 16]),
                ("Split: the first half continues", "chain", [2, 2, 16]),
                ("BatchNorm", "chain/split/inner", [2, 2, 8]),
                ("Inverse of scale", "chain/split/inner", [2, 2, 8]),
                ("Inverse of Squeeze channel_major", "chain/back", [4, 4, 4]),
                ("Inverse of scale", "chain/back", [4, 4, 4]),
            ],
        )
        self.assertEqual([leaf.bijector for leaf in flow.leaves()][:4], [squeeze, split, norm, scale])
        self.assertEqual([leaf.shape for leaf in norm.leaves()], [None])

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


class _Owner(Bijector):
    """The identity, with an attribute."""

    def __init__(self, part, **options):
        super().__init__(event_ndims=1, name="owner")
        self.part = part

    def _forward_and_log_det(self, x, context, training):
        return x, tf.zeros(tf.shape(x)[:1], x.dtype)

    _inverse_and_log_det = _forward_and_log_det


def _built_dense(name):
    dense = keras.layers.Dense(1, name=name)
    dense.build((None, 1))
    return dense


def _built(mlp):
    mlp.build([None, 1])
    return mlp


class EmptyBatchTest(absltest.TestCase):
    def test_images(self):
        flow = nvp.real_nvp(event_shape=(4, 4, 1), scales=1, blocks=1, width=2)
        self.assertEqual(flow.log_prob(flow.sample(0, seed=1)).shape, [0])
        self.assertEqual(flow.log_prob(flow.sample([2, 0], seed=1)).shape, [2, 0])


class LogDetTest(absltest.TestCase):
    def test_is_a_number_for_each_event(self):
        class Doubling(Bijector):
            def __init__(self, log_det):
                super().__init__(event_ndims=1, name="doubling")
                self._log_det = log_det

            def _forward_and_log_det(self, x, context, training):
                return 2 * x, self._log_det(x)

            def _inverse_and_log_det(self, z, context, training):
                return z / 2, -self._log_det(z)

        one = Doubling(lambda x: tf.constant(1.4))
        for bijector in (one, Doubling(lambda x: tf.fill(tf.shape(x), 0.7))):
            with self.assertRaisesRegex(ValueError, r"a log-det for each event, of shape \[batch\], got shape"):
                bijector.forward_and_log_det(tf.ones([3, 2]))
        with self.assertRaisesRegex(ValueError, "chain: expected layers with a log-det for each event, got one number"):
            Chain([one]).inverse_and_log_det(tf.ones([3, 2]))


if __name__ == "__main__":
    absltest.main()
