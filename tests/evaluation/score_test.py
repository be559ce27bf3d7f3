"""How a score sums up, reads, compares, and is read from files of now and before."""

import json
import math

import numpy as np
from absl.testing import absltest, parameterized

from tfp_realnvp import evaluation, storage

_UNIFORM = "uniform dequantisation, 1 sample"


class ScoreTest(parameterized.TestCase):
    def test_mean_and_standard_error(self):
        score = evaluation.Score.of(np.float32([1.0, 2.0, 4.0, 5.0]), "bits/dim", _UNIFORM)
        self.assertEqual((score.mean, score.count, score.unit, score.bound), (3.0, 4, "bits/dim", _UNIFORM))
        # Deviations -2, -1, 1, 2: variance 10 / 3, standard error sqrt(10 / 3 / 4).
        self.assertAlmostEqual(score.standard_error, math.sqrt(10 / 12), places=14)
        self.assertIsInstance(score.mean, float)

    def test_one_event_has_no_standard_error(self):
        score = evaluation.Score.of(np.array([2.5]), "nats")
        self.assertEqual(score.mean, 2.5)
        self.assertTrue(math.isnan(score.standard_error))

    def test_one_impossible_event_makes_the_mean_infinite(self):
        score = evaluation.Score.of(np.array([2.5, math.inf]), "bits/dim")
        self.assertEqual(score.mean, math.inf)
        self.assertTrue(math.isnan(score.standard_error))

    def test_an_event_without_weight_does_not_count(self):
        score = evaluation.Score.of(np.array([-1.0, -np.inf, -4.0]), "nats", weights=np.array([3.0, 0.0, 1.0]))
        self.assertAlmostEqual(score.mean, (3 * -1 - 4) / 4)
        with self.assertRaisesRegex(ValueError, "expected at least one event with a weight above 0 to evaluate on"):
            evaluation.Score.of(np.array([-1.0]), "nats", weights=np.zeros(1))

    def test_nothing_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected at least one event to evaluate on, got none"):
            evaluation.Score.of(np.array([]), "nats")

    @parameterized.parameters(
        (300, "bits/dim", _UNIFORM, "2.0612 +- 0.0123 bits/dim (uniform dequantisation, 1 sample, 300 events)"),
        (10_000, "nats", None, "2.0612 +- 0.0123 nats (exact, 10,000 events)"),
        (1, "bits/dim", None, "2.0612 +- 0.0123 bits/dim (exact, 1 event)"),
    )
    def test_reads_well(self, count, unit, bound, expected):
        self.assertEqual(str(evaluation.Score(2.06123, 0.01232, count, unit, bound)), expected)

    def test_fewer_bits_and_more_nats_are_better(self):
        for unit, lead in (("bits/dim", 1.0), ("nats", -1.0)):
            one, other = (evaluation.Score(mean, 0.1, 9, unit) for mean in (2.0, 3.0))
            self.assertEqual((one.lead_over(other), other.lead_over(one)), (lead, -lead))

    @parameterized.parameters(math.inf, 2.5)
    def test_is_read_as_it_was_written(self, mean):
        score = evaluation.Score(mean, 0.25, 300, "nats")
        row = json.loads(storage.to_json(score.to_json()))
        if math.isinf(mean):
            self.assertTrue(math.isnan(evaluation.Score.from_json(row).mean))
        else:
            self.assertEqual(evaluation.Score.from_json(row), score)

    @parameterized.parameters(
        (dict(importance_samples=1, bits_per_dim=2.5), "bits/dim", _UNIFORM),
        (dict(importance_samples=0, dequantization="uniform", bits_per_dim=2.5), "bits/dim", None),
        (
            dict(importance_samples=5, dequantization="variational", bits_per_dim=2.5),
            "bits/dim",
            "variational dequantisation, 5 samples",
        ),
        (dict(nats=2.5), "nats", None),
    )
    def test_of_an_earlier_version(self, row, unit, bound):
        row |= dict(standard_error=0.25, num_examples=300)
        self.assertEqual(evaluation.Score.from_json(row), evaluation.Score(2.5, 0.25, 300, unit, bound))


if __name__ == "__main__":
    absltest.main()
