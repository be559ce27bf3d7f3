"""`python -m launch.export`."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest

from tests.launch import programs


class ExportTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained, _ = programs.trained()

    def setUp(self):
        super().setUp()
        self.target = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "served" / "digits" / "1"

    def _export(self, *flags):
        return programs.run("export", f"--output_dir={self.trained}", *flags)

    def test_writes_the_best_checkpoint(self):
        before = programs.contents(self.trained)
        result = self._export(f"--export_dir={self.target}")
        self.assertEqual(result.status, 0, result.errors)
        self.assertEqual(result.output.splitlines()[-1], f"Wrote {self.target}")
        # The run has a SavedModel of the same checkpoint.
        ours, theirs = (tf.saved_model.load(str(path)) for path in (self.target, self.trained / "saved_model"))
        self.assertEqual(ours.levels.numpy(), 17)
        seed = tf.constant([0, 1])
        images = ours.signatures["sample"](count=tf.constant(3), seed=seed)["images"]
        self.assertEqual(images.shape, (3, 8, 8, 1))
        np.testing.assert_array_equal(images, theirs.signatures["sample"](count=tf.constant(3), seed=seed)["images"])
        log_probs = [model.signatures["log_prob"](images=images)["log_prob"] for model in (ours, theirs)]
        np.testing.assert_array_equal(*log_probs)
        self.assertTrue(np.all(np.isfinite(log_probs)))
        self.assertEqual(programs.contents(self.trained), before)

    def test_what_is_there_is_left_alone(self):
        self.target.mkdir(parents=True)
        (self.target / "notes.txt").write_text("mine")
        result = self._export(f"--export_dir={self.target}")
        self.assertEqual(
            result.error, f"expected a path for a new folder, but there is something at {self.target}"
        )
        self.assertEqual(programs.contents(self.target), {self.target / "notes.txt": b"mine"})

    def test_where_to_must_be_said(self):
        result = self._export()
        self.assertEqual(result.status, 1)
        self.assertIn("Flag --export_dir must have a value other than None.", result.errors)

    def test_no_run(self):
        nowhere = self.target / "nowhere"
        result = programs.run("export", f"--output_dir={nowhere}", f"--export_dir={self.target}")
        self.assertEqual(result.error, f"expected a run's folder with a config.json, found none in {nowhere}")
        self.assertFalse(self.target.exists())

    def test_help(self):
        output = programs.run("export", "--help").output
        self.assertIn("Write a trained model as a SavedModel", output)
        self.assertIn("  --export_dir: ", output)


if __name__ == "__main__":
    absltest.main()
