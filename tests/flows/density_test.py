"""A density must integrate to one, and be that of the samples: flows on the plane, trained."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp


def _crescents(count, seed):
    """Two crescents, one in the other's arms."""
    random = np.random.default_rng(seed)
    angles = random.uniform(0, np.pi, count)
    side = random.choice([-1.0, 1.0], count)
    points = np.stack([side * (np.cos(angles) - 0.5), side * (np.sin(angles) - 0.25)], -1)
    return (2 * points + random.normal(0, 0.2, points.shape)).astype(np.float32)


class _Density:
    """Tests of what `make` makes; `margin` is how many nats training is to lower the loss."""

    margin = 0.5

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(1)
        cls.distribution = cls.make()
        optimizer = keras.optimizers.Adam(5e-3)
        variables = cls.distribution.trainable_variables
        optimizer.build(variables)

        @tf.function
        def step(batch):
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(cls.distribution.log_prob(batch))
            optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        cls.losses = [step(_crescents(256, seed)).numpy() for seed in range(300)]
        # Midpoints of a grid on [-8, 8]^2.
        ticks = np.linspace(-8, 8, 401)[:-1] + 0.02
        cls.grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape([-1, 2])
        log_prob = tf.function(cls.distribution.log_prob)(cls.grid.astype(np.float32))
        cls.masses = np.exp(log_prob.numpy().astype(np.float64)) * 0.04**2

    def test_training_lowers_the_loss(self):
        self.assertLess(np.mean(self.losses[-20:]), self.losses[0] - self.margin)

    def test_held_out_data_are_as_likely(self):
        held_out = -np.mean(self.distribution.log_prob(_crescents(2000, seed=1000)))
        self.assertAlmostEqual(held_out, np.mean(self.losses[-20:]), delta=0.1)

    def test_integrates_to_one(self):
        self.assertAlmostEqual(np.sum(self.masses), 1, delta=1e-3)

    def test_samples_have_the_densitys_moments(self):
        count = 20000
        x = self.distribution.sample(count, seed=(1, 2)).numpy().astype(np.float64)
        for statistic in (
            lambda x: x[:, 0],
            lambda x: x[:, 1],
            lambda x: x[:, 0] * x[:, 1],
            lambda x: np.cos(3 * x[:, 0]) * np.sin(2 * x[:, 1] + 1),
            lambda x: (x[:, 1] > 0.4).astype(float),  # Where cells meet.
        ):
            on_grid, sampled = statistic(self.grid), statistic(x)
            expected = np.sum(self.masses * on_grid)
            # Five standard errors, and the grid's.
            delta = 5 * np.std(sampled) / np.sqrt(count) + 2e-3
            self.assertAlmostEqual(np.mean(sampled), expected, delta=delta)


class RealNVPTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.real_nvp(event_shape=[2], couplings=6, hidden_units=(32, 32))


class NICETest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.nice(event_shape=[2], hidden_units=(32, 32))


class SplineTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.nsf(event_shape=[2], couplings=4, hidden_units=(32,), bound=5.0)


class MAFTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.maf(event_shape=[2], hidden_units=(32, 32))


class IAFTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.iaf(event_shape=[2], layers=4, hidden_units=(32, 32))


class NAFTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.naf(event_shape=[2], layers=2, hidden_units=(32,), components=4)


class GlowTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.glow(event_shape=[2], steps=6, hidden_units=(32,))


class FlowPPTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.flowpp(event_shape=[2], couplings=4, hidden_units=(32,), components=4)


class PlanarTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.planar(event_shape=[2], layers=8)


class SylvesterTest(_Density, absltest.TestCase):
    @staticmethod
    def make():
        return nvp.sylvester(event_shape=[2], layers=4)


class RadialTest(_Density, absltest.TestCase):
    margin = 0.1  # Few parameters, and little use for crescents.

    @staticmethod
    def make():
        return nvp.radial(event_shape=[2], layers=8)


if __name__ == "__main__":
    absltest.main()
