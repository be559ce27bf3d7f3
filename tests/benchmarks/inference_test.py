"""Posteriors of simulators: reference samples are exact, the classifier tells what differs, and runs resume."""

import contextlib
import importlib.util
import io
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

import numpy as np
from absl import app
from absl.testing import absltest, parameterized

from benchmarks import inference, inference_peer, inference_tasks, tabular
from tfp_realnvp.inference import rank_statistics

_NEEDS_SBI = unittest.skipUnless(importlib.util.find_spec("sbi"), "sbi is not installed: pip install sbi==0.27.0")


class _Exact:
    """The reference posterior of a task."""

    def __init__(self, task):
        self._task = task

    def sample(self, count, x, *, seed=0):
        generator = np.random.default_rng([seed, 1])
        few = {"least": 2} if self._task is inference_tasks.TASKS["slcp"] else {}
        return np.stack([self._task.posterior(generator, one, count, **few) for one in x], 1)


class TasksTest(parameterized.TestCase):
    @parameterized.parameters(*inference_tasks.TASKS)
    def test_reference_samples_are_calibrated(self, name):
        task = inference_tasks.TASKS[name]
        generator = np.random.default_rng(0)
        theta = task.prior(generator, 100)
        calibration = rank_statistics(_Exact(task), theta, task.simulate(generator, theta), samples=19)
        self.assertGreater(min(calibration.p_values.values()), 0.01)

    def test_ranks_of_another_prior_are_not_uniform(self):
        task = inference_tasks.TASKS["gaussian_linear"]
        theta = np.random.default_rng(0).normal(0, 0.6, [100, 10])
        x = task.simulate(np.random.default_rng(1), theta)
        self.assertLess(min(rank_statistics(_Exact(task), theta, x, samples=19).p_values.values()), 1e-3)


class ClassifierTest(absltest.TestCase):
    def test_is_a_half_for_equal_and_one_for_disjoint_samples(self):
        first, second = np.random.default_rng(0).normal(size=[2, 150, 2])
        self.assertBetween(inference.c2st(first, second), 0.4, 0.62)
        self.assertGreater(inference.c2st(first, second + 8), 0.99)


class RunTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def _main(self, **changes):
        values = dict(tasks=["gaussian_mixture"], libraries=["ours"], budgets=["50"], seeds=["0"], observations=1)
        values |= dict(samples=20, test_pairs=20, run=True, torch_python=sys.executable)
        values |= dict(rows=str(self.folder / "rows.jsonl"), output=None, picture=str(self.folder / "picture.png"))
        with mock.patch.object(inference.flags, "FLAGS", types.SimpleNamespace(**(values | changes))):
            with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()):
                inference.main([])
        return printed.getvalue()

    def test_what_has_a_row_is_not_run_again(self):
        def exact(job, data):
            """Draws from the posterior itself."""
            task, generator = inference_tasks.TASKS[job["task"]], np.random.default_rng([job["seed"], 9])
            samples = np.stack([task.posterior(generator, x, job["samples"]) for x in data["observations"]])
            drawn = np.stack([task.posterior(generator, x, 99) for x in data["test_x"]], 1)

            def log_prob(theta):
                squares = np.sum((theta - data["test_x"]) ** 2, -1)
                return np.logaddexp(-squares / 2, np.log(100) - squares * 50)

            densities = dict(truth=log_prob(data["test_theta"]), of_drawn=log_prob(drawn))
            return dict(samples=samples, drawn=drawn) | densities, dict(cpu_seconds=1.0)

        with mock.patch.object(inference, "ours", side_effect=exact) as run:
            text = self._main()
            self._main()
            self.assertEqual(run.call_count, 1)
            text = self._main(seeds=["0", "1"])
            self.assertEqual(run.call_count, 2)
        rows = tabular.read(self.folder / "rows.jsonl")
        self.assertEqual([row["seed"] for row in rows], [0, 1])
        self.assertGreater(min(row["p_value"] for row in rows), 1e-3)
        self.assertRegex(text, r"(?m)^\| gaussian_mixture +\| +50 \| +0\.\d{3} \(0\.\d{3}\) \| +- \|")
        self.assertEqual((self.folder / "picture.png").read_bytes()[:4], b"\x89PNG")

    def test_the_verdict_compares_with_the_best_peer(self):
        runs = {
            "ours": [dict(c2st=0.60), dict(c2st=0.62)],
            "sbi": [dict(c2st=0.58), dict(c2st=0.62)],
            "bayesflow": [dict(c2st=0.9), dict(c2st=0.9)],
        }
        self.assertEqual(inference._verdict(runs), "yes: +0.010 from sbi")
        runs["ours"] = [dict(c2st=0.7), dict(c2st=0.7)]
        self.assertEqual(inference._verdict(runs), "no: +0.100 from sbi")

    def test_refuses_what_it_does_not_know(self):
        with self.assertRaisesRegex(
            app.UsageError, "expected --libraries to be some of ours, sbi, bayesflow, got zuko"
        ):
            self._main(libraries=["zuko"])

    @_NEEDS_SBI
    def test_the_peer_trains(self):
        self._main(libraries=["sbi"])
        (row,) = tabular.read(self.folder / "rows.jsonl")
        self.assertTrue(np.isfinite([row["c2st"], row["log_prob"]]).all())

    def test_the_peers_are_known(self):
        self.assertEqual(set(inference_peer.LIBRARIES), set(inference.LIBRARIES) - {"ours"})


if __name__ == "__main__":
    absltest.main()
