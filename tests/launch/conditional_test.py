"""Class-conditional models, from training to samples."""

import json
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest

import tfp_realnvp as nvp
from tests.launch import programs


class ConditionalTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained = programs.trained_with_labels()
        cls.flags = (f"--output_dir={cls.trained}", f"--data_dir={programs.scratch() / 'data'}")

    def test_it_says_so(self):
        config = json.loads((self.trained / "config.json").read_text())
        self.assertEqual(config["model"]["classes"], 10)
        self.assertTrue((self.trained / "samples.png").is_file())

    def test_evaluate_says_the_same(self):
        bits = json.loads((self.trained / "results.json").read_text())["Real NVP"]["bits_per_dim"]
        result = programs.run("evaluate", *self.flags)
        self.assertIn(f"test: {bits:.4f} +- ", result.output, result.errors)

    def test_the_label_matters_and_is_served(self):
        loaded = nvp.load(self.trained / "saved_model")
        images = np.full([2, 8, 8, 1], 7.5, np.float32)
        one, two = (loaded.log_prob(images, context=np.eye(10, dtype=np.float32)[[k, k]]) for k in (0, 1))
        self.assertGreater(np.max(np.abs(one - two)), 1e-3)

    def test_samples_of_a_label(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        flags = (*self.flags, f"--pictures_dir={folder}", "--count=4")
        pictures = []
        for label in (3, 5, 3):
            result = programs.run("sample", *flags, f"--label={label}")
            self.assertEqual(result.status, 0, result.errors)
            pictures.append((folder / f"samples-0-count-4-label-{label}.png").read_bytes())
        self.assertNotEqual(pictures[0], pictures[1])
        self.assertEqual(pictures[0], pictures[2])
        result = programs.run("sample", *flags, "--label=10")
        self.assertEqual(result.error, "expected a label in 0 ... 9, got 10")

    def test_tables_have_no_labels(self):
        result = programs.run("train", "--conditional", "--dataset=csv:x.csv", *self.flags)
        self.assertEqual(result.error, "expected an image set with labels for --conditional, got a table")


if __name__ == "__main__":
    absltest.main()
