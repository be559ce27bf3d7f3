"""Muon: what it does to kernels, and that the rest is Adam's."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tfp_realnvp import training
from tfp_realnvp.training.muon import orthogonalized


def _kernel(shape=(3, 3, 4, 8), name="kernel"):
    return keras.Variable(np.random.default_rng(0).normal(size=shape), dtype="float64", name=name)


class OrthogonalizedTest(parameterized.TestCase):
    @parameterized.parameters([(40, 8)], [(8, 40)], [(8, 8)])
    def test_keeps_the_singular_vectors_and_evens_the_values(self, shape):
        matrix = np.random.default_rng(1).normal(size=shape)
        u, s, vh = np.linalg.svd(matrix, full_matrices=False)
        in_its_basis = u.T @ orthogonalized(tf.constant(matrix)).numpy() @ vh.T
        values = np.diag(in_its_basis)
        np.testing.assert_allclose(in_its_basis, np.diag(values), atol=1e-10)
        self.assertTrue(np.all((values > 0.6) & (values < 1.3)), values)
        self.assertGreater(s.max() / s.min(), 1.5)

    def test_is_the_iteration_of_the_authors(self):
        matrix = np.random.default_rng(2).normal(size=(12, 6))
        x = matrix / np.linalg.norm(matrix)
        for _ in range(5):
            gram = x.T @ x
            x = 3.4445 * x + x @ (-4.7750 * gram + 2.0315 * gram @ gram)
        np.testing.assert_allclose(orthogonalized(tf.constant(matrix)), x, rtol=1e-8, atol=1e-10)

    def test_nothing_gives_nothing(self):
        np.testing.assert_array_equal(orthogonalized(tf.zeros([4, 3])), np.zeros([4, 3]))


class MuonTest(parameterized.TestCase):
    def test_an_update_is_the_orthogonal_part_of_the_summed_gradients(self):
        variable, optimizer = _kernel(), training.Muon(0.1, momentum=0.9, least=4)
        optimizer.build([variable])
        summed, expected = 0.0, variable.numpy()
        for step in range(3):
            gradient = np.random.default_rng([3, step]).normal(size=variable.shape)
            optimizer.apply([tf.constant(gradient)], [variable])
            summed = 0.9 * summed + gradient
            update = orthogonalized(tf.constant((0.9 * summed + gradient).reshape(36, 8))).numpy()
            expected = expected - 0.1 * 0.2 * 6 * update.reshape(variable.shape)
            np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6, atol=1e-8)
        # As large as Adam's first steps, of one rate for each entry, times .2.
        self.assertAlmostEqual(np.sqrt(np.mean(update**2)) * 6, 1, delta=0.3)

    @parameterized.parameters(
        dict(shape=(3, 3, 4, 8), name="magnitude"), dict(shape=(8,), name="kernel"), dict(shape=(8, 3), name="kernel")
    )
    def test_what_is_no_large_kernel_is_adams(self, shape, name):
        gradient, after = tf.ones(shape, tf.float64), []
        for optimizer in (training.Muon(0.1, least=4), training.Adam(0.1)):
            variable = _kernel(shape, name)
            optimizer.build([variable])
            optimizer.apply([gradient], [variable])
            after.append(variable.numpy())
        np.testing.assert_array_equal(*after)

    def test_a_step_that_is_skipped_changes_nothing(self):
        variable, optimizer = _kernel(), training.Muon(0.1, least=4, weight_decay=0.1)
        optimizer.build([variable])
        optimizer.apply([tf.ones(variable.shape, tf.float64)], [variable])
        before = [value.numpy() for value in (variable, *optimizer.variables[2:])]
        optimizer.apply([tf.zeros(variable.shape, tf.float64)], [variable], skip=tf.constant(True))
        for value, old in zip((variable, *optimizer.variables[2:]), before, strict=True):
            np.testing.assert_array_equal(value, old)

    def test_it_trains_the_networks_of_a_flow(self):
        distribution = nvp.real_nvp(event_shape=(6,), couplings=2, hidden_units=(32, 32), seed=1)
        x = np.random.default_rng(4).normal(size=[256, 6]).astype(np.float32)
        x[:, 1:] += x[:, :-1] ** 2
        model = nvp.FlowModel(distribution)
        model.compile(training.optimizer("muon(momentum=0.9)", 1e-2), jit_compile=False)
        history = model.fit(x, batch_size=64, epochs=10, verbose=0).history["loss"]
        moved = [v.path for v in model.trainable_variables if model.optimizer._is_kernel(v.value)]
        self.assertLen(moved, 2)  # One of 32 x 32 in each coupling.
        self.assertLess(history[-1], history[0] - 1)

    def test_its_settings_are_kept(self):
        config = keras.optimizers.serialize(training.Muon(0.1, momentum=0.8, size=0.5, least=7))
        again = keras.optimizers.deserialize(config)
        self.assertIsInstance(again, training.Muon)
        self.assertEqual((again.momentum, again.size, again.least), (0.8, 0.5, 7))


if __name__ == "__main__":
    absltest.main()
