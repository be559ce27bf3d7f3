"""Networks in half precision are for training: all else is what float32 networks give."""

import os
import tempfile
import threading

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry

_POLICIES = ("mixed_bfloat16", "mixed_float16")
_SMALL = dict(event_shape=(4, 4, 1), width=4, blocks=1)


def _glow(policy):
    """A flow of linear maps, act norms and networks, whose random weights keep it well conditioned."""
    distribution = nvp.glow(**_SMALL, steps=2, scales=1, dtype_policy=policy)
    for i, variable in enumerate(distribution.trainable_variables):
        if "network" in variable.name:
            size = np.sqrt(np.prod(variable.shape[:-1]))
            variable.assign(np.random.default_rng(i).normal(size=variable.shape) / size)
    return distribution


class HalfPrecisionTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.expected = _glow("float32")
        cls.images = cls.expected.sample(4, seed=(1, 2))

    @parameterized.parameters(*_POLICIES)
    def test_samples_and_densities_are_those_of_float32(self, policy):
        distribution = _glow(policy)
        np.testing.assert_array_equal(distribution.sample(4, seed=(1, 2)), self.images)
        latents = tf.function(distribution.flow.forward)(self.images)
        np.testing.assert_allclose(distribution.flow.inverse(tf.identity(latents)), self.images, atol=1e-2)

    @parameterized.parameters(*_POLICIES)
    def test_half_precision_is_there_in_training_and_where_asked_for(self, policy):
        distribution = _glow(policy)
        with nvp.bijectors.half_precision_inference():
            asked_for = distribution.log_prob(self.images)
        log_prob = distribution.log_prob(self.images)
        np.testing.assert_array_equal(log_prob, self.expected.log_prob(self.images))
        self.assertGreater(np.max(np.abs(asked_for - log_prob)), 0)
        np.testing.assert_allclose(asked_for, log_prob, rtol=1e-2)
        coupling = registry.parts(distribution.flow, nvp.bijectors.Coupling)[0]
        dtypes = []
        coupling.conditioner.activation = lambda x: dtypes.append(x.dtype.name) or tf.nn.relu(x)
        for training in (True, False):
            coupling._raw(tf.zeros([2, 2, 2, 4]), None, training)
            self.assertEqual(set(dtypes), {policy.removeprefix("mixed_") if training else "float32"})
            dtypes.clear()

    @parameterized.parameters("bfloat16", "float16")
    def test_weights_in_half_precision_are_refused(self, dtype):
        expected = f"weights in float32 or float64, got the dtype policy {dtype}: mixed_{dtype} computes in half"
        for setting in ("dtype", "dtype_policy"):
            with self.assertRaisesRegex(ValueError, expected):
                nvp.maf(event_shape=2, **{setting: dtype})

    def test_passes_at_once_leave_the_policies_as_they_were(self):
        distribution = _glow("mixed_bfloat16")
        network = registry.parts(distribution.flow, nvp.bijectors.Coupling)[0].conditioner
        results = [None] * 4

        def evaluate(i):
            results[i] = distribution.log_prob(self.images)

        threads = [threading.Thread(target=evaluate, args=[i]) for i in range(len(results))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for log_prob in results:
            np.testing.assert_array_equal(log_prob, self.expected.log_prob(self.images))
        self.assertEqual(network.compute_dtype, "bfloat16")
        self.assertEqual({layer.compute_dtype for layer in network.convs_1}, {"bfloat16"})

    def test_an_export_computes_in_float32(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model")
            nvp.save(_glow("mixed_bfloat16"), path)
            loaded = nvp.load(path)
            np.testing.assert_allclose(loaded.log_prob(self.images), self.expected.log_prob(self.images), rtol=1e-5)
            latents = loaded.flow.forward(self.images)
            np.testing.assert_allclose(loaded.flow.inverse(tf.identity(latents)), self.images, atol=1e-2)


if __name__ == "__main__":
    absltest.main()
