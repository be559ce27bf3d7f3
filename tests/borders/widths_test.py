"""Events and contexts of other sizes, where the graph that was traced does not know the size."""

import re

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp

_NICE = nvp.nice(event_shape=3, couplings=2, hidden_units=(4,))
_MAF = nvp.maf(event_shape=3, layers=2, hidden_units=(4,))
_CONDITIONAL = nvp.real_nvp(event_shape=3, couplings=2, hidden_units=(4,), context_size=2)
_IMAGES = nvp.real_nvp(event_shape=(4, 4, 1), scales=1, width=2, blocks=0)
_UNKNOWN = [tf.TensorSpec([None, None])]


def _expected(given, *sizes):
    sizes = ",".join("?" if size is None else str(size) for size in sizes)
    return re.escape(f"[{','.join(map(str, given))}] is not compatible with expected shape [{sizes}]")


class WidthsTest(parameterized.TestCase):
    @parameterized.parameters(2, 4)
    def test_vectors_in_a_graph_that_knows_no_size(self, width):
        for distribution in (_NICE, _MAF):
            log_prob = tf.function(distribution.log_prob, input_signature=_UNKNOWN)
            x = tf.ones([2, 3])
            np.testing.assert_allclose(log_prob(x), distribution.log_prob(x), rtol=1e-6)
            with self.assertRaisesRegex(tf.errors.InvalidArgumentError, _expected((2, width), None, 3)):
                log_prob(tf.ones([2, width]))

    @parameterized.parameters([(2, 8, 8, 1)], [(2, 4, 2, 1)], [(2, 4, 4, 3)])
    def test_images_in_a_graph_that_knows_no_size(self, shape):
        log_prob = tf.function(_IMAGES.log_prob, input_signature=[tf.TensorSpec([None] * 4)])
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, _expected(shape, None, 4, 4, 1)):
            log_prob(tf.ones(shape))

    def test_a_known_size_costs_nothing(self):
        log_prob = tf.function(_NICE.log_prob, input_signature=[tf.TensorSpec([None, 3])])
        ops = {op.type for op in log_prob.get_concrete_function().graph.get_operations()}
        self.assertEmpty({op for op in ops if "Ensure" in op or "Assert" in op})

    def test_contexts(self):
        x = tf.ones([2, 3])
        specs = [tf.TensorSpec([None, 3]), tf.TensorSpec([None, None])]
        log_prob = tf.function(lambda x, c: _CONDITIONAL.log_prob(x, context=c), input_signature=specs)
        expected = _CONDITIONAL.log_prob(x, context=tf.ones([2, 2]))
        np.testing.assert_allclose(log_prob(x, tf.ones([2, 2])), expected, rtol=1e-6)
        for width in (1, 3):
            with self.assertRaisesRegex(tf.errors.InvalidArgumentError, _expected((2, width), None, 2)):
                log_prob(x, tf.ones([2, width]))
        without = tf.function(lambda x, c: _NICE.log_prob(x, context=c), input_signature=specs)
        with self.assertRaisesRegex(ValueError, r"expected no context, got shape \(None, None\)"):
            without(x, x)

    @parameterized.parameters(2, 4)
    def test_a_bijector(self, width):
        # In a graph, a permutation would drop the last entries, or read past them.
        for function in (_NICE.flow.forward, _NICE.flow.inverse):
            with self.assertRaises((ValueError, tf.errors.InvalidArgumentError)):
                function(tf.ones([2, width]))
            with self.assertRaisesRegex(ValueError, "expected a last axis of known size, got shape"):
                tf.function(function, input_signature=_UNKNOWN)(tf.ones([2, width]))
        larger = _IMAGES.flow.inverse(tf.zeros([1, 8, 8, 1]))  # Extrapolation, which a graph allows, too.
        decode = tf.function(_IMAGES.flow.inverse, input_signature=[tf.TensorSpec([None, None, None, 1])])
        np.testing.assert_allclose(decode(tf.zeros([1, 8, 8, 1])), larger, rtol=1e-6)

    def test_data_sets_of_unknown_size(self):
        model = nvp.FlowModel(_NICE)
        model.compile(keras.optimizers.SGD(0.0))
        for width in (3, 4):
            batches = np.ones([2, 1, width], np.float32)
            data = tf.data.Dataset.from_generator(batches.__iter__, output_signature=_UNKNOWN[0])
            if width == 3:
                self.assertTrue(np.isfinite(model.fit(data, verbose=0).history["loss"][0]))
                self.assertEqual(model.predict(data, verbose=0).shape, (2,))
                continue
            for function in (model.fit, model.evaluate, model.predict):
                with self.assertRaisesRegex(tf.errors.InvalidArgumentError, r"\[1,4\] is not compatible with expected"):
                    function(data, verbose=0)


if __name__ == "__main__":
    absltest.main()
