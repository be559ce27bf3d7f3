"""The known answers of the example are right, and its surrogates stay below them."""

import contextlib
import io
import re
import types
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from examples import variational_inference as example


def _log_normal(x, mean, deviation):
    return -0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)


def _from_funnel(random, count):
    """Latents and the log-density they were drawn with: that of the model."""
    v = random.normal(0, 3, [count, 1])
    x = random.normal(0, np.exp(v / 2), [count, 9])
    return np.concatenate([v, x], -1), _log_normal(v, 0, 3)[:, 0] + np.sum(_log_normal(x, 0, np.exp(v / 2)), -1)


def _from_eight_schools(random, count):
    """mu and tau from the prior, the effects given them and the data."""
    effects, errors = example._EFFECTS.astype(float), example._ERRORS.astype(float)
    mu = random.normal(0, 5, [count, 1])
    tau = 5 * np.abs(random.standard_cauchy([count, 1]))
    deviation = (errors**-2 + tau**-2) ** -0.5
    mean = deviation**2 * (effects / errors**2 + mu / tau**2)
    theta = random.normal(mean, deviation)
    log_density = _log_normal(mu, 0, 5) + np.log(2 / (np.pi * 5) / (1 + (tau / 5) ** 2)) + np.log(tau)
    latents = np.concatenate([mu, np.log(tau), theta], -1)
    return latents, log_density[:, 0] + np.sum(_log_normal(theta, mean, deviation), -1)


class ModelTest(parameterized.TestCase):
    @parameterized.parameters(("funnel", _from_funnel), ("eight_schools", _from_eight_schools))
    def test_answer_is_that_of_importance_sampling(self, name, draw):
        model = example.MODELS[name]()
        latents, log_density = draw(np.random.default_rng(0), 200_000)
        latents = tf.constant(latents, tf.float32)
        ratios = np.exp(model.log_joint(latents).numpy() - log_density - model.log_evidence)
        self.assertAlmostEqual(np.mean(ratios), 1, delta=5 * np.std(ratios) / np.sqrt(ratios.size) + 1e-4)
        self.assertSameElements(model.quantities, model.moments)
        for quantity, (mean, deviation) in model.moments.items():
            values = (model.quantities[quantity](latents).numpy() - mean) / deviation
            for power, expected in ((1, 0), (2, 1)):
                terms = ratios * (values**power - expected)
                self.assertAlmostEqual(np.mean(terms), 0, delta=5 * np.std(terms) / np.sqrt(terms.size), msg=quantity)


class SurrogateTest(parameterized.TestCase):
    @parameterized.parameters(*example.MODELS)
    def test_a_flow_comes_nearer_than_the_mean_field(self, name):
        model = example.MODELS[name]()
        gaps = {}
        for surrogate in ("mean field", "iaf"):
            keras.utils.set_random_seed(0)
            posterior = example.SURROGATES[surrogate]()
            example.fit(posterior, model, steps=300, seed=0)
            elbo, error, _ = example.evaluate(posterior, model, seed=0)
            gaps[surrogate] = model.log_evidence - elbo
            self.assertGreater(gaps[surrogate], -5 * error)
        self.assertLess(gaps["iaf"], gaps["mean field"] - 0.5)

    def test_a_step_evaluates_each_network_once(self):
        posterior = example.SURROGATES["iaf"]()
        calls = []
        call = nvp.conditioners.MaskedMLP.call

        def counted(self, *args, **kwargs):
            tf.py_function(lambda: calls.append(self.name), [], [])
            return call(self, *args, **kwargs)

        with mock.patch.object(nvp.conditioners.MaskedMLP, "call", counted):
            example.fit(posterior, example.funnel(), steps=2, seed=0)
        self.assertCountEqual(calls, 2 * [f"autoregressive_{i}_network" for i in range(3)])

    def test_main(self):
        values = types.SimpleNamespace(model="eight_schools", steps=1, seed=0)
        with mock.patch.object(flags, "FLAGS", values), contextlib.redirect_stdout(io.StringIO()) as printed:
            example.main([])
        printed = printed.getvalue()
        # The published reference: mu 4.4 and 3.3, tau 3.6 and 3.2.
        self.assertRegex(printed, r"(?m)^exact +-31\.311 +4\.40, 3\.32 +3\.60, 3\.22 +6\.21, 5\.59")
        for surrogate in example.SURROGATES:
            self.assertRegex(printed, rf"(?m)^{re.escape(surrogate)} +-[\d.]+ \+- [\d.]+ ")


if __name__ == "__main__":
    absltest.main()
