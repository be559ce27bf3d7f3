"""The tables of flows on tables: data, resuming, what is kept of a training, and that the peers are what ours is."""

import contextlib
import importlib.util
import json
import math
import os
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

import numpy as np
from absl import flags
from absl.testing import absltest, parameterized

from benchmarks import tabular

_NEEDS_TORCH = unittest.skipUnless(
    all(importlib.util.find_spec(name) for name in ("torch", "nflows", "normflows", "zuko")),
    "PyTorch and the peers are not installed: pip install '.[bench]'",
)


def _job(**changes: object) -> dict:
    job = dict(set="wine_red", flow="real_nvp", library="ours", seed=0, steps=4, validate_every=2, batch_size=8)
    return job | dict(learning_rate=1e-2, layers=2, hidden_units=[8, 8], bins=4, bound=5.0) | changes


def _write_tables(folder: str) -> None:
    generator = np.random.default_rng(1)
    rows = {"train": 40, "validation": 10, "test": 20}
    small = {f"wine_red/{split}": generator.normal(size=[n, 5]).astype(np.float32) for split, n in rows.items()}
    np.savez(os.path.join(folder, "uci_small.npz"), **small)
    patches = {split: generator.integers(0, 256, [n, 8, 8], np.uint8) for split, n in rows.items()}
    np.savez(os.path.join(folder, "bsds300_patches_u8.npz"), **patches)


class Learner:
    """Reports what it is told to, and remembers what it was asked."""

    def __init__(self, validations: list[float]):
        self.validations = iter(validations)
        self.asked = []

    def start(self, path: str) -> None:
        with np.load(path) as file:
            self.asked.append(sorted(file))

    def train(self, first: int, last: int) -> None:
        self.asked.append((first, last))

    def evaluate(self, split: str) -> list[float]:
        return [next(self.validations), 0.1] if split == "validation" else [-7.0, 0.5]

    def keep(self) -> None:
        self.asked.append("keep")

    def restore(self) -> None:
        self.asked.append("restore")

    def facts(self) -> dict:
        return {"parameters": 3}


class DataTest(absltest.TestCase):
    def test_small_tables_get_the_same_noise_each_time(self):
        with tempfile.TemporaryDirectory() as folder:
            _write_tables(folder)
            data = tabular.prepare("wine_red", folder)
            again = tabular.prepare("wine_red", folder)
            with np.load(os.path.join(folder, "uci_small.npz")) as file:
                noise = data["train"] - file["wine_red/train"]
        np.testing.assert_array_equal(data["test"], again["test"])
        self.assertEqual(data["train"].dtype, np.float32)
        self.assertAlmostEqual(noise.std(), 0.05, delta=0.01)
        self.assertEqual(data["unit"], 0)

    def test_patches_are_standardised_and_their_unit_is_that_of_grey(self):
        with tempfile.TemporaryDirectory() as folder:
            _write_tables(folder)
            data = tabular.prepare("bsds300_patches", folder)
        self.assertEqual(data["train"].shape, (40, 63))
        np.testing.assert_allclose(data["train"].std(0), 1, atol=1e-5)
        # Grey that is uniform in [0, 1) deviates by 0.29.
        self.assertAlmostEqual(float(data["unit"]) / 63, -math.log(0.29), delta=0.1)

    def test_refuses_an_unknown_set(self):
        with self.assertRaisesRegex(ValueError, "expected one of wine_red, .*, got 'wine'"):
            tabular.prepare("wine", "")

    def test_the_order_is_one_permutation_after_the_other(self):
        order = tabular.order(rows=6, batch_size=4, steps=3, seed=0)
        self.assertEqual(order.shape, (3, 4))
        for epoch in order.reshape(2, 6):
            self.assertCountEqual(epoch, range(6))
        self.assertFalse(np.array_equal(order, tabular.order(rows=6, batch_size=4, steps=3, seed=1)))


class RunTest(absltest.TestCase):
    def test_the_weights_that_were_best_on_validation_rows_are_tested(self):
        learner = Learner([-9.0, -8.0, math.nan, -8.5])
        result = tabular.fit(learner, steps=7, validate_every=2)
        self.assertEqual(learner.asked, [(0, 2), "keep", (2, 4), "keep", (4, 6), (6, 7), "restore"])
        self.assertEqual((result["test"], result["validation"], result["best_step"]), (-7.0, -8.0, 4))

    def test_what_has_a_row_is_not_run_again(self):
        learners = []

        @contextlib.contextmanager
        def learner(job: dict):
            learners.append(Learner([math.nan] * 2 if job["seed"] == 1 else [-9.0, -8.0]))
            yield learners[-1]

        with tempfile.TemporaryDirectory() as folder:
            _write_tables(folder)
            file = pathlib.Path(folder) / "rows.jsonl"
            tabular.run([_job()], file, learner, folder)
            tabular.run([_job(), _job(seed=1), _job(steps=3)], file, learner, folder)
            self.assertLen(learners, 3)
            rows = tabular.read(file)
            # What failed is tried again.
            tabular.run([_job(), _job(seed=1)], file, learner, folder)
            self.assertLen(learners, 4)
        self.assertEqual(learners[0].asked[0], ["order", "test", "train", "validation"])
        self.assertEqual(tabular.row_of(_job(), rows)["test"], -7.0)
        self.assertIn("no log-likelihood", tabular.row_of(_job(seed=1), rows)["error"])
        self.assertIsNone(tabular.row_of(_job(seed=2), rows))
        self.assertEqual(json.loads(json.dumps(rows)), rows)

    def test_ours_learns(self):
        generator = np.random.default_rng(0)
        data = {split: 3 + generator.normal(size=[64, 3]).astype(np.float32) for split in ("train", "validation")}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "data.npz")
            np.savez(path, **data, order=tabular.order(64, 16, 20, seed=0))
            ours = tabular.Ours(_job(steps=20))
            ours.start(path)
        before, _ = ours.evaluate("validation")
        ours.keep()
        ours.train(0, 20)
        after, error = ours.evaluate("validation")
        ours.restore()
        self.assertGreater(after, before + 1)
        self.assertGreater(error, 0)
        self.assertAlmostEqual(ours.evaluate("validation")[0], before, places=5)


class FlowsTest(parameterized.TestCase):
    @parameterized.parameters(*tabular.FLOWS)
    def test_ours_has_the_flow(self, flow):
        distribution = tabular.build(flow, tabular.layout_of(_job(), 3))
        self.assertEqual(distribution.event_shape, [3])
        networks = [layer for layer in distribution.flow.bijectors if layer.trainable_variables]
        self.assertGreaterEqual(len(networks), 1 if flow == "ffjord" else 2)

    def test_a_peer_is_asked_only_for_what_it_has(self):
        some = dict(sets=["wine_red"], flows=["maf", "bnaf", "residual"], libraries=["ours", "zuko", "flowjax"])
        values = _job(seeds=["0"], **some)
        with mock.patch.object(flags, "FLAGS", types.SimpleNamespace(**values)):
            found = [(job["flow"], job["library"]) for job in tabular._jobs()]
        expected = [("maf", "ours"), ("maf", "zuko"), ("bnaf", "ours"), ("bnaf", "flowjax"), ("residual", "ours")]
        self.assertEqual(found, expected)


class TableTest(absltest.TestCase):
    def test_ours_is_compared_with_the_best_peer(self):
        def row(library: str, test: float, seed: int = 0) -> dict:
            return _job(library=library, seed=seed) | dict(test=test, standard_error=0.2)

        jobs = [_job(library=library, seed=seed) for library in ("ours", "nflows", "zuko") for seed in (0, 1)]
        rows = [row("ours", -5.0), row("ours", -5.2, 1), row("nflows", -6.0), row("zuko", -4.0), row("zuko", -5.8, 1)]
        lines = tabular.quality_tables(jobs, rows)
        cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
        self.assertEqual(
            cells[:4], ["wine_red", "-5.100 +- 0.200 (0.141)", "-6.000 +- 0.200", "-4.900 +- 0.200 (1.273)"]
        )
        self.assertEqual(cells[4:], ["-0.200 (zuko)", "yes"])
        worse = tabular.quality_tables(jobs, [*rows, row("ours", -5.4)])
        self.assertEqual(worse[2].strip("|").split("|")[-1].strip(), "no")

    def test_what_failed_or_was_not_run_says_so(self):
        jobs = [_job(library=library) for library in ("ours", "nflows", "zuko")]
        lines = tabular.quality_tables(jobs, [_job(library="nflows") | dict(error="RuntimeError: no")])
        cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
        self.assertEqual(cells, ["wine_red", "-", "RuntimeError: no", "-", "-", "-"])


class PeersTest(parameterized.TestCase):
    @parameterized.parameters(*((p, flow) for flow, peers in tabular.FLOWS.items() for p in peers if p != "flowjax"))
    @_NEEDS_TORCH
    def test_a_peer_trains(self, library, flow):
        with tempfile.TemporaryDirectory() as folder:
            _write_tables(folder)
            file = pathlib.Path(folder) / "rows.jsonl"
            job = _job(library=library, flow=flow)
            tabular.run([job], file, lambda job: tabular.learner(job, sys.executable), folder)
            (row,) = tabular.read(file)
        self.assertNotIn("error", row)
        self.assertTrue(math.isfinite(row["test"]))


if __name__ == "__main__":
    absltest.main()
