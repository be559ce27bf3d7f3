import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.bijectors import Planar, Sylvester


def _matrices(sylvester):
    """Q, R and T as the formulas of the paper have them."""
    q = np.eye(sylvester.reflections.shape[1])
    for v in sylvester.reflections.numpy():
        q @= np.eye(len(v)) - 2 * np.outer(v, v) / (v @ v)
    t = np.exp(sylvester.log_t.numpy())
    r = (np.log1p(np.exp(sylvester.raw_r.numpy())) - 1) / t
    upper = [np.triu(above.numpy(), 1) + np.diag(d) for above, d in ((sylvester.r_above, r), (sylvester.t_above, t))]
    return q[:, : len(t)], *upper


class SylvesterTest(parameterized.TestCase):
    def test_is_what_the_paper_says(self):
        sylvester = registry.randomize(Sylvester(4, units=3, dtype="float64"))
        q, r, t = _matrices(sylvester)
        np.testing.assert_allclose(q.T @ q, np.eye(3), atol=1e-12)
        x = np.random.default_rng(0).normal(size=[5, 4])
        a = x @ q @ t.T + sylvester.offset.numpy()
        z, log_det = sylvester.forward_and_log_det(x)
        np.testing.assert_allclose(z, x + np.tanh(a) @ r.T @ q.T, rtol=1e-12)
        small = np.eye(3) + (1 - np.tanh(a) ** 2)[:, :, np.newaxis] * (t @ r)  # Theorem 1.
        np.testing.assert_allclose(log_det, np.linalg.slogdet(small)[1], rtol=1e-9)

    def test_one_unit_along_its_own_direction_is_planar(self):
        sylvester, planar = registry.randomize(Sylvester(3, units=1, dtype="float64")), Planar(3, dtype="float64")
        q, r, t = _matrices(sylvester)
        planar.direction.assign(t[0, 0] * q[:, 0])
        wanted, length = r[0, 0] * t[0, 0], t[0, 0]
        # softplus(w.v) - 1 is w.u.
        planar.push.assign(np.log(np.expm1(1 + wanted)) / length * q[:, 0])
        planar.offset.assign(sylvester.offset.value[0])
        x = np.random.default_rng(0).normal(size=[5, 3])
        for ours, expected in zip(sylvester.forward_and_log_det(x), planar.forward_and_log_det(x)):
            np.testing.assert_allclose(ours, expected, rtol=1e-9)

    @parameterized.parameters("float32", "float64")
    def test_inverts_where_weights_are_wild(self, dtype):
        sylvester = Sylvester(4, dtype=dtype)
        random = np.random.default_rng(0)
        for variable in sylvester.trainable_variables:
            variable.assign(random.normal(0, 2, variable.shape))
        x = 3 * tf.random.stateless_normal([50, 4], (0, 0), dtype=dtype)
        z, log_det = sylvester.forward_and_log_det(x)
        self.assertTrue(np.all(np.isfinite(log_det)))
        # As near in `z` as the rounding of its terms allows.
        back, inverse_log_det = sylvester.inverse_and_log_det(z)
        error = 1e-3 if dtype == "float32" else 1e-10
        np.testing.assert_allclose(sylvester.forward(tf.identity(back)), z, rtol=error, atol=error)
        self.assertTrue(np.all(np.isfinite(inverse_log_det)))

    @parameterized.parameters(0, 4)
    def test_other_numbers_of_units_are_refused(self, units):
        with self.assertRaisesRegex(ValueError, f"expected 1 to 3 units for vectors of size 3, got {units}"):
            Sylvester(3, units=units)

    def test_another_size_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected vectors of size 2, got 3"):
            Sylvester(2).forward(tf.zeros([1, 3]))


if __name__ == "__main__":
    absltest.main()
