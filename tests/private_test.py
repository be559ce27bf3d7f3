"""What the package uses beyond public interfaces still does what it is used for, and nothing else is used.

Where one of these fails after an update of TensorFlow, TFP or Keras, `tfp_realnvp/private.py` is the place to mend.
"""

import pathlib
import re

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import launch
import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import private

tfb, tfd = tfp.bijectors, tfp.distributions

_FOLDERS = [pathlib.Path(package.__file__).parent for package in (nvp, launch)]
# Of another object than oneself: `layer._name`, `tensorflow.python`.
_FOREIGN = re.compile(r"(?<!\bself)(?<!\bcls)(?<!\bsuper\(\))(?<=[\w)\]])\._[a-z]\w*|\.(?:python|src|__bases__)\b")
# Of classes here, which others here may call.
_OWN = re.compile(
    r"\._(?:forward|inverse)_and_\w+|\._(?:forward_with_inputs|forward_event_shape|backward|raw|transform)\b"
)


class PrivateTest(parameterized.TestCase):
    def test_private_names_are_in_one_file(self):
        files = [file for folder in _FOLDERS for file in folder.rglob("*.py") if file.name != "private.py"]
        self.assertNotEmpty(files)
        for file in files:
            code = re.sub(r"#.*", "", file.read_text())
            found = [name for name in _FOREIGN.findall(code) if not _OWN.fullmatch(name)]
            self.assertEmpty(found, f"{file}: move it to tfp_realnvp/private.py, with a test here")

    def test_a_called_function_is_not_copied(self):
        message = "the attribute `_noinline` changed its name: without it every graph gets a copy for each call"
        called = private.called_function(lambda x: 2 * x)
        graph = tf.function(lambda x: called(called(x))).get_concrete_function(tf.ones([])).graph.as_graph_def()
        (function,) = graph.library.function
        self.assertTrue(function.attr["_noinline"].b, message)

    def test_invert_and_transformed_distribution(self):
        message = "`private.Invert` and `_TransformedDistribution` must be the classes that TFP makes instances of"
        norm = nvp.bijectors.BatchNorm(2)
        self.assertIs(type(tfb.Invert(norm)), private.Invert, message)
        base = tfd.Sample(tfd.Normal(0.0, 1.0), [2])
        self.assertIs(
            type(tfd.TransformedDistribution(base, norm)), private.TransformedDistribution.__bases__[0], message
        )

    def test_samples_come_from_the_hooks(self):
        class Fixed(private.TransformedDistribution):
            def samples(self, sample_shape, seed):
                return tf.ones([3, 2])

            def samples_and_log_probs(self, sample_shape, seed):
                return tf.ones([3, 2]), tf.zeros([3])

        fixed = Fixed(tfd.Sample(tfd.Normal(0.0, 1.0), [2]), nvp.bijectors.BatchNorm(2))
        message = "TFP renamed `_call_sample_n` or `_call_sample_and_log_prob`: `sample` must call `samples`"
        np.testing.assert_array_equal(fixed.sample(3), np.ones([3, 2]), message)
        np.testing.assert_array_equal(fixed.experimental_sample_and_log_prob(3)[1], np.zeros(3), message)

    def test_the_cache_takes_value_and_log_det_at_once(self):
        entry = registry.BY_NAME["coupling_alternating_0"]
        coupling, x = entry.build(), entry.events([2])
        with registry.counted_conditioners(coupling) as counts:
            z = coupling.forward(x)
            coupling.forward_log_det_jacobian(x, event_ndims=1)
            coupling.inverse(z)
        self.assertEqual(
            counts, [1], "TFP's cache no longer fills in the log-det: see `private.greedy_cache`, tfb.FFJORD"
        )

    def test_what_a_module_and_a_layer_hold(self):
        dense = keras.layers.Dense(1)
        module, model = tf.Module(), keras.Sequential([keras.layers.Activation("relu"), dense])
        module.parts = {"inner": tf.Module()}
        module.parts["inner"].layers = [dense]
        self.assertEqual(private.found_in(module, keras.layers.Layer), (dense,), "tf.Module has no `_flatten` now")
        self.assertEqual(private.layers_of(model)[0], model, "keras.Layer has no `_flatten_layers` now")
        self.assertIn(dense, private.layers_of(model))

    def test_an_attribute_that_is_not_tracked(self):
        module, plain = tf.Module(), tf.Variable(1.0)
        module.tracked = [plain]
        module.value = private.untracked(module, [tf.Variable(2.0)])
        message = "AutoTrackable has no `_no_dependency` now: see TensorFlow's trackable/autotrackable.py"
        self.assertIs(type(module.value), list, message)
        self.assertIsNot(type(module.tracked), list, message)

    def test_recording(self):
        message = "tensorflow.python.eager.record moved: `tf.GradientTape.stop_recording` shows where to"
        x = tf.constant(2.0)
        self.assertFalse(private.is_recording(), message)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            self.assertTrue(private.is_recording(), message)
            with private.stop_recording():
                hidden = x * x
            seen = x * x
        self.assertIsNone(tape.gradient(hidden, x), message)
        np.testing.assert_array_equal(tape.gradient(seen, x), 4.0)

    @parameterized.parameters(False, True)
    def test_a_gradient_of_ones_own(self, in_function):
        def product(x, y):
            return private.with_gradient([x * y], [x, y], lambda upstream: [10 * upstream, None])[0]

        x, y = tf.constant(2.0), tf.constant(3.0)
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            z = (tf.function(product) if in_function else product)(x, y)
        message = "`record_operation` or `_override_gradient_function` moved: see TensorFlow's custom_gradient.py"
        self.assertEqual(float(z), 6, message)
        self.assertEqual(tape.gradient(z, [x, y]), [10, None], message)

    def test_moments_and_reduction_of_adam(self):
        optimizer, variable = keras.optimizers.Adam(), keras.Variable([1.0, 2.0])
        optimizer.build([variable])
        optimizer.apply([tf.constant([1.0, 1.0])])
        self.assertEqual(private.index_of(optimizer, variable.value), 0)
        self.assertTrue(private.has_weight_decay(optimizer, variable.value))
        m, v = private.moments_of(optimizer, variable.value)
        message = "Keras' Adam keeps its moments elsewhere: see its `update_step`"
        np.testing.assert_allclose(m, [0.1, 0.1], rtol=1e-6, err_msg=message)
        np.testing.assert_allclose(v, [0.001, 0.001], rtol=1e-6, err_msg=message)
        method = optimizer._all_reduce_sum_gradients
        with private.gradients_reduced(optimizer):
            self.assertEqual(optimizer._all_reduce_sum_gradients([1]), [1])
        message = "Keras' TFOptimizer sums gradients elsewhere: see its `_backend_update_step`"
        self.assertEqual(optimizer._all_reduce_sum_gradients, method, message)
        self.assertIn("_all_reduce_sum_gradients", type(optimizer)._backend_update_step.__code__.co_names, message)

    def test_fingerprints(self):
        fields = private.FingerprintDef.DESCRIPTOR.fields_by_name
        message = "SavedModel's fingerprint.pb changed: see `_make_fingerprint_repeatable` in serving/export.py"
        self.assertContainsSubset(["uuid", "saved_model_checksum", "checkpoint_hash"], fields, message)


if __name__ == "__main__":
    absltest.main()
