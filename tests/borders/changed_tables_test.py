"""A table that has changed since a model was trained on it is put right, refused or warned of."""

import json
import os
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from launch import run
from tests.launch import programs
from tfp_realnvp import data, serving, training
from tfp_realnvp.data.sets import SPLITS

_NAMES = ("length", "weight, kg")
_ROWS = np.float32(np.random.default_rng(0).normal(size=[40, 2]) * [1, 100])


def _write(path, rows=_ROWS, names=_NAMES):
    data.write_csv(pathlib.Path(path), rows, names)


def _write_without_header(path):
    _write(path)
    pathlib.Path(path).write_text("".join(pathlib.Path(path).read_text().splitlines(keepends=True)[1:]))


class LoadTest(parameterized.TestCase):
    """What `load_table` and `claim` do, without a model."""

    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, pathlib.Path.cwd())
        os.chdir(self.enter_context(tempfile.TemporaryDirectory()))
        _write("table.csv")
        self.before = data.load_table("csv:table.csv")

    def _rows(self, table):
        return np.concatenate([np.concatenate(list(table.evaluation_batches(split, 9))) for split in SPLITS])

    @parameterized.named_parameters(
        ("other_digits", lambda path: np.savetxt(path, _ROWS, "%.12e", ",", header='length,"weight, kg"', comments="")),
        ("other_order", lambda path: _write(path, _ROWS[:, ::-1], _NAMES[::-1])),
        ("no_header", _write_without_header),
    )
    def test_the_same_numbers_are_the_same_table(self, change):
        change("table.csv")
        after = data.load_table("csv:table.csv", columns=self.before.columns)
        self.assertEqual((after.files, after.columns), (self.before.files, self.before.columns))
        np.testing.assert_array_equal(self._rows(after), self._rows(self.before))
        np.testing.assert_array_equal(after.std, self.before.std)

    @parameterized.named_parameters(
        ("grown", np.concatenate([_ROWS, _ROWS[:1]])),
        ("sorted", _ROWS[np.argsort(_ROWS[:, 0])]),
        ("cut", _ROWS[:-1]),
        ("one_number", _ROWS + np.eye(40, 2) * 1e-3),
    )
    def test_other_numbers_are_another_table(self, rows):
        with training.open_run("run", {"preset": "power", "model": run.identity(self.before)}):
            pass
        _write("table.csv", rows)
        after = data.load_table("csv:table.csv", columns=_NAMES)
        self.assertNotEqual(after.files, self.before.files)
        self.assertStartsWith(after.files, f"{len(rows)} rows of digest ")
        with self.assertRaisesRegex(
            training.CheckpointError,
            rf"^run contains a run of another model, with files={self.before.files} \(here {after.files}\): choose",
        ):
            with training.open_run("run", {"preset": "power", "model": run.identity(after)}):
                self.fail("opened a run of another table")

    @parameterized.parameters(
        (("length", "height"), "expected the columns length, weight, kg, got no 'weight, kg' and also 'height'"),
        (("length",), "at least 2 columns"),
        (("length", "weight, kg", "id"), "expected the columns length, weight, kg, got also 'id'"),
        (("1", "3"), "expected the columns length, weight, kg, got no 'length', 'weight, kg' and also '1', '3'"),
    )
    def test_other_columns_are_refused(self, names, message):
        _write("table.csv", np.random.default_rng(1).normal(size=[40, len(names)]), names)
        header = "yes" if names[0] == "1" else "auto"
        with self.assertRaisesRegex(data.BadTableError, message):
            data.load_table("csv:table.csv", columns=_NAMES, header=header)

    def test_names_that_are_numbers_are_found_again(self):
        _write("table.csv", names=("1", "0"))
        self.assertEqual(data.load_table("csv:table.csv", columns=("0", "1")).columns, ("0", "1"))

    def test_columns_without_names(self):
        np.save("table.npy", _ROWS)
        table = data.load_table("npy:table.npy", columns=_NAMES)
        self.assertEqual((table.files, table.columns), (self.before.files, _NAMES))
        with self.assertRaisesRegex(data.BadTableError, "npy:table.npy: expected 1 columns, a, got 2 without names"):
            data.load_table("npy:table.npy", columns=("a",))

    def test_a_fault_is_named_as_in_the_file(self):
        _write("table.csv", _ROWS * [1, 0], _NAMES[::-1])
        with self.assertRaisesRegex(data.BadTableError, r"column 2 \('length'\): expected values that differ"):
            data.load_table("csv:table.csv", columns=_NAMES)


class ProgramsTest(absltest.TestCase):
    """What the programs do of it, with one model."""

    def test_a_table_that_changes_under_a_run(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        table, trained = folder / "table.csv", folder / "run"
        flags = ("--flow=nice", "--hidden_units=2", "--batch_size=16", "--epochs=1", "--verbose=0")
        flags += ("--require_margin=-1e9",)
        begin = (*flags, f"--dataset=csv:{table}", f"--output_dir={trained}")
        _write(table)
        result = programs.run("train", *begin)
        self.assertEqual(result.status, 0, result.errors)
        files = data.load_table(f"csv:{table}").files
        for kept in (
            json.loads((trained / "config.json").read_text())["model"],
            serving.describe(trained / "saved_model"),
        ):
            self.assertEqual((kept["files"], kept["columns"]), (files, list(_NAMES)))
        samples = (trained / "samples.csv").read_text().splitlines()
        self.assertEqual((samples[0], len(samples)), ('length,"weight, kg"', 1001))
        nats = json.loads((trained / "results.json").read_text())["nice"]["nats"]

        _write(table, _ROWS[:, ::-1], _NAMES[::-1])
        evaluated = programs.run("evaluate", f"--saved_model={trained / 'saved_model'}")
        self.assertIn(f" test: {nats:.4f} +- ", evaluated.output)
        self.assertNotIn("Warning", evaluated.errors)
        resumed = programs.run("train", *begin)
        self.assertEqual(resumed.status, 0, resumed.errors)
        self.assertEqual(json.loads((trained / "results.json").read_text())["nice"]["nats"], nats)

        _write(table, _ROWS[np.argsort(_ROWS[:, 0])])
        evaluated = programs.run("evaluate", f"--output_dir={trained}")
        self.assertIn(f"Warning: csv:{table} has changed since training, from {files} to 40 rows of ", evaluated.errors)
        self.assertIn(
            f"contains a run of another model, with files={files} (here 40 rows", programs.run("train", *begin).error
        )

        # As few rows as columns, and other names.
        few = np.random.default_rng(1).normal(size=[6, 9])
        _write(table, few, [f"c{i}" for i in range(9)])
        self.assertIn("got no 'length'", programs.run("evaluate", f"--output_dir={trained}").error)
        result = programs.run("train", *begin, "--batch_size=2", f"--output_dir={folder / 'few'}")
        self.assertEqual(result.error, "expected a margin of -1000000000.0 nats, got no baseline to compare with")
        self.assertIn(
            "Skipping the Gaussian baseline: expected more than 9 training rows for 9 columns, got 4\n", result.output
        )
        self.assertEqual(list(json.loads((folder / "few" / "results.json").read_text())), ["nice"])


if __name__ == "__main__":
    absltest.main()
