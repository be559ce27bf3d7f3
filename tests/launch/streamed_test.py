"""Training on a table that is read in each pass, and what its model keeps of that."""

import csv
import json

import numpy as np
from absl.testing import absltest

from tests.launch import programs

_FLOW = ("--flow=coupling", "--couplings=2", "--hidden_units=8", "--batch_size=50", "--verbose=0")


class StreamedTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = programs.scratch() / "streamed"
        folder.mkdir(exist_ok=True)
        cls.csv, cls.folder = folder / "table.csv", folder / "run"
        random = np.random.default_rng(0)
        with cls.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["income", "kind", "age"])
            for _ in range(400):
                writer.writerow([f"{random.gamma(2):.4f}", random.choice(["a", "b", "c"]), random.integers(20, 60)])
        cls.flags = (*_FLOW, f"--dataset=csv:{cls.csv}", f"--output_dir={cls.folder}", "--shuffle_buffer=60")
        cls.trained = programs.run("train", *cls.flags, "--epochs=1", "--context=kind")

    def test_trains(self):
        self.assertEqual(self.trained.status, 0, self.trained.errors)
        for line in ("  income  positive  log\n", "  shuffled in a buffer of 60\n", "Gaussian copula", "samples.csv"):
            self.assertIn(line, self.trained.output)
        self.assertEqual(json.loads((self.folder / "config.json").read_text())["model"]["shuffle_buffer"], 60)

    def test_evaluates_the_same_rows(self):
        expected = json.loads((self.folder / "results.json").read_text())["coupling"]
        for model in (f"--output_dir={self.folder}", f"--saved_model={self.folder / 'saved_model'}"):
            evaluated = programs.run("evaluate", model, "--header=yes")
            self.assertEqual(evaluated.status, 0, evaluated.errors)
            self.assertNotIn("has changed since training", evaluated.errors)
            self.assertIn(f"{expected['nats']:.4f} +-", evaluated.output)
            self.assertIn(f"{expected['count']} events", evaluated.output)

    def test_another_buffer_is_another_run(self):
        refused = programs.run("train", *self.flags[:-1], "--shuffle_buffer=70", "--epochs=1", "--context=kind")
        self.assertIn("shuffle_buffer", refused.error)

    def test_refused(self):
        refused = programs.run("train", "--shuffle_buffer=70", "--output_dir=none")
        self.assertEqual(
            refused.error, "digits: expected a table, csv:, parquet: or arrow:, for a shuffle_buffer, got images"
        )


if __name__ == "__main__":
    absltest.main()
