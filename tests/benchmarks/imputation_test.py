"""Intervals of exact draws have their nominal coverage, and those of a model are compared with them."""

import numpy as np
from absl.testing import absltest

from benchmarks import imputation


def _filled(rows, draw):
    """Draws `[n, 199, columns]`, of normal quantiles `[n, 199, columns]`, in the gaps of rows."""
    z = np.random.default_rng(2).normal(size=[len(rows), 199, rows.shape[1]])
    return np.where(np.isnan(rows)[:, np.newaxis], draw(z), rows[:, np.newaxis])


class ImputationTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.rows = imputation.with_gaps(0, 400, 0.3)

    def test_share_of_gaps(self):
        self.assertAlmostEqual(np.mean(np.isnan(self.rows)), 0.3, delta=0.04)
        self.assertFalse(np.any(np.all(np.isnan(self.rows), -1)))

    def test_exact_draws(self):
        mean, std = imputation.conditional(self.rows)
        found = imputation.intervals(self.rows, _filled(self.rows, lambda z: mean + std * z))
        self.assertEqual(found.gaps, np.sum(np.isnan(self.rows)))
        np.testing.assert_allclose(found.coverage, imputation.NOMINAL, atol=1)
        np.testing.assert_allclose(found.column_coverage.mean(0), found.coverage, atol=0.5)
        self.assertAlmostEqual(found.width, 1, delta=0.03)

    def test_draws_without_the_other_values_are_wide(self):
        std = np.sqrt(np.diag(imputation.COVARIANCE))
        found = imputation.intervals(self.rows, _filled(self.rows, lambda z: imputation.MEAN + std * z))
        np.testing.assert_allclose(found.coverage, imputation.NOMINAL, atol=4)
        self.assertAlmostEqual(found.width, found.marginal_width, delta=0.05)
        self.assertGreater(found.width, 1.3)

    def test_narrow_draws(self):
        mean, std = imputation.conditional(self.rows)
        found = imputation.intervals(self.rows, _filled(self.rows, lambda z: mean + 0.5 * std * z))
        self.assertLess(found.coverage[0], 30)
        self.assertAlmostEqual(found.width, 0.5, delta=0.02)

    def test_conditional_of_one_value(self):
        rows = np.full([1, 5], np.nan)
        rows[0, 1] = 5.0
        mean, std = imputation.conditional(rows)
        # One deviation above its mean: neighbours are .8 of a deviation above theirs, with .6 of theirs left.
        np.testing.assert_allclose(mean[0, 0, [0, 2]], [0.8, -0.92])
        np.testing.assert_allclose(std[0, 0, [0, 2]], [0.6, 0.06])

    def test_a_model_imputes(self):
        found = imputation.measure(0.3, count=256, test_count=20, steps=3)
        self.assertEqual(found.coverage.shape, (4,))
        self.assertTrue(np.all((found.coverage > 0) & (found.coverage < 100)))


if __name__ == "__main__":
    absltest.main()
