"""The spread of starts: what is run, that nothing runs twice, and the deviation in the table."""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest

from benchmarks import steadiness, tabular

_ROOT = pathlib.Path(__file__).parents[2]
_FLAGS = ("--sets=wine_red", "--libraries=ours", "--starts=2", "--steps=3", "--batch_size=8", "--layers=2")


class SteadinessTest(absltest.TestCase):
    def test_table(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            generator = np.random.default_rng(1)
            rows = {"train": 40, "validation": 10, "test": 20}
            small = {f"wine_red/{split}": generator.normal(size=[n, 4]) for split, n in rows.items()}
            np.savez(folder / "uci_small.npz", **small)
            file, output = folder / "rows.jsonl", folder / "table.md"
            recipes = ("plain", "steady, tanh")
            command = [sys.executable, "-m", "benchmarks.steadiness", *_FLAGS, *(f"--recipes={r}" for r in recipes)]
            command += [f"--data_dir={folder}", f"--rows={file}", f"--output={output}"]
            subprocess.run(command, check=True, cwd=_ROOT)
            found = [json.loads(line) for line in file.read_text().splitlines()]
            self.assertEqual([(row["recipe"], row["seed"]) for row in found], [(r, s) for s in (0, 1) for r in recipes])
            of_plain = [row["test"] for row in found if row["recipe"] == "plain"]
            self.assertNotEqual(*of_plain)
            cell = f"{statistics.fmean(of_plain):.3f} ({statistics.stdev(of_plain):.3f})"
            self.assertIn(cell, output.read_text())
            before = file.read_text()
            subprocess.run(command, check=True, cwd=_ROOT)
            self.assertEqual(file.read_text(), before)

    def test_recipes_are_those_of_both(self):
        for recipe in steadiness.RECIPES.values():
            self.assertLessEqual({"learning_rate", "schedule", "clip_norm", "average_decay"}, set(recipe))
        self.assertLessEqual(set(steadiness.SETS), set(tabular.SETS))


if __name__ == "__main__":
    absltest.main()
