"""Densities on the circle and on tori: their mass, and that they join at the ends of a period."""

import copy
import functools
import math
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp.flows.angles import AnglesAndNormals

_SMALL = dict(hidden_units=(8,), circular_bins=4, dtype="float64")


def _circle():
    return nvp.autoregressive_flow(event_shape=1, circular=[0], layers=2, **_SMALL)


def _torus(factory=nvp.coupling_flow, **settings):
    return factory(event_shape=2, circular=(0, 1), **_SMALL, **settings)


def _cylinder(factory=nvp.coupling_flow, **settings):
    """An angle between two real numbers."""
    return factory(event_shape=3, circular=(1,), transformer="spline(bins=3)", **_SMALL, **settings)


_FLOWS = {
    "circle": _circle,
    "coupling torus": lambda: _torus(couplings=3),
    "inverse autoregressive torus": lambda: _torus(nvp.autoregressive_flow, layers=1, inverse=True),
    "coupling cylinder": lambda: _cylinder(couplings=3),
    "autoregressive cylinder": lambda: _cylinder(nvp.autoregressive_flow, layers=2),
}
_NAMED = [(name.replace(" ", "_"), name) for name in _FLOWS]


@functools.cache
def _built(name):
    return registry.randomize(_FLOWS[name]())


def _angles_of(distribution):
    """Where the latent's angles are those of the data: the flows move no entry into another kind's place."""
    return [0] if distribution.event_shape[0] == 1 else [0, 1] if distribution.event_shape[0] == 2 else [1]


class AnglesTest(parameterized.TestCase):
    @parameterized.parameters("circle", "coupling torus")
    def test_integrates_to_one(self, name):
        distribution = _built(name)
        size = distribution.event_shape[0]
        cells = 4_000 if size == 1 else 150
        ticks = (np.arange(cells) + 0.5) * (2 * np.pi / cells) - np.pi
        grid = np.stack(np.meshgrid(*[ticks] * size), -1).reshape([-1, size])
        mass = distribution.prob(grid).numpy() * (2 * np.pi / cells) ** size
        self.assertAlmostEqual(np.sum(mass), 1, delta=1e-5 if size == 1 else 1e-3)
        self.assertGreater(np.max(mass) / np.min(mass), 1.5)  # All of this would hold for the uniform density, too.

    @parameterized.named_parameters(*_NAMED)
    def test_joins_at_the_ends(self, name):
        distribution = _built(name)
        sample = distribution.sample(20, seed=1).numpy()
        for entry in _angles_of(distribution):
            x, ends = sample.copy(), []
            for end in (-np.pi + 1e-9, np.pi - 1e-9):
                x[:, entry] = end
                ends.append(distribution.log_prob(x).numpy())
            np.testing.assert_allclose(ends[0], ends[1], atol=1e-7)
            if name != "circle":
                self.assertGreater(np.ptp(ends[0]), 1e-3)

    @parameterized.named_parameters(*_NAMED)
    def test_has_the_period(self, name):
        distribution = _built(name)
        x = tf.convert_to_tensor(distribution.sample(20, seed=1))
        turns = np.zeros(distribution.event_shape[0])
        turns[_angles_of(distribution)] = 2 * np.pi
        np.testing.assert_allclose(distribution.log_prob(x + 3 * turns), distribution.log_prob(x), atol=1e-9)
        np.testing.assert_allclose(distribution.log_prob(x - turns), distribution.log_prob(x), atol=1e-9)

    def test_the_maps_slope_joins_at_the_ends(self):
        # That of the density is continuous between knots alone; one lies at the end.
        spline, raw = nvp.transformers.CircularSpline(4), np.random.default_rng(0).normal(size=[1, 13, 1])
        at_ends = [spline.forward(tf.constant([[x]], tf.float64), tf.constant(raw)) for x in (-np.pi, np.pi)]
        np.testing.assert_allclose(at_ends[0][1], at_ends[1][1], atol=1e-12)
        np.testing.assert_allclose(np.cos(at_ends[0][0]), np.cos(at_ends[1][0]), atol=1e-12)
        np.testing.assert_allclose(np.sin(at_ends[0][0]), np.sin(at_ends[1][0]), atol=1e-12)
        self.assertGreater(abs(at_ends[0][1]), 1e-2)

    @parameterized.named_parameters(*_NAMED)
    def test_samples_are_angles_with_that_density(self, name):
        distribution = _built(name)
        x, log_prob = distribution.experimental_sample_and_log_prob(200, seed=1)
        angles = x.numpy()[:, _angles_of(distribution)]
        self.assertLessEqual(np.max(np.abs(angles)), np.pi)
        np.testing.assert_allclose(distribution.log_prob(tf.identity(x)), log_prob, atol=1e-7)
        # E 1 / (p(x) V) is 1 over the volume V of a torus.
        if len(_angles_of(distribution)) == distribution.event_shape[0]:
            ratios = np.exp(-log_prob) / (2 * np.pi) ** angles.shape[1]
            self.assertAlmostEqual(np.mean(ratios), 1, delta=4 * np.std(ratios) / np.sqrt(len(ratios)))

    def test_learns_a_density_across_the_ends(self):
        # Von Mises around pi, the angles' sum and difference: a density that no flow of the line joins.
        keras.utils.set_random_seed(0)
        target = tfp.distributions.VonMises(math.pi, [4.0, 1.0])
        first, second = tf.unstack(target.sample(2_000, seed=1), axis=-1)
        x = tf.stack([first, first + second], -1)
        distribution = nvp.coupling_flow(event_shape=2, circular=(0, 1), couplings=2, hidden_units=(16,))
        model = nvp.FlowModel(distribution)
        model.compile(keras.optimizers.Adam(0.01))
        model.fit(x, batch_size=200, epochs=6, verbose=0)
        exact = tf.reduce_mean(tf.reduce_sum(target.log_prob(tf.stack([first, second], -1)), -1))
        self.assertAlmostEqual(float(tf.reduce_mean(distribution.log_prob(x))), float(exact), delta=0.05)

    def test_is_copied_and_served(self):
        distribution = registry.randomize(nvp.coupling_flow(event_shape=3, circular=(0, 2), hidden_units=(4,)))
        x = distribution.sample(5, seed=1)
        np.testing.assert_array_equal(copy.deepcopy(distribution).log_prob(x), distribution.log_prob(x))
        loaded = nvp.load(nvp.publish(distribution, self.enterContext(tempfile.TemporaryDirectory())))
        np.testing.assert_allclose(loaded.log_prob(x), distribution.log_prob(x), rtol=1e-4, atol=1e-4)
        self.assertEqual(loaded.sample(3, seed=1).shape, [3, 3])

    def test_the_base(self):
        base = AnglesAndNormals([True, False, True], "float64")
        z = base.sample(4_000, seed=1).numpy()
        self.assertLessEqual(np.max(np.abs(z[:, [0, 2]])), np.pi)
        np.testing.assert_allclose(np.std(z, 0), [np.pi / 3**0.5, 1, np.pi / 3**0.5], rtol=0.06)
        expected = -2 * np.log(2 * np.pi) + tfp.distributions.Normal(np.float64(0), 1).log_prob(z[:, 1])
        np.testing.assert_allclose(base.log_prob(z), expected, rtol=1e-12)

    @parameterized.parameters(
        (dict(circular=(0, 3)), r"expected different positions of angles from 0 to 2, got \(0, 3\)"),
        (dict(circular=(1, 1)), r"expected different positions of angles from 0 to 2, got \(1, 1\)"),
        (dict(circular=(-1,)), r"expected different positions of angles from 0 to 2, got \(-1,\)"),
        (dict(circular=(0,), base="student_t"), "expected no named base with circular entries, got 'student_t'"),
        (
            dict(circular=(0,), conditioner="attention"),
            "or a function with circular entries, got 'attention'",
        ),
        (dict(circular=(0,), norm="act"), r'\(mix="alternate", norm=None\), got coupling_0_act_norm'),
        (dict(circular=(0,), mix="linear"), r'\(mix="alternate", norm=None\), got coupling_0_linear'),
        (dict(circular=(0,), circular_bins=1), "expected 2 to 500 bins, got 1"),
        (dict(circular_bins=4), "expected circular entries for circular_bins, got none beside 4 bins"),
        (dict(linear_form="full"), "expected mix=\"linear\" for a linear_form, got 'alternate' beside 'full'"),
    )
    def test_what_is_no_flow_of_angles_is_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            nvp.coupling_flow(event_shape=3, **settings)


if __name__ == "__main__":
    absltest.main()
