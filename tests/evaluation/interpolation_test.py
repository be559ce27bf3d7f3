"""Ways from latent to latent: where they begin, pass and end."""

import numpy as np
from absl.testing import absltest, parameterized

from tfp_realnvp import evaluation

_RANDOM = np.random.default_rng(0)


class TwoTest(parameterized.TestCase):
    @parameterized.parameters(evaluation.linear, evaluation.spherical)
    def test_ends(self, way):
        one, two = _RANDOM.normal(size=[2, 4, 4, 1])
        found = way(one, two, np.array([0, 0.3, 1]))
        self.assertEqual(found.shape, (3, 4, 4, 1))
        np.testing.assert_allclose(found[[0, 2]], [one, two], atol=1e-12)

    def test_linear(self):
        found = evaluation.linear(np.array([0.0, 4.0]), np.array([8.0, 0.0]), np.array([0.25]))
        np.testing.assert_allclose(found, [[2, 3]])

    def test_spherical_keeps_norm_and_pace(self):
        found = evaluation.spherical(np.array([3.0, 0]), np.array([0, 3.0]), np.arange(4) / 3)
        angles = np.arange(4) * np.pi / 6
        np.testing.assert_allclose(found, 3 * np.stack([np.cos(angles), np.sin(angles)], -1), atol=1e-12)

    @parameterized.parameters(1.0, -1.0, 0.0)
    def test_spherical_where_there_is_no_circle(self, factor):
        one = np.array([1.0, 2.0])
        found = evaluation.spherical(one, factor * one, np.array([0.5]))
        np.testing.assert_allclose(found, [one * (1 + factor) / 2], atol=1e-12)

    @parameterized.parameters(evaluation.linear, evaluation.spherical)
    def test_refuses_two_shapes(self, way):
        with self.assertRaisesRegex(ValueError, r"of one shape, got \(2,\) and \(1,\)"):
            way(np.zeros([2]), np.zeros([1]), np.zeros([1]))


class ManifoldTest(absltest.TestCase):
    def test_the_formula(self):
        z = _RANDOM.normal(size=[4, 3, 2, 1])
        phi, phi_prime = np.array([0.3, 2.0, 4.0]), np.array([1.1, 5.0])
        found = evaluation.manifold(z, phi, phi_prime)
        self.assertEqual(found.shape, (3, 2, 3, 2, 1))
        for i, p in enumerate(phi):
            for j, q in enumerate(phi_prime):
                expected = np.cos(p) * (np.cos(q) * z[0] + np.sin(q) * z[1])
                expected += np.sin(p) * (np.cos(q) * z[2] + np.sin(q) * z[3])
                np.testing.assert_allclose(found[i, j], expected, atol=1e-12)

    def test_corners_are_the_latents(self):
        z = _RANDOM.normal(size=[4, 5])
        quarter = np.array([0, np.pi / 2])
        np.testing.assert_allclose(evaluation.manifold(z, quarter, quarter).reshape(4, 5), z, atol=1e-12)

    def test_refuses_another_number(self):
        with self.assertRaisesRegex(ValueError, "four latents, got 3"):
            evaluation.manifold(np.zeros([3, 2]), np.zeros([1]), np.zeros([1]))


class TourTest(absltest.TestCase):
    def test_passes_each_and_closes(self):
        z = _RANDOM.normal(size=[3, 2, 2, 1])
        found = evaluation.tour(z, 4)
        self.assertEqual(found.shape, (12, 2, 2, 1))
        np.testing.assert_allclose(found[::4], z, atol=1e-12)
        np.testing.assert_allclose(found[10], evaluation.spherical(z[2], z[0], np.array([0.5]))[0])

    def test_refuses(self):
        with self.assertRaisesRegex(ValueError, "got 1 and 2"):
            evaluation.tour(np.zeros([1, 2]), 2)
        with self.assertRaisesRegex(ValueError, "got 2 and 0"):
            evaluation.tour(np.zeros([2, 2]), 0)


if __name__ == "__main__":
    absltest.main()
