"""Bijectors, conditioners, transformers and bases of a user's own."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp

tfb, tfd = tfp.bijectors, tfp.distributions
Chain = nvp.bijectors.Chain


def _sequential(mask, channels, outputs):
    network = keras.Sequential([keras.layers.Dense(outputs)])
    network.build((None, mask.kept_size(channels)))
    return network


class _WithContext(keras.layers.Layer):
    """`context + bias` in each output."""

    def __init__(self, outputs):
        super().__init__(name="with_context")
        self.outputs = outputs
        self.build(None)

    def build(self, input_shape):
        self.bias = self.add_weight(name="bias", shape=())

    def call(self, x, context=None):
        return tf.tile(context, [1, self.outputs]) + self.bias


class _WithoutOutputs(nvp.transformers.Transformer):
    def forward(self, x, raw):
        return x, tf.zeros_like(x)

    inverse = forward


class ConditionerTest(absltest.TestCase):
    def test_a_keras_model_reads_no_context(self):
        # Keras drops the keyword without a word.
        distribution = nvp.coupling_flow(event_shape=2, couplings=2, conditioner=_sequential)
        self.assertFalse(distribution.takes_context)
        with self.assertRaisesRegex(ValueError, r"expected no context, got shape \(3, 1\): no layer reads one"):
            distribution.log_prob(tf.zeros([3, 2]), context=tf.zeros([3, 1]))
        message = "expected a conditioner whose call takes a context for context_size=3, got <Sequential"
        with self.assertRaisesRegex(ValueError, message):
            nvp.coupling_flow(event_shape=2, couplings=2, conditioner=_sequential, context_size=3)

    def test_one_with_a_context_reads_it(self):
        x = tf.ones([2, 2])
        for conditioner in (
            lambda mask, channels, outputs: _WithContext(outputs),
            lambda mask, channels, outputs: lambda kept, **given: tf.tile(given["context"], [1, outputs]),
        ):
            distribution = nvp.coupling_flow(event_shape=2, couplings=1, conditioner=conditioner, context_size=1)
            first, second = distribution.log_prob(x, context=[[0.0], [1.0]]).numpy()
            self.assertNotEqual(first, second)

    def test_layers_that_read_none_may_be_beside_one_that_does(self):
        halves = nvp.bijectors.Halves("first")
        dense = keras.layers.Dense(2)  # It takes no other argument.
        dense.build((None, 1))
        first = nvp.bijectors.Coupling(nvp.transformers.Affine(), dense, halves)
        second = nvp.bijectors.Coupling(nvp.transformers.Affine(), _WithContext(2), halves)
        distribution = nvp.FlowDistribution(Chain([first, second]), 2)
        first, second = distribution.log_prob(tf.ones([2, 2]), context=[[0.0], [1.0]]).numpy()
        self.assertNotEqual(first, second)

    def test_contexts_of_another_dtype(self):
        distribution = nvp.real_nvp(event_shape=2, couplings=1, hidden_units=(np.int64(4),), context_size=1)
        expected = distribution.log_prob(tf.ones([2, 2]), context=[[0.0], [1.0]])
        for dtype in (tf.int32, tf.bool):
            found = distribution.log_prob(tf.ones([2, 2]), context=tf.constant([[0], [1]] == np.ones(1), dtype))
            np.testing.assert_array_equal(found, expected)
        with self.assertRaisesRegex(TypeError, "expected a context of float32, as the events, got float64"):
            distribution.log_prob(tf.ones([2, 2]), context=tf.zeros([2, 1], tf.float64))


class BijectorTest(parameterized.TestCase):
    @parameterized.parameters(
        (tfb.Scale([1.0, 2.0]),),
        (tfb.Sigmoid(low=[-9.0, -8.0], high=[9.0, 8.0]),),
        (tfb.Invert(tfb.Shift([1.0, 2.0])),),
    )
    def test_parameters_that_differ_between_entries(self, bijector):
        distribution = nvp.FlowDistribution(Chain([tfb.Invert(bijector)]), 2)
        plain = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 2), bijector)
        x = distribution.sample([2, 4], seed=(0, 1))
        np.testing.assert_allclose(distribution.log_prob(x), plain.log_prob(x), rtol=1e-5)
        np.testing.assert_array_equal(x, plain.sample([2, 4], seed=(0, 1)))

    @parameterized.parameters(([1.0, 2.0, 3.0, 4.0], 2), ([1.0, 2.0], 1), ([[1.0, 2.0], [3.0, 4.0]], 2))
    def test_parameters_of_another_shape(self, scale, size):
        with self.assertRaisesRegex(ValueError, "expected parameters that broadcast|a shape of at least 2 axes"):
            nvp.FlowDistribution(Chain([tfb.Scale(scale)]), size).log_prob(tf.ones([2, size]))

    def test_what_is_no_bijector(self):
        for part in (nvp.planar(event_shape=2, layers=1), keras.layers.Dense(2)):
            with self.assertRaisesRegex(TypeError, "expected bijectors, got <"):
                Chain([part])
        self.assertLen(Chain(iter([tfb.Exp(), tfb.Tanh()])).bijectors, 2)

    def test_one_bijector_standardised(self):
        one = nvp.FlowDistribution(nvp.bijectors.ActNorm(2), 2)
        x = tf.constant([[3.0, 4.0]])
        expected = one.log_prob((x - 1) / 2) - 2 * np.log(2)
        np.testing.assert_allclose(nvp.standardized(one, [1.0, 1.0], [2.0, 2.0]).log_prob(x), expected, rtol=1e-6)


class OtherPartsTest(absltest.TestCase):
    def test_a_transformer_without_outputs(self):
        for make in (
            lambda: nvp.coupling_flow(event_shape=2, transformer=_WithoutOutputs),
            lambda: nvp.bijectors.Coupling(_WithoutOutputs(), lambda x: x, nvp.bijectors.Halves("first")),
            lambda: nvp.bijectors.Elementwise(_WithoutOutputs(), [2]),
        ):
            with self.assertRaisesRegex(TypeError, "expected a transformer with outputs, its number of parameters"):
                make()

    def test_bases(self):
        for base in (tfd.Normal, tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)])):
            with self.assertRaisesRegex(TypeError, "expected a base that is a tfd.Distribution of one tensor, got"):
                nvp.planar(event_shape=1, layers=1, base=base)

    def test_options_that_have_no_effect(self):
        with self.assertRaisesRegex(ValueError, 'expected context_size=None or base="conditional_normal", got 3'):
            nvp.planar(event_shape=2, layers=1, context_size=3)
        with self.assertRaisesRegex(TypeError, "expected couplings, the number of layers, got layers=3"):
            nvp.real_nvp(event_shape=2, layers=3)
        for hidden_units in ("64", (4.5,), 64):
            with self.assertRaisesRegex(TypeError, "expected hidden_units to be a size for each layer, such as"):
                nvp.real_nvp(event_shape=2, hidden_units=hidden_units)
        distribution = nvp.planar(event_shape=2, layers=1)
        for override in (dict(dtype=tf.float64), dict(event_shape=3)):
            with self.assertRaisesRegex(ValueError, "expected the dtype float32 and the event shape .2,. of the flow"):
                distribution.copy(**override)
        self.assertEqual(distribution.copy(name="copied").name, "copied")


if __name__ == "__main__":
    absltest.main()
