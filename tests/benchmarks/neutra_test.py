"""Exact draws have the moments and the evidence that the benchmark compares with."""

import math

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from benchmarks import neutra as benchmark


class NeutraTest(parameterized.TestCase):
    @parameterized.parameters("funnel", "banana")
    def test_exact_draws(self, name):
        model = benchmark.MODELS[name]()
        draws = model.joint.distribution.sample([500, 16], seed=(0, 1))
        samples = {key: value.numpy() for key, value in draws.items() if key != "nothing"}
        self.assertEqual(sum(value[0, 0].size for value in samples.values()), 20)
        found = benchmark.figures(samples, model)
        self.assertLess(abs(found["error"]), 4)
        self.assertAlmostEqual(found["deviation"], model.deviation, delta=0.05 * model.deviation)
        self.assertGreater(found["ess"], 4_000)
        self.assertLess(found["r_hat"], 1.05)
        log_prob = model.joint.distribution.log_prob(**draws)
        np.testing.assert_allclose(model.joint.unnormalized_log_prob(samples), log_prob, rtol=1e-4, atol=1e-4)
        self.assertEqual(model.log_evidence, 0)

    def test_regression(self):
        model = benchmark.MODELS["regression"]()
        # log p(y) = log p(w, y) - log p(w | y), at the posterior's mean and in its first entry's direction.
        y, w = model.joint.pins["y"], tf.Variable(tf.zeros([20]))
        with tf.GradientTape(persistent=True) as outer:
            with tf.GradientTape() as inner:
                log_joint = model.joint.unnormalized_log_prob({"w": w})
            gradient = inner.gradient(log_joint, w)
        precision = -outer.jacobian(gradient, w, experimental_use_pfor=False).numpy().astype(np.float64)
        mean = np.linalg.solve(precision, gradient.numpy())
        self.assertEqual(np.shape(y), (40,))
        self.assertAlmostEqual(mean[0], model.mean, places=4)
        self.assertAlmostEqual(math.sqrt(np.linalg.inv(precision)[0, 0]), model.deviation, places=5)
        at_mean = float(model.joint.unnormalized_log_prob({"w": tf.constant(mean, tf.float32)}))
        log_posterior = 0.5 * np.linalg.slogdet(precision / (2 * np.pi))[1]
        self.assertAlmostEqual(at_mean - log_posterior, model.log_evidence, places=2)

    def test_tables(self):
        one = dict(sampler="NeuTra", fit=10.0, start=5.0, sampling=5.0, ess=1_000.0, r_hat=1.004, divergences=2)
        one |= dict(mean=0.12, deviation=2.9, error=1.3)
        exact = dict(mean=0.0, deviation=3.0, log_evidence=0.0)
        estimate = dict(draws=100, log_evidence=-0.02, standard_error=0.01, ess=50.0, pareto_k=0.3)
        rows = [
            dict(
                target="funnel", exact=exact, found=[one, one | dict(sampler="NUTS", sampling=-0.1)], evidence=estimate
            ),
            dict(target="banana", exact=exact, found=[], evidence=dict(draws=100, refused="k is 1.2")),
        ]
        text = "\n".join(benchmark.tables(rows))
        self.assertRegex(
            text, r"\| funnel, NeuTra +\| +10\.0 \| +5\.0 \| +5\.0 \| +1,000 \| +200 \| +50 \| 1\.004 \| +2 \|"
        )
        self.assertRegex(text, r"\| funnel \| +0\.000 \| -0\.020 \+- 0\.010 \| +-2\.0 \| +50 of 100 \| +0\.30 \|")
        self.assertRegex(text, r"\| funnel, NUTS .*\| +-0\.1 \| +1,000 \| not measured \|")
        self.assertRegex(text, r"\| banana \| +0\.000 \| +refused \|")


if __name__ == "__main__":
    absltest.main()
