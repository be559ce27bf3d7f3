"""`python -m launch.export`."""

import json
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest

from tests.launch import programs
from tfp_realnvp import serving


class ExportTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained, _ = programs.trained()

    def setUp(self):
        super().setUp()
        self.model = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "served" / "digits"
        self.target = self.model / "1"

    def _export(self, *flags):
        return programs.run("export", f"--output_dir={self.trained}", *flags)

    def test_writes_the_best_checkpoint(self):
        before = programs.contents(self.trained)
        novelty = ("--calibration_split=validation", "--calibration_events=70")
        result = self._export(
            f"--export_dir={self.model}", f"--litert={self.model}/lite/digits.tflite", "--card", *novelty
        )
        self.assertEqual(result.status, 0, result.errors)
        written = [self.target, *(self.model / name for name in ("lite/digits.tflite", "README.md", "samples.png"))]
        self.assertEqual(result.output.splitlines()[-4:], [f"Wrote {path}" for path in written])
        # The run has a SavedModel of the same checkpoint.
        ours, theirs = (tf.saved_model.load(str(path)) for path in (self.target, self.trained / "saved_model"))
        self.assertEqual(ours.levels.numpy(), 17)
        asked = dict(count=tf.constant(3), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))
        images = ours.signatures["sample"](**asked)["images"]
        self.assertEqual(images.shape, (3, 8, 8, 1))
        np.testing.assert_array_equal(images, theirs.signatures["sample"](**asked)["images"])
        log_probs = [model.signatures["log_prob"](images=images)["log_prob"] for model in (ours, theirs)]
        np.testing.assert_array_equal(*log_probs)
        self.assertTrue(np.all(np.isfinite(log_probs)))
        calibration = serving.calibration_of(self.target)
        self.assertEqual([*calibration.statistics], ["typicality", "complexity", "gradient"])
        p_value = ours.signatures["p_value"](images=images)["p_value"]
        expected = calibration.p_values({"typicality": log_probs[0].numpy()})["typicality"]
        np.testing.assert_allclose(p_value, expected, rtol=1e-6)
        self.assertEqual(programs.contents(self.trained), before)
        self.assertEqual((self.model / "samples.png").read_bytes(), (self.trained / "samples.png").read_bytes())
        card = (self.model / "README.md").read_text()
        results = json.loads((self.trained / "results.json").read_text())["Real NVP"]
        figure = f"{results['bits_per_dim']:.4f} +- {results['standard_error']:.4f}"
        for said in (
            f"| Real NVP | {figure} |",
            "CC BY 4.0",
            "python -m launch.train --scales=1 --width=2 --blocks=0 --batch_size=400 --verbose=2 --data_dir=DIR",
            "| `log_prob` | `images` float32 [any, 8, 8, 1] | `bits_per_dim` float32 [any]<br>`log_prob` float32",
            f"tfp-realnvp evaluate --saved_model={self.target}",
            "`p_value` was calibrated by 70 validation images of digits. No p-value is below 0.028.",
        ):
            self.assertIn(said, card)
        has_changes = json.loads((self.trained / "config.json").read_text())["uncommitted_changes"]
        self.assertEqual("with uncommitted changes" in card, bool(has_changes))
        # The figure of the card, again.
        flags = (f"--saved_model={self.model}", f"--data_dir={programs.scratch() / 'data'}")
        self.assertIn(f"digits test: {figure} bits/dim", programs.run("evaluate", *flags).output)

    def test_the_next_version(self):
        for name in ("1", "7", "notes"):
            (self.model / name).mkdir(parents=True)
        result = self._export(f"--export_dir={self.model}", "--weights_dtype=bfloat16", "--max_samples=2")
        self.assertEqual(result.output.splitlines()[-1], f"Wrote {self.model / '8'}")
        self.assertEqual(serving.describe(self.model / "8")["max_samples"], 2)

    def test_what_is_there_is_left_alone(self):
        self.target.mkdir(parents=True)
        (self.target / "notes.txt").write_text("mine")
        result = self._export(f"--export_dir={self.model}", "--version=1")
        self.assertEqual(result.error, f"expected a path for a new folder, but there is something at {self.target}")
        self.assertEqual(programs.contents(self.target), {self.target / "notes.txt": b"mine"})

    def test_a_card_is_for_a_run_that_is_finished(self):
        with tempfile.TemporaryDirectory() as unfinished:
            shutil.copy(self.trained / "config.json", unfinished)
            flags = (f"--output_dir={unfinished}", f"--export_dir={self.model}", "--card")
            error = programs.run("export", *flags).error
            self.assertStartsWith(error, "expected a finished run for a card, found no results.json")
        self.assertFalse(self.model.exists())

    def test_a_card_is_written_over_nothing_but_a_card(self):
        self.model.mkdir(parents=True)
        (self.model / "README.md").write_text("mine")
        error = self._export(f"--export_dir={self.model}", "--card").error
        self.assertEqual(
            error, f"expected a model's folder or a new folder for a card, got {self.model} with another README.md"
        )
        self.assertEqual([path.name for path in self.model.iterdir()], ["README.md"])

    def test_where_to_must_be_said(self):
        result = self._export()
        self.assertIn("Flag --export_dir must have a value other than None.", result.error)

    def test_no_run(self):
        nowhere = self.target / "nowhere"
        result = programs.run("export", f"--output_dir={nowhere}", f"--export_dir={self.model}")
        self.assertEqual(result.error, f"expected a run's folder with a config.json, found none in {nowhere}")
        self.assertFalse(self.target.exists())


if __name__ == "__main__":
    absltest.main()
