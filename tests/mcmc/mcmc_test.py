"""Chains and evidence have the known answers of targets that have them, and say what is wrong with other targets."""

import math
import warnings

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp

tfd = tfp.distributions
mcmc = nvp.mcmc


def _identity(size=1):
    """A flow that is its base, a standard normal."""
    return nvp.FlowDistribution(nvp.bijectors.ActNorm(size), (size,))


def _power_weights(k):
    """A target whose weights under a standard normal are w = u^-k, u uniform: a Pareto tail of shape k, Z = 1/(1-k)."""
    normal = tfd.Normal(0.0, 1.0)

    def log_prob(x):
        return (normal.log_prob(x) - k * normal.log_survival_function(x))[..., 0]

    return log_prob


def _regression():
    """z ~ N(0, I), y ~ N(3 z_1 + 2 z_2, 1): a posterior with correlation -.86, and an evidence in closed form."""
    joint = tfd.JointDistributionNamed(
        {
            "z": tfd.MultivariateNormalDiag(tf.zeros([2])),
            "scale": tfd.LogNormal(0.0, 0.5),  # Independent of the others: its posterior is its prior.
            "y": lambda z: tfd.Normal(3 * z[..., 0] + 2 * z[..., 1], 1.0),
        }
    )
    weights = np.array([3.0, 2.0])
    covariance = np.eye(2) - np.outer(weights, weights) / (1 + weights @ weights)
    log_evidence = -0.5 * (4.0**2 / (1 + weights @ weights) + math.log(2 * math.pi * (1 + weights @ weights)))
    return joint.experimental_pin(y=4.0), covariance @ weights * 4.0, covariance, log_evidence


class NeutraTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(0)
        cls.pinned, cls.mean, cls.covariance, cls.log_evidence = _regression()
        cls.flow = nvp.iaf(event_shape=(3,), layers=1, hidden_units=(4,), activation="linear")
        cls.elbo = mcmc.fit(cls.pinned, cls.flow, steps=200, samples=32, learning_rate=5e-2)
        cls.chains = mcmc.neutra(cls.pinned, cls.flow, draws=200, chains=8, warmup=100)

    def test_elbo_is_below_the_evidence(self):
        self.assertEqual(self.elbo.shape, (200,))
        self.assertBetween(np.mean(self.elbo[-50:]), self.log_evidence - 0.5, self.log_evidence + 0.05)
        self.assertLess(np.mean(self.elbo[:5]), self.log_evidence - 1)

    def test_moments_of_the_posterior(self):
        chains = self.chains
        self.assertEqual(chains.samples["z"].shape, (200, 8, 2))
        self.assertEqual(chains.samples["scale"].shape, (200, 8))
        self.assertGreater(np.min(chains.ess), 300)
        self.assertLess(np.max(chains.r_hat), 1.05)
        z, count = chains.samples["z"].reshape([-1, 2]).astype(np.float64), np.min(chains.ess)
        deviations = np.sqrt(np.diag(self.covariance))
        np.testing.assert_array_less(np.abs(np.mean(z, 0) - self.mean), 5 * deviations / math.sqrt(count))
        error = np.abs(np.cov(z.T) - self.covariance) / np.outer(deviations, deviations)
        np.testing.assert_array_less(error, 7 / math.sqrt(count))
        scale = chains.samples["scale"]
        self.assertGreater(np.min(scale), 0)
        self.assertAlmostEqual(np.mean(np.log(scale)), 0, delta=5 * 0.5 / math.sqrt(count))

    def test_log_probs_are_of_the_samples(self):
        values = {name: part[7] for name, part in self.chains.samples.items()}
        expected = self.pinned.unnormalized_log_prob(values)
        np.testing.assert_allclose(self.chains.log_probs[7], expected, rtol=1e-4, atol=1e-4)

    def test_diagnostics(self):
        self.assertBetween(self.chains.acceptance, 0.5, 1)
        self.assertGreater(self.chains.step_size, 0)
        self.assertEqual(self.chains.divergences, 0)
        self.assertRegex(
            str(self.chains), r"^8 chains of 200 draws, ESS [\d,]+ or more, R-hat 1\.0\d\d or less, .*, 0 divergences$"
        )

    def test_evidence(self):
        found = mcmc.evidence(self.pinned, self.flow, draws=4_000)
        self.assertLess(found.pareto_k, 0.7)
        self.assertAlmostEqual(found.log_evidence, self.log_evidence, delta=3 * found.standard_error)
        self.assertBetween(found.standard_error, 1e-5, 0.05)
        self.assertLess(found.elbo, found.log_evidence)
        weights = np.exp(found.log_weights)
        self.assertAlmostEqual(np.sum(weights), 1, places=9)
        np.testing.assert_allclose(weights @ found.samples["z"], self.mean, atol=0.1)

    def test_nuts(self):
        target = tfd.MultivariateNormalDiag(tf.constant([1.0, -1.0]), [1.5, 0.5]).log_prob
        chains = mcmc.neutra(target, _identity(2), draws=150, chains=8, warmup=60, kernel="nuts")
        samples = chains.samples.reshape([-1, 2])
        np.testing.assert_allclose(np.mean(samples, 0), [1, -1], atol=5 * 1.5 / math.sqrt(np.min(chains.ess)))
        np.testing.assert_allclose(np.std(samples, 0), [1.5, 0.5], rtol=0.2)
        self.assertLess(np.max(chains.r_hat), 1.05)


class IndependenceTest(absltest.TestCase):
    def test_half_normal(self):
        # Weights are constant on the half line: a state accepts half of all proposals.
        def log_prob(x):
            return tf.where(x[..., 0] > 0, -0.5 * x[..., 0] ** 2, -math.inf)

        chains = mcmc.independence(log_prob, _identity(), draws=1_000, chains=8, warmup=20)
        self.assertEqual(chains.samples.shape, (1_000, 8, 1))
        self.assertGreater(np.min(chains.samples), 0)
        error = 5 / math.sqrt(np.min(chains.ess))
        self.assertAlmostEqual(np.mean(chains.samples), math.sqrt(2 / math.pi), delta=error)
        self.assertAlmostEqual(chains.acceptance, 0.5, delta=0.03)
        # Half of the draws repeat the one before: its autocorrelation is 2^-lag, which sums to (1 + 1/2) / (1 - 1/2).
        self.assertBetween(np.min(chains.ess), 8_000 / 3 * 0.75, 8_000 / 3 * 1.25)
        self.assertIsNone(chains.divergences)
        np.testing.assert_allclose(chains.log_probs, -0.5 * chains.samples[..., 0] ** 2, rtol=1e-5)

    def test_weights(self):
        # Proposals are N(0, 1), the target N(.5, .8^2).
        chains = mcmc.independence(
            tfd.MultivariateNormalDiag([0.5], [0.8]).log_prob, _identity(), draws=1_000, chains=8
        )
        error = 5 * 0.8 / math.sqrt(np.min(chains.ess))
        self.assertAlmostEqual(np.mean(chains.samples), 0.5, delta=error)
        self.assertAlmostEqual(np.std(chains.samples), 0.8, delta=error)

    def test_refuses_a_target_without_density(self):
        def log_prob(x):
            return tf.where(x[..., 0] > 0, x[..., 0] * 0, -math.inf)

        # Two proposals of a chain are negative in a quarter of all chains.
        with self.assertRaisesRegex(ValueError, r"got -inf at all of the first 2 proposals of \d+ of 40 chains: take"):
            mcmc.independence(log_prob, _identity(), draws=10, chains=40, warmup=0)


class EvidenceTest(parameterized.TestCase):
    def test_known_evidence_and_tail(self):
        found = mcmc.evidence(_power_weights(0.3), _identity(), draws=20_000)
        self.assertAlmostEqual(found.log_evidence, -math.log(0.7), delta=3 * found.standard_error)
        self.assertAlmostEqual(found.pareto_k, 0.3, delta=0.2)
        # For k < 1/2, ESS / n tends to E[w]^2 / E[w^2] = (1 - 2k) / (1 - k)^2.
        self.assertAlmostEqual(found.ess / 20_000, 0.4 / 0.49, delta=0.1)
        self.assertEqual(found.samples.shape, (20_000, 1))
        self.assertIn(f"ESS {found.ess:,.0f} of 20,000, Pareto k 0.", str(found))

    def test_warns_of_a_heavy_tail(self):
        with self.assertWarnsRegex(
            RuntimeWarning, r"standard error are unreliable. Pareto k is 0\.[789]\d: the flow miss"
        ):
            mcmc.evidence(_power_weights(0.85), _identity(), draws=20_000)

    def test_refuses_weights_without_a_mean(self):
        with self.assertRaisesRegex(
            RuntimeError, r"expected importance weights with a mean, got none: Pareto k is 1\."
        ):
            mcmc.evidence(_power_weights(1.3), _identity(), draws=20_000)

    def test_several_batches_are_different_draws(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = mcmc.evidence(_power_weights(0.3), _identity(), draws=5_000)
        self.assertLen(np.unique(found.samples), 5_000)


class ParetoTest(parameterized.TestCase):
    @parameterized.parameters(-0.3, 0.0, 0.2, 0.5, 0.8, 1.2)
    def test_known_tails(self, k):
        u = np.random.default_rng(0).random(40_000)
        log_weights = -k * np.log(u) if k > 0 else np.log(-np.log(u)) if k == 0 else np.log1p(-(u**-k))
        smoothed, found = mcmc.pareto_smoothed(log_weights)
        tail = math.ceil(3 * math.sqrt(40_000))
        self.assertAlmostEqual(found, k, delta=3.5 * (1 + abs(k)) / math.sqrt(tail) + 10 / tail)
        order = np.argsort(log_weights)
        np.testing.assert_array_equal(smoothed[order[:-tail]], log_weights[order[:-tail]])
        self.assertTrue(np.all(np.diff(smoothed[order[-tail:]]) >= 0))
        self.assertLessEqual(np.max(smoothed), np.max(log_weights))

    def test_equals_arviz(self):
        # By arviz-stats 0.8.0, `array_stats.psislw`; its weights are normalised.
        log_weights = np.random.default_rng(1).normal(size=400) * 1.5
        smoothed, k = mcmc.pareto_smoothed(log_weights)
        normalised = np.sort(smoothed - np.log(np.sum(np.exp(smoothed))))
        self.assertAlmostEqual(k, 1.0674108621943776, places=6)
        np.testing.assert_allclose(
            normalised[-3:], [-3.0453720386963736, -2.518162353396138, -2.2211797173368946], rtol=1e-6
        )

    def test_equal_weights_of_the_tail(self):
        # One point of the likelihood is 0/0 then.
        self.assertTrue(np.isfinite(mcmc.pareto_smoothed(np.where(np.arange(1240) < 105, 1.0, 0.0))[1]))

    @parameterized.parameters(
        (np.zeros(24), r"expected at least 25 log-weights \[n\], got shape \[24\]"),
        (np.zeros([30, 1]), r"expected at least 25 log-weights \[n\], got shape \[30, 1\]"),
        (np.full(30, np.nan), r"expected log-weights that are finite or -inf, got NaN or \+inf"),
        (np.zeros(30), "expected weights that differ, got 0 of the largest 6 above the next"),
        (np.full(30, -np.inf), "expected weights that differ, got 0 of the largest 6"),
    )
    def test_refuses(self, log_weights, message):
        with self.assertRaisesRegex(ValueError, message):
            mcmc.pareto_smoothed(log_weights)


class ErrorsTest(parameterized.TestCase):
    @parameterized.parameters(
        (
            lambda x: x[..., 0] / 0 * 0,
            ValueError,
            r"expected the target's log-density to be finite or -inf, got nan at \[",
        ),
        (lambda x: x, ValueError, r"expected the target to return log-densities of shape \(\d+,\) for events of shape"),
        (
            lambda x: tf.cast(x[..., 0], tf.float64),
            TypeError,
            "a tensor of float32, as its events are, got a tensor of fl",
        ),
        (
            lambda x: None,
            TypeError,
            "expected the target to return a tensor of float32, as its events are, got NoneType",
        ),
        (3, TypeError, r"expected a function from events to log-densities, or joint\.experimental_pin\(...\), got int"),
        (
            _regression()[0].distribution,
            TypeError,
            "expected a joint distribution with its data pinned, got one without",
        ),
        (
            tfd.JointDistributionNamed({"n": tfd.Poisson(1.0), "y": lambda n: tfd.Normal(n, 1.0)}).experimental_pin(
                y=1.0
            ),
            TypeError,
            "expected continuous unpinned variables, got",
        ),
        (_regression()[0], ValueError, r"over vectors of the model's 3 unconstrained numbers, got event shape \[2\]"),
    )
    def test_target(self, target, error, message):
        for sample in (mcmc.fit, mcmc.neutra, mcmc.independence, mcmc.evidence):
            with self.assertRaisesRegex(error, message):
                sample(target, _identity(2))

    def test_no_density_for_a_fit_or_a_start(self):
        target = lambda x: tf.where(x[..., 0] > 0, x[..., 0], -math.inf)  # noqa: E731
        with self.assertRaisesRegex(
            ValueError, r"expected a target with a density everywhere, got -inf at \d+ of 64 draws"
        ):
            mcmc.fit(target, _identity())
        with self.assertRaisesRegex(ValueError, r"at draws of the flow, where chains start, got -inf at \d+ of 16"):
            mcmc.neutra(target, _identity())

    def test_a_target_that_turns_to_nan(self):
        target = lambda x: tf.where(tf.abs(x[..., 0]) < 9, 10 * x[..., 0], math.nan)  # noqa: E731
        flow = _identity()
        with self.assertRaisesRegex(
            ValueError,
            r"expected a finite ELBO and gradient, got nan and a norm of .* in step \d+ of 60: the target is",
        ):
            mcmc.fit(target, flow, steps=60, learning_rate=1.0)
        weights = np.concatenate([np.ravel(variable) for variable in flow.trainable_variables])
        self.assertTrue(np.all(np.isfinite(weights)) and np.any(weights != 0), weights)

    @parameterized.parameters(
        (dict(draws=3), "expected draws of 4 or more, got 3"),
        (dict(chains=1), "expected chains of 2 or more, got 1"),
        (dict(warmup=9), "expected warmup of 10 or more, got 9"),
        (dict(kernel="gibbs"), "expected kernel to be hmc or nuts, got 'gibbs'"),
        (dict(event_shape=7), r"expected the event_shape \[1\] of the flow, got \[7\]"),
        (dict(flow=None), r"expected event_shape, such as \(20,\), for a function without a flow, got None"),
    )
    def test_settings(self, given, message):
        given = {"flow": _identity(), **given}
        with self.assertRaisesRegex(ValueError, message):
            mcmc.neutra(lambda x: x[..., 0], **given)

    def test_no_draws(self):
        with self.assertRaisesRegex(ValueError, "expected 1 draw or more, got 0"):
            mcmc.evidence(lambda x: x[..., 0], _identity(), draws=0)


if __name__ == "__main__":
    absltest.main()
