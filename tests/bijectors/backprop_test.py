"""The gradients of a chain that holds no activations are those of one that stores them."""

import gc
import subprocess
import sys
import weakref

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry

nvb, tfb = nvp.bijectors, tfp.bijectors

_MODES = ("remat", "invert")
_FLOWS = ("real_nvp_two_scales", "real_nvp_one_scale", "real_nvp_layer_norm", "real_nvp_vector")
_WRAPS = {
    "eager": lambda function: function,
    "graph": tf.function,
    "xla": lambda function: tf.function(function, jit_compile=True),
}


class _Training(keras.Model):
    """Calls a function with Keras's `training` set, as `fit` does."""

    def __init__(self, function):
        super().__init__(dtype="float64", autocast=False, name="training")
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def _gradients(bijector, x, context=None, training=False, wrap=lambda function: function):
    """Gradients of a loss that depends on all of the output; then what the variables are."""

    def gradients(x):
        sources = [x, *([] if context is None else [context])]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            model = _Training(lambda x: bijector.forward_and_log_det(x, context))
            z, log_det = model(x, training=training)
            weights = tf.random.stateless_normal(z.shape, (3, 0), dtype=z.dtype)
            loss = tf.reduce_sum(weights * tf.tanh(z)) + tf.reduce_sum(tf.sin(log_det))
        return tape.gradient(loss, [*sources, *bijector.trainable_variables])

    return wrap(gradients)(x), [variable.numpy() for variable in bijector.variables]


class BackpropTest(parameterized.TestCase):
    def assert_same_as_store(self, make, mode, *args, tolerance=1e-9, **kwargs):
        """`make` gives the layers, each time new and the same."""
        stored, held = (
            _gradients(nvb.Chain(make(), backprop=backprop), *args, **kwargs) for backprop in ("store", mode)
        )
        (expected, variables), (gradients, variables_after) = stored, held
        self.assertEqual([g is None for g in gradients], [g is None for g in expected])
        pairs = [(a, b) for a, b in zip(gradients, expected, strict=True) if b is not None]
        norm = tf.linalg.global_norm([b for _, b in pairs])
        self.assertGreater(norm, 1e-3)
        self.assertLess(tf.linalg.global_norm([a - b for a, b in pairs]) / norm, tolerance)
        for a, b in zip(variables_after, variables, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

    def assert_entry_is_same_as_store(self, name, mode, training, wrap):
        entry = registry.BY_NAME[name]
        x, context = entry.events([3], "float64"), entry.context([3], "float64")
        make = lambda: [entry.bijector("float64")]  # noqa: E731
        self.assert_same_as_store(make, mode, x, context, training, _WRAPS[wrap])

    @parameterized.product(
        name=[entry.name for entry in registry.BIJECTORS], mode=_MODES, training=(True, False)
    )
    def test_every_bijector(self, name, mode, training):
        self.assert_entry_is_same_as_store(name, mode, training, "eager")

    @parameterized.product(name=_FLOWS, mode=_MODES, training=(True, False))
    def test_flows_in_a_graph(self, name, mode, training):
        self.assert_entry_is_same_as_store(name, mode, training, "graph")

    @parameterized.product(name=("chain_mixed", "split"), mode=_MODES)
    def test_xla(self, name, mode):
        self.assert_entry_is_same_as_store(name, mode, True, "xla")


if __name__ == "__main__":
    absltest.main()
