"""Exact posteriors pass, wrong ones fail; what each check cannot see is what its docstring says."""

import numpy as np
import scipy.stats
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

from tfp_realnvp import inference

tfd = tfp.distributions

_PAIRS = 600
_CHECKS = (inference.rank_statistics, inference.expected_coverage, inference.tarp)


class Gaussian:
    """The posterior of theta ~ N(0, I) and x ~ N(theta, I): N(x / 2, I / 2), or a wrong one.

    Args:
      scale: factor of the standard deviation.
      shift: added to the mean.
      correlation: of the two entries.
      weight: of the observation in the mean and the variance; 0 is the prior.
    """

    def __init__(self, scale=1.0, shift=0.0, correlation=0.0, weight=0.5):
        factor = np.linalg.cholesky([[1, correlation], [correlation, 1]])
        self._scale = (scale * (1 - weight) ** 0.5 * factor).astype(np.float32)
        self._shift, self._weight = shift, weight

    def _distribution(self, x):
        return tfd.MultivariateNormalTriL(self._weight * x + self._shift, self._scale)

    def sample(self, count, x, *, seed=0):
        return self._distribution(x).sample(count, seed=(seed, 1))

    def log_prob(self, theta, x):
        return self._distribution(x).log_prob(theta)


def _pairs():
    generator = np.random.default_rng(0)
    theta = generator.normal(size=[_PAIRS, 2]).astype(np.float32)
    return theta, theta + generator.normal(size=theta.shape).astype(np.float32)


def _least(calibration):
    return min(calibration.p_values.values())


class ChecksTest(parameterized.TestCase):
    @parameterized.parameters(*_CHECKS)
    def test_the_exact_posterior_passes(self, check):
        calibration = check(Gaussian(), *_pairs())
        self.assertGreater(_least(calibration), 0.01)
        levels = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
        errors = np.sqrt(levels * (1 - levels) / _PAIRS)[:, np.newaxis]
        difference = np.abs(calibration.coverage(levels) - levels[:, np.newaxis])
        self.assertTrue(np.all(difference <= 3.5 * errors + 1e-12), difference)

    @parameterized.parameters(*_CHECKS)
    def test_an_overconfident_posterior_fails(self, check):
        self.assertLess(_least(check(Gaussian(scale=0.6), *_pairs())), 1e-6)

    @parameterized.parameters(*_CHECKS)
    def test_an_underconfident_posterior_fails(self, check):
        self.assertLess(_least(check(Gaussian(scale=1.6), *_pairs())), 1e-6)

    def test_coverage_is_below_the_level_if_the_posterior_is_too_narrow(self):
        # The exact one: the region of mass p has the radius c with P(chi2 <= c^2) = p, and the truth is farther.
        calibration = inference.expected_coverage(Gaussian(scale=0.6), *_pairs())
        expected = scipy.stats.chi2(2).cdf(0.6**2 * scipy.stats.chi2(2).ppf(0.9))
        self.assertAlmostEqual(calibration.coverage([0.9])[0, 0], expected, delta=0.06)

    def test_ranks_see_a_bias(self):
        calibration = inference.rank_statistics(Gaussian(shift=np.array([0.3, 0.0], np.float32)), *_pairs())
        self.assertLess(calibration.p_values["theta[0]"], 1e-6)
        self.assertGreater(calibration.p_values["theta[1]"], 0.01)
        self.assertLess(np.mean(calibration.ranks[:, 0]), 45)  # The truth lies low in the posterior.

    def test_ranks_do_not_see_a_wrong_dependence_and_the_others_do(self):
        p = [_least(check(Gaussian(correlation=0.9), *_pairs())) for check in _CHECKS]
        self.assertGreater(p[0], 0.01)
        self.assertLess(max(p[1:]), 1e-4)

    def test_only_references_that_depend_on_the_observation_see_the_prior(self):
        prior, (theta, x) = Gaussian(weight=0.0), _pairs()
        for check in _CHECKS:
            self.assertGreater(_least(check(prior, theta, x)), 0.01)
        self.assertLess(_least(inference.tarp(prior, theta, x, references=x)), 1e-6)
        self.assertGreater(_least(inference.tarp(Gaussian(), theta, x, references=x)), 0.01)

    def test_named_parameters(self):
        class Named:
            def sample(self, count, x, *, seed=0):
                return {"b": Gaussian().sample(count, x, seed=seed)[..., 0]}

        theta, x = _pairs()
        calibration = inference.rank_statistics(Named(), {"b": theta[:, 0]}, x)
        self.assertEqual(calibration.names, ("b",))
        self.assertGreater(_least(calibration), 0.01)

    def test_errors(self):
        class NotFinite(Gaussian):
            def sample(self, count, x, *, seed=0):
                return super().sample(count, x, seed=seed) * np.nan

        theta, x = _pairs()
        with self.assertRaisesRegex(ValueError, "expected finite parameters and samples"):
            inference.rank_statistics(NotFinite(), theta, x)
        with self.assertRaisesRegex(ValueError, r"expected samples of shape \(99, 600, 2\), got \(99, 2\)"):
            inference.rank_statistics(Gaussian(), theta, x[0])
        for references, got in (([0.0, 0.0], r"\(2,\)"), (np.full([600, 2], np.nan), "NaN or infinity")):
            with self.assertRaisesRegex(ValueError, rf"expected finite references of shape \(600, 2\), got {got}"):
                inference.tarp(Gaussian(), theta, x, references=references)
        with self.assertRaisesRegex(ValueError, "expected 1 sample or more, got 0"):
            inference.tarp(Gaussian(), theta, x, samples=0)


class CalibrationTest(absltest.TestCase):
    def test_p_values_are_those_of_scipy(self):
        ranks = np.random.default_rng(0).binomial(99, 0.5, [300, 2])
        calibration = inference.Calibration(ranks, 99, ("a", "b"))
        self.assertEqual(calibration.bins, 20)
        counts = np.stack([np.bincount(part // 5, minlength=20) for part in ranks.T], -1)
        expected = scipy.stats.chisquare(counts).pvalue
        np.testing.assert_allclose(list(calibration.p_values.values()), expected, rtol=1e-6, atol=1e-300)
        np.testing.assert_allclose(calibration.histogram(), counts / 300)

    def test_uniform_ranks_have_the_coverage_of_the_level(self):
        calibration = inference.Calibration(np.arange(10)[:, np.newaxis], 9, ("a",))
        levels = np.linspace(0, 1, 7)
        np.testing.assert_allclose(calibration.coverage(levels)[:, 0], levels)

    def test_too_few_pairs_or_samples(self):
        for ranks, samples in ((9, 99), (100, 100)):  # 101 is a prime.
            calibration = inference.Calibration(np.zeros([ranks, 1], int), samples, ("a",))
            with self.assertRaisesRegex(ValueError, f"got {ranks} pairs and {samples} samples"):
                _ = calibration.p_values

    def test_ranks_of_another_shape_or_beyond_the_samples(self):
        with self.assertRaisesRegex(ValueError, r"expected integer ranks \[n, 1\], got int64 of \[100\]"):
            inference.Calibration(np.arange(100), 99, ("a",))
        with self.assertRaisesRegex(ValueError, r"expected integer ranks \[n, 1\], got float64 of \[1, 1\]"):
            inference.Calibration([[0.5]], 9, ("a",))
        with self.assertRaisesRegex(ValueError, r"expected levels \[levels\] from 0 to 1, got \[50.0, 90.0\]"):
            inference.Calibration(np.arange(9)[:, np.newaxis], 9, ("a",)).coverage([50, 90])
        with self.assertRaisesRegex(ValueError, "expected ranks in 0 ... 9, got 0 to 10"):
            inference.Calibration(np.arange(11)[:, np.newaxis], 9, ("a",))


class PlotsTest(absltest.TestCase):
    def test_each_statistic_is_drawn(self):
        ranks = np.random.default_rng(0).integers(0, 100, [100, 5])
        calibration = inference.Calibration(ranks, 99, tuple("abcde"))
        figure = inference.plot_ranks(calibration)
        self.assertEqual([axes.get_title() for axes in figure.axes if axes.axison], list("abcde"))
        heights = figure.axes[0].patches[0].get_data().values
        np.testing.assert_allclose(heights, calibration.histogram()[:, 0])
        (axes,) = inference.plot_coverage(calibration).axes
        lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
        np.testing.assert_allclose(lines["e"], calibration.coverage(np.linspace(0, 1, 101))[:, 4])


if __name__ == "__main__":
    absltest.main()
