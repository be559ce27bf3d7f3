import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.bijectors import Planar, Radial


class PlanarAndRadialTest(parameterized.TestCase):
    def test_planar_is_what_the_paper_says(self):
        planar = registry.randomize(Planar(3, dtype="float64"))
        w, v, b = planar.direction.numpy(), planar.push.numpy(), planar.offset.numpy()
        u = v + (np.log1p(np.exp(w @ v)) - 1 - w @ v) * w / (w @ w)
        x = np.random.default_rng(0).normal(size=[4, 3])
        z, log_det = planar.forward_and_log_det(x)
        np.testing.assert_allclose(z, x + np.tanh(x @ w + b)[:, None] * u, rtol=1e-12)
        psi = (1 - np.tanh(x @ w + b) ** 2)[:, None] * w
        np.testing.assert_allclose(log_det, np.log(np.abs(1 + psi @ u)), rtol=1e-9)

    def test_radial_is_what_the_paper_says(self):
        radial = registry.randomize(Radial(3, dtype="float64"))
        alpha, beta = (np.log1p(np.exp(v.numpy())) for v in (radial.raw_alpha, radial.raw_beta))
        beta -= alpha
        x = np.random.default_rng(0).normal(size=[4, 3])
        away = x - radial.center.numpy()
        h = 1 / (alpha + np.linalg.norm(away, axis=1))[:, None]
        np.testing.assert_allclose(radial.forward(x), x + beta * h * away, rtol=1e-12)

    @parameterized.parameters(
        # Weights that, taken as they are, would fold space: w.u below -1, beta below -alpha.
        (Planar, {"direction": [2.0, 1.0], "push": [-30.0, -8.0], "offset": 0.3}),
        (Planar, {"direction": [20.0, -10.0], "push": [9.0, 7.0], "offset": -3.0}),
        (Radial, {"center": [0.1, 0.2], "raw_alpha": 3.0, "raw_beta": -20.0}),
        (Radial, {"center": [0.1, 0.2], "raw_alpha": -20.0, "raw_beta": 4.0}),
    )
    def test_is_invertible_whatever_the_weights(self, cls, weights):
        bijector = cls(2, dtype="float64")
        for name, value in weights.items():
            getattr(bijector, name).assign(value)
        x = 3 * tf.random.stateless_normal([200, 2], (0, 0), dtype=tf.float64)
        z, log_det = bijector.forward_and_log_det(x)
        self.assertTrue(np.all(np.isfinite(log_det)))
        # As near as the map, which may crowd much into little, lets it be.
        back, inverse_log_det = bijector.inverse_and_log_det(z)
        np.testing.assert_allclose(bijector.forward(tf.identity(back)), z, rtol=1e-9, atol=1e-9)
        worst = np.exp(-np.min(log_det))
        np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-13 * worst)
        self.assertTrue(np.all(np.isfinite(inverse_log_det)))

    @parameterized.parameters(
        # 1 + w.u far below rounding, at the plane; directions of no length and of a tiny one.
        ([2.0, 1.0], [-15.0, -8.0]),
        ([0.0, 0.0], [0.1, 0.2]),
        ([1e-20, 1e-20], [-30.0, -8.0]),
        ([1e-4, 0.0], [0.1, 0.2]),
    )
    def test_planar_in_float32_at_the_ends_of_its_weights(self, direction, push):
        planar = Planar(2)
        planar.direction.assign(direction)
        planar.push.assign(push)
        x = tf.constant([[0.0, 0.0], [1.5, -1.0]])
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, log_det = planar.forward_and_log_det(x)
        weights = [v.numpy().astype(np.float64) for v in (planar.direction, planar.push)]
        wide = Planar(2, dtype="float64")
        wide.direction.assign(weights[0])
        wide.push.assign(weights[1])
        np.testing.assert_allclose(log_det, wide.forward_and_log_det(tf.cast(x, "float64"))[1], atol=1e-5)
        self.assertTrue(np.all(np.isfinite(planar.inverse(tf.identity(z)))))
        for gradient in tape.gradient(log_det, [x, *planar.trainable_variables]):
            self.assertTrue(np.all(np.isfinite(gradient)))

    @parameterized.parameters((-30.0, 0.0), (0.0, -30.0), (-100.0, 30.0))
    def test_radial_in_float32_at_the_ends_of_its_weights(self, raw_beta, raw_alpha):
        radial, wide = Radial(2), Radial(2, dtype="float64")
        for bijector in (radial, wide):
            bijector.center.assign([0.5, 0.25])
            bijector.raw_beta.assign(raw_beta)
            bijector.raw_alpha.assign(raw_alpha)
        # The centre, beside it, and so far that squares overflow.
        x = tf.constant([[0.5, 0.25], [0.5, 0.375], [1e25, -1e25]])
        for function, expected in (
            (radial.forward_and_log_det, wide.forward_and_log_det),
            (radial.inverse_and_log_det, wide.inverse_and_log_det),
        ):
            with tf.GradientTape() as tape:
                tape.watch(x)
                z, log_det = function(x)
            np.testing.assert_allclose(log_det[1:], expected(tf.cast(x, "float64"))[1][1:], rtol=1e-5, atol=1e-5)
            self.assertTrue(np.all(np.isfinite(z)) and np.isfinite(log_det[0]))
            for gradient in tape.gradient([z, log_det], [x, *radial.trainable_variables]):
                self.assertTrue(np.all(np.isfinite(gradient)))

    def test_at_the_centre(self):
        radial = registry.randomize(Radial(3))
        center = radial.center.value[tf.newaxis]
        with tf.GradientTape() as tape:
            tape.watch(center)
            z, log_det = radial.forward_and_log_det(tf.identity(center))
        np.testing.assert_allclose(z, center, rtol=1e-6)
        self.assertTrue(np.all(np.isfinite(tape.gradient(log_det, center))))
        np.testing.assert_allclose(radial.inverse(tf.identity(z)), center, rtol=1e-6)

    @parameterized.parameters(Planar, Radial)
    def test_another_size_is_refused(self, cls):
        with self.assertRaisesRegex(ValueError, "expected vectors of size 2, got 3"):
            cls(2).forward(tf.zeros([1, 3]))


if __name__ == "__main__":
    absltest.main()
