"""`python -m launch.evaluate`."""

import json
import pathlib
import re
import tempfile

from absl.testing import absltest, parameterized

from tests.launch import programs
from tfp_realnvp import presets, training


def _evaluate(folder, *flags):
    return programs.run("evaluate", f"--data_dir={programs.scratch() / 'data'}", f"--output_dir={folder}", *flags)


class EvaluateTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained, cls.training = programs.trained()

    def _line(self, *flags):
        """The last line, that of the result."""
        result = _evaluate(self.trained, *flags)
        self.assertEqual(result.status, 0, result.errors)
        self.assertIn(f"Read {training.best_checkpoint(self.trained)}\n", result.output)
        return result.output.splitlines()[-1]

    def _bits_per_dim(self, *flags):
        return float(re.search(r": (\d+\.\d+) \+- \d+\.\d+ bits/dim", self._line(*flags))[1])

    def test_says_what_training_said(self):
        before = programs.contents(self.trained)
        line = self._line()
        row = json.loads((self.trained / "results.json").read_text())["Real NVP"]
        self.assertStartsWith(line, f"digits test: {row['bits_per_dim']:.4f} +- {row['standard_error']:.4f} bits/dim")
        self.assertIn("300 events", line)
        self.assertEqual(programs.contents(self.trained), before)

    def test_settings(self):
        row = json.loads((self.trained / "results.json").read_text())["Real NVP"]
        bits, error = row["bits_per_dim"], row["standard_error"]
        other_noise = self._bits_per_dim("--seed=1")
        self.assertNotEqual(other_noise, round(bits, 4))
        self.assertLess(abs(other_noise - bits), 5 * error)
        self.assertLess(self._bits_per_dim("--importance_samples=5"), bits - 1e-3)

    @parameterized.parameters(("train", 1297), ("validation", 200))
    def test_another_split(self, split, images):
        line = self._line(f"--split={split}")
        self.assertStartsWith(line, f"digits {split}: ")
        self.assertIn(f"{images:,} events", line)


class SavedModelTest(parameterized.TestCase):
    def test_no_export(self):
        folder = self.enter_context(tempfile.TemporaryDirectory())
        self.assertStartsWith(
            programs.run("evaluate", f"--saved_model={folder}").error, "expected an export of tfp_realnvp with"
        )

    @parameterized.parameters(
        ("--output_dir=run", "expected one model to evaluate, got --output_dir and --saved_model"),
        ("--preset=mnist", "expected --preset with a run's --output_dir, got it with --saved_model"),
    )
    def test_a_flag_that_an_export_has_no_use_for(self, flag, message):
        self.assertEqual(programs.run("evaluate", f"--saved_model={programs.digits()}", flag).error, message)


class RefusalsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "run"

    def _claim(self, name):
        """Makes a run's folder without checkpoints."""
        preset = presets.get(name).replace(width=1, blocks=0, scales=1)
        with training.open_run(self.folder, {"preset": name, "model": preset.settings()}):
            pass

    def test_no_run(self):
        self.assertEqual(
            _evaluate(self.folder).error, f"expected a run's folder with a config.json, found none in {self.folder}"
        )
        self.assertFalse(self.folder.exists())

    def test_no_checkpoint(self):
        self._claim("digits")
        self.assertEqual(
            _evaluate(self.folder).error, f"expected a run's folder with checkpoints, found none in {self.folder}"
        )

    def test_a_run_of_another_preset(self):
        folder, _ = programs.trained()
        self.assertEqual(
            _evaluate(folder, "--preset=mnist").error,
            f"expected a run of preset mnist in {folder}, got one of digits",
        )

    def test_images_of_another_shape(self):
        self._claim("mnist")
        self.assertEqual(
            _evaluate(self.folder, "--dataset=digits").error,
            "expected images of shape (28, 28, 1) and 256 levels, got digits: images of shape (8, 8, 1) and 17 levels",
        )

    def test_an_unknown_split(self):
        error = _evaluate(self.folder, "--split=tests").error
        self.assertStartsWith(error, "flag --split=tests: value should be one of <train|validation|test|all>")


if __name__ == "__main__":
    absltest.main()
