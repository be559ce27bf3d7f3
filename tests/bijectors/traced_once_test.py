"""Networks alike are traced once, and each gives its own outputs, gradients and moments."""

import gc

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tfp_realnvp.bijectors import traced_once


class TracedOnceTest(parameterized.TestCase):
    @parameterized.parameters("store", "remat", "invert")
    def test_once_for_a_kind_and_as_in_eager_mode(self, backprop):
        calls = []

        def activation(x):
            calls.append(x)
            return tf.nn.softplus(x)

        # One scale: four couplings on checkerboards, whose networks differ in weights alone.
        options = dict(scales=1, width=4, blocks=1, activation=activation, dtype="float64", backprop=backprop)
        distribution = nvp.real_nvp(event_shape=(4, 4, 1), **options)
        generator = np.random.default_rng(0)
        for variable in distribution.trainable_variables:
            variable.assign(variable + 0.3 * generator.normal(size=variable.shape))
        model = nvp.FlowModel(distribution)
        events = tf.constant(generator.uniform(1, 255, [4, 4, 4, 1]))

        def step():
            with keras.StatelessScope() as scope, tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(events, training=True))
            moments = [scope.get_current_value(v) for v in model.non_trainable_variables]
            return loss, tape.gradient(loss, model.trainable_variables), [m for m in moments if m is not None]

        in_graph = tf.function(step, autograph=False)()
        # Two at the input, two in the block, one at the output; once, where four networks would have 20.
        self.assertLen(calls, 5)
        eager = step()
        self.assertLen(in_graph[2], 4 * 2 * 5)
        for one, other in zip(tf.nest.flatten(in_graph), tf.nest.flatten(eager), strict=True):
            np.testing.assert_allclose(one, other, 1e-9, 1e-9)

    def test_networks_of_another_kind_are_not_mixed_up(self):
        networks = [nvp.conditioners.ResidualNetwork(outputs=2, width=2, blocks=0, **options) for options in (
            dict(activation=lambda x: x), dict(activation=lambda x: 2 * x), dict(normalization="none"),
        )]  # fmt: skip
        x = tf.random.stateless_normal([2, 2, 2, 1], seed=(0, 0))
        for network in networks:
            network.build(x.shape)

        def outputs():
            return [traced_once.call_in_training(network, x, {}) for network in networks]

        for one, other in zip(tf.function(outputs)(), outputs(), strict=True):
            np.testing.assert_allclose(one, other, 1e-5, 1e-5)

    def test_graphs_that_are_gone_leave_nothing(self):
        network = nvp.conditioners.ResidualNetwork(outputs=2, width=2, blocks=0)
        network.build([None, 2, 2, 1])
        gc.collect()
        before = len(traced_once._functions)  # Of other tests in this process.
        for _ in range(3):
            function = tf.function(lambda x: traced_once.call_in_training(network, x, {}))
            self.assertIn(function.get_concrete_function(tf.ones([2, 2, 2, 1])).graph, traced_once._functions)
            del function
            gc.collect()
        self.assertLess(len(traced_once._functions), before + 2)  # TensorFlow may hold the last one.


if __name__ == "__main__":
    absltest.main()
