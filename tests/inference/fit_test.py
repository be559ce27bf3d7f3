"""Posteriors of simulators whose posterior is known, supports, names, ensembles and embeddings."""

import functools
import math
import pathlib
import pickle
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tfp_realnvp import inference
from tfp_realnvp.inference import fit

tfd = tfp.distributions

_SMALL = functools.partial(nvp.maf, layers=1, hidden_units=(32,))
_COVARIANCE = np.array([[1.0, 0.6], [0.6, 1.0]])
_NOISE = 0.25


def _pairs(count, seed):
    generator = np.random.default_rng(seed)
    theta = generator.multivariate_normal(np.zeros(2), _COVARIANCE, count)
    return [values.astype(np.float32) for values in (theta, theta + _NOISE**0.5 * generator.normal(size=theta.shape))]


def _exact(x):
    """Mean and covariance of the posterior."""
    gain = _COVARIANCE @ np.linalg.inv(_COVARIANCE + _NOISE * np.eye(2))
    return x @ gain.T, _COVARIANCE - gain @ _COVARIANCE


class GaussianTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.posterior = inference.fit_posterior(
            *_pairs(2_000, 0), flow=_SMALL, learning_rate=0.01, max_epochs=12, patience=6
        )

    def test_samples_have_the_moments_of_the_exact_posterior(self):
        x = np.array([0.5, -1.0], np.float32)
        samples = self.posterior.sample(4_000, x, seed=1).numpy()
        mean, covariance = _exact(x)
        np.testing.assert_allclose(samples.mean(0), mean, atol=0.1)
        np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.04)

    def test_the_density_is_that_of_the_exact_posterior(self):
        theta, x = _pairs(1_000, 1)
        mean, covariance = _exact(x)
        exact = tfd.MultivariateNormalTriL(mean, np.linalg.cholesky(covariance)).log_prob(theta.astype(np.float64))
        difference = np.mean(exact) - np.mean(self.posterior.log_prob(theta, x))
        self.assertBetween(difference, -0.01, 0.05)  # A mean of log-ratios of densities, 0 or more up to its error.

    def test_batch_axes(self):
        theta, x = _pairs(3, 2)
        each = [self.posterior.log_prob(*pair).numpy() for pair in zip(theta, x)]
        np.testing.assert_allclose(self.posterior.log_prob(theta, x), each, rtol=1e-4)
        crossed = self.posterior.log_prob(theta[:, np.newaxis], x)
        np.testing.assert_allclose(np.diag(crossed), each, rtol=1e-4)
        self.assertEqual(self.posterior.sample(4, x).shape, (4, 3, 2))
        self.assertEqual(self.posterior.sample(4, x[0]).shape, (4, 2))
        self.assertEqual(self.posterior.sample(np.int64(0), x).shape, (0, 3, 2))
        for count in (-1, 2.5):
            with self.assertRaisesRegex(ValueError, f"expected a count of 0 or more, got {count}"):
                self.posterior.sample(count, x)
        with self.assertRaisesRegex(
            ValueError, r"expected batch axes of theta and x that broadcast, got \[2\] and \[3\]"
        ):
            self.posterior.log_prob(theta[:2], x)
        one = self.posterior.sample(500, x, seed=3).numpy().mean(0)
        np.testing.assert_allclose(one, _exact(x)[0], atol=0.2)  # Each observation has its own samples.

    def test_the_same_seed_gives_the_same_samples(self):
        x = _pairs(1, 3)[1]
        first, second, other = (self.posterior.sample(3, x, seed=seed).numpy() for seed in (5, 5, 6))
        np.testing.assert_array_equal(first, second)
        self.assertNotAlmostEqual(first[0, 0, 0], other[0, 0, 0])

    def test_the_best_epoch_is_kept(self):
        losses = self.posterior.histories[0]["val_loss"]
        order = np.random.default_rng(0).permutation(2_000)[:200]
        theta, x = (values[order] for values in _pairs(2_000, 0))
        self.assertAlmostEqual(-float(np.mean(self.posterior.log_prob(theta, x))), min(losses), places=3)

    def test_entries_are_named(self):
        self.assertEqual(self.posterior.entries, ("theta[0]", "theta[1]"))


def _loaded(posterior, **given):
    with tempfile.TemporaryDirectory() as folder:
        posterior.save(f"{folder}/posterior")
        return inference.load(f"{folder}/posterior", **given)


class _Eager(parameterized.TestCase):
    """A few steps without graphs, whose tracing would take longer."""

    def setUp(self):
        super().setUp()
        tf.config.run_functions_eagerly(True)
        self.addCleanup(tf.config.run_functions_eagerly, False)


class SupportTest(_Eager):
    def test_the_density_of_a_bounded_parameter_integrates_to_1(self):
        theta = np.random.default_rng(0).uniform(2, 5, [200, 1]).astype(np.float32)
        prior = tfd.Uniform([2.0], [5.0])
        posterior = inference.fit_posterior(theta, theta**2, prior=prior, flow=_SMALL, max_epochs=1)
        grid = np.linspace(2, 5, 2_001, dtype=np.float32)[1:-1, np.newaxis]
        mass = np.sum(np.exp(posterior.log_prob(grid, theta[0] ** 2))) * 3 / 2_000
        self.assertAlmostEqual(mass, 1, places=2)
        np.testing.assert_array_equal(posterior.log_prob([[1.9], [5.1]], theta[0] ** 2), [-math.inf, -math.inf])
        with self.assertRaisesRegex(ValueError, "expected parameters that are numbers, got NaN"):
            posterior.log_prob([[3.0], [math.nan]], theta[0] ** 2)

    @parameterized.parameters(tfd.JointDistributionNamed, tfd.JointDistributionCoroutine)
    def test_a_joint_distribution(self, kind):
        if kind is tfd.JointDistributionNamed:
            joint = kind(
                dict(
                    top=tfd.Gamma(2.0, 1.0),
                    part=lambda top: tfd.Uniform(0.0, top),
                    loc=tfd.Sample(tfd.Normal(0.0, 1.0), 2),
                    y=lambda top, part: tfd.Normal(part, top),
                    z=lambda loc: tfd.Independent(tfd.Normal(loc, 1.0), 1),
                )
            )
        else:
            root = kind.Root

            @kind
            def joint():
                top = yield root(tfd.Gamma(2.0, 1.0, name="top"))
                part = yield tfd.Uniform(0.0, top, name="part")
                loc = yield root(tfd.Sample(tfd.Normal(0.0, 1.0), 2, name="loc"))
                yield tfd.Normal(part, top, name="y")
                yield tfd.Independent(tfd.Normal(loc, 1.0), 1, name="z")

        theta, x = inference.simulate(joint, 200, observed=["y", "z"])
        self.assertEqual([sorted(values) for values in (theta, x)], [["loc", "part", "top"], ["y", "z"]])
        posterior = inference.fit_posterior(theta, x, prior=joint, flow=_SMALL, max_epochs=1)
        self.assertCountEqual(posterior.entries, ["top", "part", "loc[0]", "loc[1]"])
        samples = posterior.sample(300, {name: values[0] for name, values in x.items()})
        self.assertEqual(
            {name: tuple(v.shape) for name, v in samples.items()}, dict(top=(300,), part=(300,), loc=(300, 2))
        )
        # The upper bound of one parameter is another.
        self.assertTrue(np.all((samples["part"] > 0) & (samples["part"] <= samples["top"])))
        self.assertTrue(np.all(np.isfinite(posterior.log_prob(theta, x))))
        outside = theta | {"part": theta["top"] * 1.1}
        np.testing.assert_array_equal(posterior.log_prob(outside, x), np.full(200, -math.inf))
        again = _loaded(posterior, prior=joint)
        np.testing.assert_array_equal(again.log_prob(theta, x), posterior.log_prob(theta, x))
        with self.assertRaisesRegex(ValueError, "expected the prior that the posterior was trained with, got None"):
            _loaded(posterior)

    def test_simulations_are_those_of_the_seed(self):
        joint = tfd.JointDistributionNamed(dict(a=tfd.Normal(0.0, 1.0), y=lambda a: tfd.Normal(a, 1.0)))
        first, second, other = (inference.simulate(joint, 3, observed="y", seed=seed)[1]["y"] for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, second)
        self.assertFalse(np.any(np.equal(first, other)))


class EnsembleTest(_Eager):
    def test_is_the_equal_mixture(self):
        theta, x = _pairs(100, 0)
        both = inference.fit_posterior(theta, x, flow=_SMALL, ensemble=2, max_epochs=1)
        contexts = [member.context_of(member.standardized(x)) for member in both.members]
        parts = [both.members[k].distribution.log_prob(theta, context=contexts[k]) for k in (0, 1)]
        self.assertGreater(np.max(np.abs(parts[0] - parts[1])), 1e-3)
        np.testing.assert_allclose(both.log_prob(theta, x), np.logaddexp(*parts) - math.log(2), rtol=1e-4)
        for member, place in zip(both.members, (-1_000.0, 1_000.0)):
            member.distribution.flow.bijectors[0].mean.assign([place, place])
        share = np.mean(both.sample(1_000, x[0]).numpy()[:, 0] > 0)
        self.assertBetween(share, 0.45, 0.55)


class EmbeddingTest(_Eager):
    def test_trains_with_the_flow(self):
        theta = _pairs(100, 0)[0]
        x = theta[:, np.newaxis] + np.zeros([1, 5, 1], np.float32)
        network = keras.Sequential([keras.layers.Dense(4), keras.layers.GlobalAveragePooling1D()])
        network.build([None, 5, 2])
        before = network.get_weights()
        posterior = inference.fit_posterior(theta, x, flow=_SMALL, embedding=network, batch_size=30, max_epochs=1)
        self.assertGreater(np.max(np.abs(network.get_weights()[0] - before[0])), 1e-3)
        samples = posterior.sample(3, x[:2])
        self.assertEqual(samples.shape, (3, 2, 2))
        np.testing.assert_array_equal(_loaded(posterior).sample(3, x[:2]), samples)
        with self.assertRaisesRegex(TypeError, "expected a function that makes an embedding for each flow"):
            inference.fit_posterior(theta, x, embedding=network, ensemble=2)


class RoundingTest(_Eager):
    def test_rounding_makes_no_constant_vary(self):
        theta, x = _pairs(1_000, 0)
        constant = np.full([1_000, 2], 0.1, np.float32)
        self.assertGreater(np.min(constant.std(0)), 0)
        with self.assertRaisesRegex(ValueError, r"expected parameters that vary, got constants at \[0, 1\]"):
            inference.fit_posterior(constant, x)
        x[:, 0] = 0.1
        posterior = inference.fit_posterior(theta, x, flow=_SMALL, max_epochs=1, batch_size=900)
        self.assertEqual(posterior.members[0].deviation[0], 1)

    def test_observations_in_any_unit(self):
        theta, x = _pairs(100, 0)
        others = x.astype(np.float64) * [1e30, 1.0] + [0.0, 1e9]
        expected, found = (
            inference.fit_posterior(theta, given, flow=_SMALL, max_epochs=1).log_prob(theta, given)
            for given in (x, others)
        )
        np.testing.assert_allclose(found, expected, atol=1e-3)

    def test_a_prior_in_float64(self):
        prior = tfd.Uniform(np.full(2, 1e9), np.full(2, 1e9 + 0.1))
        theta = prior.sample(100, seed=0)
        posterior = inference.fit_posterior(theta, theta - 1e9, prior=prior, flow=_SMALL, max_epochs=1)
        self.assertTrue(np.all(np.isfinite(posterior.log_prob(theta, theta - 1e9))))
        self.assertTrue(np.all(np.isfinite(prior.log_prob(posterior.sample(100, [0.05, 0.05])))))
        self.assertTrue(inference.expected_coverage(posterior, theta, theta - 1e9, samples=1).samples)
        with self.assertRaisesRegex(ValueError, "expected parameters that float32 can tell apart, got a standard devi"):
            inference.fit_posterior(theta, theta - 1e9)

    def test_a_density_that_is_not_a_number(self):
        def broken(**given):
            flow = _SMALL(**given)
            flow.trainable_variables[0].assign(math.nan * flow.trainable_variables[0])
            return flow

        with self.assertRaisesRegex(ValueError, "expected a finite loss on the held-out pairs, got inf"):
            inference.fit_posterior(*_pairs(20, 0), flow=broken, max_epochs=2)


class RefinementTest(absltest.TestCase):
    def test_goes_on_from_the_best_weights_at_half_the_rate(self):
        model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
        model.compile(keras.optimizers.SGD(0.4))
        refinement = fit._Refinement(6)
        refinement.set_model(model)
        refinement.on_train_begin()
        found = []
        for epoch, loss in enumerate([5.0, 4.0, 4.5, 4.2, 3.0, 6.0, 6.0, 2.9995, 6.0, 6.0, 6.0]):
            model.set_weights([np.full([1, 1], epoch, np.float32)])
            refinement.on_epoch_end(epoch, {"val_loss": loss})
            rate = round(float(model.optimizer.learning_rate), 3)
            found.append((model.get_weights()[0].item(), rate, model.stop_training))
        begin = [(0, 0.4), (1, 0.4), (2, 0.4), (1, 0.2), (4, 0.2), (5, 0.2), (4, 0.1), (7, 0.1), (4, 0.05), (9, 0.05)]
        self.assertEqual(found, [*((*pair, False) for pair in begin), (4, 0.025, True)])


class ErrorsTest(parameterized.TestCase):
    @parameterized.parameters(
        (dict(theta=np.zeros([3, 2])), "expected as many parameters as observations, got 3 and 20"),
        (dict(x=np.full([20, 2], np.nan)), "expected finite observations"),
        (dict(prior=tfd.Sample(tfd.HalfNormal(1.0), 2)), "expected theta within the prior's support"),
        (
            dict(prior=tfd.Dirichlet([1.0, 2.0]), theta=np.full([20, 2], 0.6)),
            "expected theta within the prior's support",
        ),
        (dict(prior=tfd.Sample(tfd.Bernoulli(0.5), 2)), "expected a prior of real parameters, which have a density"),
        (dict(prior=tfd.Normal(0.0, 1.0)), "expected parameters of the prior's shape"),
        (dict(prior=tfd.JointDistributionNamed(dict(a=tfd.Normal(0.0, 1.0)))), "expected parameters by name"),
        (dict(theta=np.ones([20, 2])), "expected parameters that vary"),
        (dict(ensemble=0), "expected an ensemble of 1 or more"),
        (dict(batch_size=0), "expected a batch_size and max_epochs of 1 or more .*, got 0, 1 and 45"),
        (dict(max_epochs=0), "expected a batch_size and max_epochs of 1 or more .*, got 100, 0 and 45"),
        (dict(patience=-1), "expected .* a patience of 0 or more, got 100, 1 and -1"),
        (dict(learning_rate=-1e-3), "expected a learning_rate of 0 or more, got -0.001"),
        (dict(clip_norm=-5.0), "expected a clip_norm above 0 or None, got -5.0"),
        (dict(validation_fraction=0.0), "expected a validation_fraction that leaves pairs on both sides"),
        (dict(theta={"a": np.zeros([20]), "b": np.zeros([19])}), "arrays with the same n"),
    )
    def test_says_what_was_expected(self, changes, message):
        theta, x = _pairs(20, 0)
        with self.assertRaisesRegex(ValueError, message):
            inference.fit_posterior(**(dict(theta=theta, x=x, flow=_SMALL, max_epochs=1) | changes))

    def test_a_file_of_something_else(self):
        for content in (b"", b"nonsense", pickle.dumps({"a": 1})):
            with tempfile.NamedTemporaryFile() as file:
                pathlib.Path(file.name).write_bytes(content)
                with self.assertRaisesRegex(ValueError, "expected a file by Posterior.save, got"):
                    inference.load(file.name)

    def test_refuses_numbers_that_are_not_real(self):
        theta, x = _pairs(20, 0)
        for given in (x.astype(np.complex64), x.astype(str)):
            with self.assertRaisesRegex(TypeError, "expected x of real numbers, got (complex64|string)"):
                inference.fit_posterior(theta, given, flow=_SMALL, max_epochs=1)

    def test_refuses_whole_numbers(self):
        prior = tfd.JointDistributionNamed(dict(p=tfd.Beta(1.0, 1.0), n=tfd.Bernoulli(0.5)))
        theta = {"p": tf.zeros([20]), "n": tf.zeros([20], tf.int32)}
        with self.assertRaisesRegex(TypeError, "expected real parameters, which have a density, got int32"):
            inference.fit_posterior(theta, _pairs(20, 0)[1], prior=prior)

    def test_a_joint_distribution_needs_both_kinds(self):
        joint = tfd.JointDistributionNamed(dict(a=tfd.Normal(0.0, 1.0), y=lambda a: tfd.Normal(a, 1.0)))
        with self.assertRaisesRegex(ValueError, "expected observed to be among a, y, got b"):
            inference.simulate(joint, 3, observed="b")
        with self.assertRaisesRegex(ValueError, "expected parameters and observations"):
            inference.simulate(joint, 3, observed=["a", "y"])
        with self.assertRaisesRegex(ValueError, "expected the prior's part y among parameters or observations"):
            inference.fit_posterior({"a": tf.zeros([3])}, {"w": tf.zeros([3])}, prior=joint)
        with self.assertRaisesRegex(ValueError, "expected parameters among the prior's parts a, y, got c"):
            inference.fit_posterior({"c": tf.zeros([3])}, {"y": tf.zeros([3])}, prior=joint)
        moving = tfd.JointDistributionNamed(dict(y=tfd.Exponential(1.0), a=lambda y: tfd.Uniform(0.0, y)))
        with self.assertRaisesRegex(ValueError, "expected a support of the parameters that is the same for all"):
            inference.fit_posterior({"a": tf.zeros([2]) + 0.5}, {"y": tf.constant([1.0, 2.0])}, prior=moving)


if __name__ == "__main__":
    absltest.main()
