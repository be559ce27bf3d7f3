"""What the factories of flows over vectors make."""

import re
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry

nvb = nvp.bijectors
_FACTORIES = (nvp.nice, nvp.nsf, nvp.maf, nvp.iaf, nvp.naf, nvp.planar, nvp.radial, nvp.sylvester, nvp.residual)
_FACTORIES += (nvp.gaussianization, nvp.ffjord, nvp.bnaf, nvp.triangular_spline)
_WITHOUT_NETWORKS = (nvp.planar, nvp.radial, nvp.sylvester, nvp.gaussianization, nvp.bnaf, nvp.triangular_spline)


class VectorFlowsTest(parameterized.TestCase):
    @parameterized.parameters(*_FACTORIES)
    def test_other_shapes_are_refused(self, factory):
        for shape in (None, (), 0, (0,), (-3,), (2.5,), "ab", tf.TensorShape(None), tf.TensorShape([None])):
            message = f"expected an event shape of positive integers, such as (6,) or (32, 32, 3), got {shape!r}"
            with self.assertRaisesRegex(ValueError, re.escape(message)):
                factory(event_shape=shape)
        with self.assertRaisesRegex(ValueError, r"expected an event shape \(size,\) of .*, got \(4, 4, 1\)"):
            factory(event_shape=(4, 4, 1))

    @parameterized.parameters(*_FACTORIES)
    def test_one_entry(self, factory):
        if factory in (nvp.nice, nvp.nsf):
            with self.assertRaisesRegex(ValueError, r"\(size,\) of at least 2 entries, got \(1,\)"):
                factory(event_shape=1)
            return
        networks = {} if factory in _WITHOUT_NETWORKS else {"hidden_units": (4,)}
        distribution = registry.randomize(factory(event_shape=1, layers=2, dtype="float64", **networks))
        self.assertEqual(distribution.event_shape, (1,))
        x = np.sinh(np.linspace(-7, 7, 20001))  # Some tails are heavy.
        self.assertAlmostEqual(np.trapezoid(distribution.prob(x[:, np.newaxis]), x), 1, delta=2e-3)

    def test_one_entry_depends_on_its_context(self):
        distribution = registry.randomize(nvp.maf(event_shape=1, layers=1, hidden_units=(4,), context_size=2))
        of_contexts = distribution.log_prob([0.3], context=[[0.0, 1.0], [1.0, 0.0]])
        self.assertGreater(abs(of_contexts[0] - of_contexts[1]), 1e-3)

    @parameterized.parameters(nvp.bnaf, nvp.triangular_spline, nvp.residual, nvp.ffjord, nvp.gaussianization)
    def test_layers_and_base_depend_on_the_context(self, factory):
        settings = {"hidden_units": (4,)} if factory in (nvp.residual, nvp.ffjord) else {}
        settings |= dict(event_shape=2, layers=1, context_size=2)
        for base in ("normal", "conditional_normal"):
            distribution = registry.randomize(factory(base=base, **settings))
            of_contexts = distribution.log_prob([0.3, 0.4], context=[[0.0, 1.0], [1.0, 0.0]])
            self.assertGreater(abs(of_contexts[0] - of_contexts[1]), 1e-3)

    @parameterized.parameters(nvp.nice, nvp.nsf)
    def test_couplings_start_as_the_identity_but_for_the_order(self, factory):
        settings = {} if factory is nvp.nice else {"mix": "alternate"}
        distribution = factory(event_shape=(4,), hidden_units=(8,), **settings)
        x = tf.random.stateless_normal([5, 4], (0, 0))
        np.testing.assert_allclose(distribution.flow.forward(x), x.numpy()[:, [1, 3, 0, 2]], atol=1e-5)

    def test_a_spline_flow_mixes_with_linear_maps(self):
        distribution = nvp.nsf(event_shape=(4,), couplings=3, hidden_units=(8,))
        kinds = [type(layer) for layer in distribution.flow.bijectors]
        self.assertEqual(kinds, [nvb.ActNorm, *[nvb.InvertibleLinear, nvb.Coupling] * 3])
        # Each map is another rotation.
        x = tf.eye(4)
        first, second = (distribution.flow.bijectors[i].forward(x) for i in (1, 3))
        self.assertGreater(np.max(np.abs(first - second)), 0.1)

    @parameterized.parameters((nvp.maf, 1, 5), (nvp.iaf, 5, 1))
    def test_which_way_is_one_evaluation(self, factory, of_log_prob, of_sample):
        distribution = factory(event_shape=(5,), layers=2, hidden_units=(6,))
        for function, expected in (
            (lambda: distribution.log_prob(tf.ones([2, 5])), of_log_prob),
            (lambda: distribution.sample(2, seed=1), of_sample),
        ):
            with registry.counted_conditioners(distribution) as counts:
                function()
                self.assertEqual(counts, [expected] * 2)

    def test_the_order_turns_around_between_autoregressive_layers(self):
        kinds = [type(layer).__name__ for layer in nvp.maf(event_shape=(3,), layers=2, norm="batch").flow.bijectors]
        self.assertEqual(kinds, ["Autoregressive", "BatchNorm", "Permute", "Autoregressive", "BatchNorm"])

    @parameterized.parameters((nvp.planar, nvb.Planar), (nvp.radial, nvb.Radial), (nvp.sylvester, nvb.Sylvester))
    def test_sampling_turns_every_layer_around(self, factory, kind):
        density, sampling = (factory(event_shape=(3,), layers=2, sampling=s) for s in (False, True))
        x = tf.random.stateless_normal([5, 3], (0, 0))
        layers = registry.parts(sampling, kind)
        z = x
        for layer in reversed(layers):
            z = layer.forward(z)
        np.testing.assert_allclose(sampling.flow.inverse(x), z, rtol=1e-5, atol=1e-5)
        z = x
        for layer in registry.parts(density, kind):
            z = layer.forward(z)
        np.testing.assert_allclose(density.flow.forward(x), z, rtol=1e-5, atol=1e-5)

    def test_standardized_is_the_flow_in_other_units(self):
        flow = registry.randomize(nvp.nice(event_shape=(2,), couplings=2, hidden_units=(4,)))
        mean, std = np.array([1000.0, -3.0]), np.array([20.0, 0.5])
        distribution = nvp.standardized(flow, mean, std)
        z = tf.random.stateless_normal([5, 2], (0, 0))
        expected = flow.log_prob(z) - np.sum(np.log(std))
        np.testing.assert_allclose(distribution.log_prob(tf.cast(z * std + mean, tf.float32)), expected, rtol=1e-3)
        # Its layers are the very ones.
        self.assertLen(distribution.trainable_variables, len(flow.trainable_variables))
        np.testing.assert_allclose(
            distribution.sample(3, seed=(1, 2)), flow.sample(3, seed=(1, 2)) * std + mean, rtol=1e-4
        )

    @parameterized.named_parameters((factory.__name__, factory) for factory in _FACTORIES)
    def test_is_served(self, factory):
        small = {"couplings": 2} if factory in (nvp.nice, nvp.nsf) else {"layers": 2}
        small |= {} if factory in _WITHOUT_NETWORKS else {"hidden_units": (4,)}
        distribution = registry.randomize(factory(event_shape=(3,), **small))
        path = nvp.publish(distribution, f"{self.enterContext(tempfile.TemporaryDirectory())}/flow")
        x = distribution.sample(4, seed=1)
        np.testing.assert_allclose(nvp.load(path).log_prob(x), distribution.log_prob(x), rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    absltest.main()
