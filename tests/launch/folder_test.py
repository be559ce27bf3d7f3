"""Folders of images as the programs take them: what is said of a bad one, what is kept of it and of its path."""

import json
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from PIL import Image

from launch import run
from tests.launch import programs
from tfp_realnvp import serving


class FolderTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        for number in range(20):
            content = tf.io.encode_png(tf.fill([4, 4, 1], tf.cast(number, tf.uint8))).numpy()
            (self.folder / f"{number:02}.png").write_bytes(content)

    def _train(self, *flags):
        return programs.run("train", f"--dataset=folder:{self.folder}", "--output_dir=runs", "--verbose=0", *flags)

    def test_the_model_takes_the_shape_of_the_files(self):
        result = self._train("--scales=1", "--width=2", "--blocks=0", "--describe")
        self.assertEqual(result.status, 0, result.errors)
        self.assertRegex(result.output, r"DequantizedLogit 256 levels, alpha=0.05 +4x4x1")

    def test_a_bad_file(self):
        bad = self.folder / "07.png"
        bad.write_bytes(tf.io.encode_png(tf.zeros([4, 4, 4], tf.uint8)).numpy())
        self.assertEqual(
            self._train("--describe").error,
            f"{bad}: expected opaque pixels, got transparent ones; flatten_alpha=white puts them on white",
        )

    def test_no_folder(self):
        result = programs.run("train", "--dataset=folder:nowhere", "--output_dir=runs")
        self.assertEqual(result.error, "there is no folder nowhere")

    def test_a_run_among_its_images(self):
        for output in (self.folder / "run", self.folder):
            result = programs.run("train", f"--dataset=folder:{self.folder}", f"--output_dir={output}")
            self.assertEqual(
                result.error, f"expected an --output_dir outside of the images in {self.folder}, got {output}"
            )

    def test_a_batch_that_is_too_large(self):
        self.assertEqual(
            self._train("--batch_size=17").error,
            f"expected a batch_size of 1 to 16, the size of the train split of folder:{self.folder}, got 17",
        )

    def test_labels_that_are_not_there(self):
        error = self._train("--conditional").error
        self.assertEndsWith(error, "00.png: expected every image in the folder of its class, got one in none")

    def test_classes_and_a_size(self):
        for number, path in enumerate(sorted(self.folder.glob("*.png"))):
            target = self.folder / "images" / ("dark" if number < 10 else "bright") / f"{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full([7, 10 + number, 2], number * 12, np.uint8)  # Odd, of all widths, and transparent.
            pixels[:3, :, 1] = 0
            Image.fromarray(pixels).save(target)
        (self.folder / "images/notes.txt").write_text("no image")
        data, folder = f"--dataset=folder:{self.folder / 'images'}", self.folder / "run"
        sized = ("--image_size=4", "--flatten_alpha=white")
        flags = ("--scales=1", "--width=2", "--blocks=0", "--batch_size=8", "--epochs=1", "--verbose=0")
        trained = programs.run("train", data, *sized, *flags, "--conditional", f"--output_dir={folder}")
        self.assertEqual(trained.status, 0, trained.errors)
        self.assertIn("2 classes (bright, dark); left out: .txt (1: notes.txt)", " ".join(trained.output.split()))
        model = json.loads((folder / "config.json").read_text())["model"]
        kept = dict(class_names=["bright", "dark"], classes=2, image_size=4, flatten_alpha="white")
        self.assertEqual({name: model[name] for name in kept}, kept)
        about = serving.describe(folder / "saved_model")
        self.assertEqual({name: about[name] for name in kept}, kept)
        # Images are made as they were in training, without a flag.
        bits = json.loads((folder / "results.json").read_text())["Real NVP"]["bits_per_dim"]
        evaluated = programs.run("evaluate", f"--saved_model={folder / 'saved_model'}")
        self.assertIn(f"test: {bits:.4f} +- ", evaluated.output, evaluated.errors)
        drawn = [programs.run("sample", f"--output_dir={folder}", "--count=2", f"--label={x}") for x in ("dark", "1")]
        self.assertEqual([result.status for result in drawn], [0, 0], drawn[0].errors)
        pictures = [(folder / f"samples-0-count-2-label-{label}.png").read_bytes() for label in ("dark", "1")]
        self.assertEqual(*pictures)
        error = programs.run("sample", f"--output_dir={folder}", "--label=grey").error
        self.assertEqual(error, "expected a label in 0 ... 1 or a name such as bright, dark, got grey")

    def test_a_side_that_cannot_be_halved_so_often(self):
        self.assertStartsWith(self._train("--scales=4", "--batch_size=4").error, "real_nvp: ")

    def test_a_run_knows_its_files(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "run"
        flags = ("--scales=1", "--width=2", "--blocks=0", "--batch_size=16", "--epochs=1", "--preset=cifar10")
        trained = self._train(*flags, f"--output_dir={folder}")
        self.assertEqual(trained.status, 0, trained.errors)
        self.assertNotIn("as published", trained.output)
        said = " ".join(trained.output.split())
        self.assertIn(": 20 images (16 train, 2 validation, 2 test), 4x4x1 of 256 levels", said)
        self.assertIn(
            "Skipping the Gaussian baseline: expected more than 16 training images for a covariance of 16 x 16, got 16",
            trained.output,
        )
        model = json.loads((folder / "config.json").read_text())["model"]
        self.assertFalse(model["flip"])
        # Of two test images there is a report, with what they allow.
        report = programs.run("report", f"--output_dir={folder}")
        self.assertEqual(report.status, 0, report.errors)
        page = (folder / "report.html").read_text()
        self.assertIn("2 test images, encoded and decoded", page)
        self.assertNotIn("Between four images", page)
        (self.folder / "more.png").write_bytes(tf.io.encode_png(tf.fill([4, 4, 1], tf.cast(77, tf.uint8))).numpy())
        for given in (f"--output_dir={folder}", f"--saved_model={folder / 'saved_model'}"):
            evaluated = programs.run("evaluate", given)
            self.assertEqual(evaluated.status, 0, evaluated.errors)
            self.assertIn(f" has changed since training, from {model['files']} to 21 of digest ", evaluated.errors)
        error = self._train(*flags, f"--output_dir={folder}").error
        self.assertIn(f"contains a run of another model, with files={model['files']} (here 21 of digest", error)
        begun = self._train(*flags, f"--init_from={folder}", f"--output_dir={folder.parent / 'begun'}")
        self.assertEqual(begun.status, 0, begun.errors)
        self.assertIn(f" has changed since training, from {model['files']} to 21 of digest ", begun.errors)

    def test_a_command_tells_no_path(self):
        for path in ("/home/somebody/pngs", "/home/somebody/pngs/", "pngs"):
            command = run.command_line(["launch/train.py", f"--dataset=folder:{path}"])
            self.assertEqual(command.rstrip("/"), "python -m launch.train --dataset=folder:pngs")
            given = ["--output_dir", path, "-data_dir", path, "--dataset", f"csv:{path}"]
            command = run.command_line(["launch/train.py", *given])
            self.assertEqual(command.rstrip("/"), "python -m launch.train --data_dir=DIR --dataset=csv:pngs")
            command = run.command_line(["launch/train.py", f"--init_from={path}"])
            self.assertEqual(command, "python -m launch.train --init_from=pngs")


if __name__ == "__main__":
    absltest.main()
