"""`python -m launch.edit`."""

import numpy as np
from absl.testing import absltest

from tests.launch import pictures, programs
from tfp_realnvp import data


class EditTest(pictures.PicturesTest):
    def _check(self, *flags):
        (path,) = self.run_program("edit", "--count=6", *flags)
        self.assertStartsWith(path.name, "edit-")
        self.assertIn("count-6", path.name)
        tiles = self.tiles(path, 6, 11)
        batches = list(data.load("digits", labels=True).evaluation_batches("test", 300))
        pixels, labels = (np.concatenate(part) for part in zip(*batches))
        for image, *edited in tiles:
            (place,) = np.flatnonzero(np.all(pictures.grey(pixels) == image, axis=(1, 2)))
            same = [np.mean(one == image) for one in edited]
            # Under its own label it comes back.
            self.assertGreater(same[labels[place]], 0.97)
            # Under others it is another image, the same of them each time.
            self.assertLess(np.median(np.delete(same, labels[place])), 0.97)
        picture = path.read_bytes()
        path.unlink()
        return picture

    def test_of_a_run_and_of_its_export(self):
        folder = programs.trained_with_labels()
        self._check(f"--output_dir={folder}")
        one, other = (self._check(f"--saved_model={folder / 'saved_model'}", f"--seed={seed}") for seed in (1, 2))
        self.assertNotEqual(one, other)

    def test_images_of_one_label(self):
        folder = programs.trained_with_labels()
        (path,) = self.run_program("edit", f"--output_dir={folder}", "--count=3", "--label=7")
        batches = list(data.load("digits", labels=True).evaluation_batches("test", 300))
        pixels, labels = (np.concatenate(part) for part in zip(*batches))
        for image in self.tiles(path, 3, 11)[:, 0]:
            (place,) = np.flatnonzero(np.all(pictures.grey(pixels) == image, axis=(1, 2)))
            self.assertEqual(labels[place], 7)

    def test_an_unconditional_model_has_no_label_to_change(self):
        expected = "expected a conditional model, got an unconditional one: "
        expected += "train one with python -m launch.train --conditional"
        for flag in (f"--output_dir={programs.trained()[0]}", f"--saved_model={programs.exported()}"):
            self.assertEqual(programs.run("edit", flag).error, expected)

    def test_more_images_than_there_are(self):
        folder = programs.trained_with_labels()
        data_dir = f"--data_dir={programs.scratch() / 'data'}"
        result = programs.run("edit", data_dir, f"--output_dir={folder}", "--count=200", "--label=1")
        self.assertRegex(result.error, r"^expected 200 images of label 1 in test, found \d\d among 300$")


if __name__ == "__main__":
    absltest.main()
