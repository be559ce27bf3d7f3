import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.bijectors import InvertibleLinear


class InvertibleLinearTest(parameterized.TestCase):
    @parameterized.parameters("lu", "full")
    def test_starts_as_a_rotation(self, form):
        linear = InvertibleLinear(6, form=form, dtype="float64")
        x = tf.random.stateless_normal([5, 6], (0, 0), dtype=tf.float64)
        z, log_det = linear.forward_and_log_det(x)
        np.testing.assert_allclose(np.linalg.norm(z, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-12)
        np.testing.assert_allclose(log_det, 0, atol=1e-12)
        self.assertGreater(np.max(np.abs(z - x)), 0.1)
        # The same in both forms, and another with another seed.
        other = InvertibleLinear(6, form="full" if form == "lu" else "lu", dtype="float64")
        np.testing.assert_allclose(other.forward(x), z, rtol=1e-12)
        self.assertGreater(np.max(np.abs(InvertibleLinear(6, form=form, seed=1, dtype="float64").forward(x) - z)), 0.1)

    def test_reflections_start_as_a_rotation(self):
        linear = InvertibleLinear(6, form="householder", dtype="float64")
        matrix = linear.forward(tf.eye(6, dtype=tf.float64)).numpy()
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-14)
        self.assertGreater(np.max(np.abs(matrix - np.eye(6))), 0.1)

    @parameterized.parameters("lu", "full", "householder", "triangular")
    def test_multiplies_each_position_of_an_image(self, form):
        linear = registry.randomize(InvertibleLinear(3, event_ndims=3, form=form, dtype="float64"))
        matrix = linear.forward(tf.eye(3, dtype=tf.float64)[:, tf.newaxis, tf.newaxis]).numpy()[:, 0, 0].T
        x = tf.random.stateless_normal([2, 4, 5, 3], (0, 0), dtype=tf.float64)
        z, log_det = linear.forward_and_log_det(x)
        np.testing.assert_allclose(z, np.einsum("ij,bhwj->bhwi", matrix, x), rtol=1e-9)
        np.testing.assert_allclose(log_det, [4 * 5 * np.linalg.slogdet(matrix)[1]] * 2, rtol=1e-9, atol=1e-13)

    def test_what_is_not_learned_of_the_factors_stays(self):
        linear = registry.randomize(InvertibleLinear(4))
        lower, upper = linear._factors()
        np.testing.assert_array_equal(np.diag(lower), 1)
        np.testing.assert_array_equal(np.triu(lower, 1), 0)
        np.testing.assert_array_equal(np.tril(upper, -1), 0)
        np.testing.assert_array_equal(np.sign(np.diag(upper)), linear._signs)

    @parameterized.parameters("lu", "full", "householder", "triangular")
    def test_may_be_made_where_a_function_is_traced(self, form):
        made = []

        @tf.function(autograph=False)
        def forward(x):
            if not made:
                made.append(InvertibleLinear(4, form=form))
            return made[0].forward(x)

        x = tf.random.stateless_normal([3, 4], (0, 0))
        np.testing.assert_allclose(forward(x), InvertibleLinear(4, form=form).forward(x), rtol=1e-6)

    def test_reflections_are_what_the_paper_says(self):
        linear = registry.randomize(InvertibleLinear(3, form="householder", dtype="float64"))
        expected = np.eye(3)
        for v in linear.reflections.numpy():
            expected @= np.eye(3) - 2 * np.outer(v, v) / (v @ v)
        x = tf.random.stateless_normal([4, 3], (0, 0), dtype=tf.float64)
        z, log_det = linear.forward_and_log_det(x)
        np.testing.assert_allclose(z, x @ expected.T, rtol=1e-12)
        np.testing.assert_array_equal(log_det, 0)
        np.testing.assert_allclose(linear.inverse(tf.identity(z)), x, rtol=1e-12)

    def test_a_triangular_matrix(self):
        linear = InvertibleLinear(4, form="triangular")
        np.testing.assert_array_equal(linear.forward(tf.eye(4)), np.eye(4))
        matrix = registry.randomize(linear).forward(tf.eye(4)).numpy().T
        np.testing.assert_array_equal(np.triu(matrix, 1), 0)
        self.assertTrue(np.all(np.diag(matrix) > 0))
        self.assertTrue(np.all(matrix[np.tril_indices(4, -1)] != 0))

    @parameterized.parameters(0.0, 1e-30, 1e30)
    def test_reflections_of_extreme_vectors(self, length):
        linear = InvertibleLinear(3, form="householder")
        linear.reflections.assign(length * linear.reflections.value)
        with tf.GradientTape() as tape:
            z = linear.forward(tf.eye(3))
        np.testing.assert_allclose(tf.linalg.matmul(z, z, transpose_b=True), np.eye(3), atol=1e-5)
        self.assertTrue(np.all(np.isfinite(tape.gradient(z, linear.reflections.value))))

    def test_unknown_settings_are_refused(self):
        message = 'expected form to be "lu", "full", "householder" or "triangular", got \'qr\''
        with self.assertRaisesRegex(ValueError, message):
            InvertibleLinear(2, form="qr")
        with self.assertRaisesRegex(ValueError, "invertible_linear: expected vectors of size 2, got 3"):
            InvertibleLinear(2).forward(tf.zeros([1, 3]))


if __name__ == "__main__":
    absltest.main()
