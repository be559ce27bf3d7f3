"""`python -m launch.sample`."""

import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from tests.launch import pictures, programs
from tfp_realnvp import data, evaluation, training


class SampleTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        trained, _ = programs.trained()
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.folder = pathlib.Path(shutil.copytree(trained, folder / "run"))
        cls.before = programs.contents(cls.folder)

    def _sample(self, *flags):
        """The picture that the program says it wrote, its bytes and its pixels."""
        result = programs.run("sample", f"--output_dir={self.folder}", *flags)
        self.assertEqual(result.status, 0, result.errors)
        path = pathlib.Path(result.output.splitlines()[-1].removeprefix("Wrote "))
        self.assertEqual(path.parent, self.folder)
        picture = path.read_bytes()
        path.unlink()
        return path.name, picture, tf.io.decode_png(picture).numpy()

    def test_a_seed_is_a_picture(self):
        pictures = []
        for seed in (1, 1, 2):
            name, picture, pixels = self._sample("--count=10", "--columns=5", f"--seed={seed}")
            self.assertEqual(name, f"samples-{seed}-columns-5-count-10.png")
            self.assertEqual(pixels.shape, (2 * 66 - 2, 5 * 66 - 2, 1))  # 8x8 magnified 8 times, and 2 between.
            pictures.append(picture)
        self.assertEqual(pictures[0], pictures[1])
        self.assertNotEqual(pictures[0], pictures[2])

    def test_a_picture_is_of_samples(self):
        name, _, pixels = self._sample("--count=3", "--batch_size=2", "--columns=3")
        self.assertEqual(name, "samples-0-batch_size-2-columns-3-count-3.png")
        flow = nvp.real_nvp(event_shape=(8, 8, 1), scales=1, width=2, blocks=0, levels=17)
        training.restore(flow, training.best_checkpoint(self.folder))
        samples = tf.concat([flow.sample(2, seed=(0, batch)) for batch in (0, 1)], 0)[:3].numpy()
        levels = np.clip(np.floor(samples), 0, 16)
        drawn = np.stack([pixels[:64:8, 66 * i : 66 * i + 64 : 8] for i in range(3)])
        # In a graph a sample may round to the next level.
        self.assertGreater(np.mean(drawn == np.rint(255 / 16 * levels)), 0.99)

    def test_by_default_a_square_of_a_hundred(self):
        self.assertEqual(self._sample()[2].shape, (10 * 66 - 2, 10 * 66 - 2, 1))

    def test_refusals(self):
        nowhere = self.folder / "nowhere"
        self.assertEqual(
            programs.run("sample", f"--output_dir={nowhere}").error,
            f"expected a run's folder with a config.json, found none in {nowhere}",
        )
        for flag in ("--count=0", "--columns=0", "--batch_size=0"):
            result = programs.run("sample", f"--output_dir={self.folder}", flag)
            self.assertEqual(result.status, 2)
            self.assertStartsWith(result.error, f"flag {flag}: ")

    def test_latents_of_another_kind(self):
        file = self.enter_context(tempfile.TemporaryDirectory()) + "/latents.npz"
        flags = (f"--saved_model={programs.exported()}", f"--latents={file}")
        self.assertEqual(programs.run("sample", *flags).error, f"expected a file of latents, found none at {file}")
        for given, expected in (
            (dict(z=np.zeros([1, 8, 8, 1])), f"expected an .npz file with an array `latents`, got {file}: "),
            (dict(latents=np.zeros([8, 8, 1])), "expected finite latents [n, 8, 8, 1], got float64 [8, 8, 1]"),
            (dict(latents=np.zeros([1, 8, 8, 1], int)), "expected finite latents [n, 8, 8, 1], got int64 [1, 8, 8, 1]"),
            (dict(latents=np.full([1, 8, 8, 1], np.nan)), "expected finite latents [n, 8, 8, 1], got float64"),
        ):
            np.savez(file, **given)
            self.assertStartsWith(programs.run("sample", *flags).error, expected)

    def test_rows_are_asked_for_one_way(self):
        model = f"--saved_model={programs.exported()}"
        self.assertEqual(
            programs.run("sample", model, "--temperature=1,2", "--neighbours=1").error,
            "expected several temperatures or --neighbours, got both",
        )
        self.assertEqual(
            programs.run("sample", model, "--temperature=1,2", "--columns=1").error,
            "expected one temperature and no neighbours for --columns",
        )
        self.assertEqual(
            programs.run("sample", model, "--neighbours=1298", f"--data_dir={programs.scratch() / 'data'}").error,
            "expected at most 1297 --neighbours, the training images, got 1298",
        )
        for given in ("x", "-1", "nan", ""):
            self.assertEqual(
                programs.run("sample", model, f"--temperature={given}").error,
                f"expected --temperature to be numbers of at least 0 such as 0.7,1, got {given}",
            )

    def tearDown(self):
        super().tearDown()
        self.assertEqual(programs.contents(self.folder), self.before)


class RowsTest(pictures.PicturesTest):
    """Of an exported model."""

    def setUp(self):
        super().setUp()
        self.model = f"--saved_model={programs.digits()}"
        self.distribution = pictures.digits()

    def test_temperatures(self):
        (path,) = self.run_program("sample", self.model, "--temperature=0,0.5,1", "--count=4", "--batch_size=4")
        found = self.tiles(path, 3, 4)
        z = evaluation.draw_latents(self.distribution, 4)
        for row, temperature in zip(found, (0, 0.5, 1)):
            expected = pictures.grey(evaluation.decode(self.distribution, temperature * z))
            self.assertGreater(np.mean(row == expected), 0.97)
        np.testing.assert_array_equal(found[0], found[0, [0, 0, 0, 0]])

    def test_neighbours(self):
        (path,) = self.run_program("sample", self.model, "--neighbours=2", "--count=4", "--batch_size=4")
        samples, *rows = self.tiles(path, 3, 4)
        images = np.concatenate(list(data.load("digits").evaluation_batches("train", 300)))
        drawn = evaluation.decode(self.distribution, evaluation.draw_latents(self.distribution, 4))
        levels = np.clip(np.floor(drawn), 0, 16)
        self.assertGreater(np.mean(samples == pictures.grey(drawn)), 0.97)
        distances = np.linalg.norm((levels[:, np.newaxis] - images.astype(float)).reshape(4, len(images), -1), axis=-1)
        order = np.argsort(distances, axis=1)
        for i, row in enumerate(rows):
            np.testing.assert_array_equal(row, pictures.grey(images[order[:, i]]))

    def test_larger_latents(self):
        file = self.folder / "latents.npz"
        np.savez(file, latents=np.zeros([1, 16, 24, 1]))
        (path,) = self.run_program("sample", self.model, f"--latents={file}")
        self.assertEqual(self.pixels(path).shape, (3 * 16, 3 * 24, 1))  # Magnified to 64 pixels or more.
        self.assertEqual(
            programs.run("sample", self.model, f"--latents={file}", "--neighbours=1").error,
            "expected latents of shape (8, 8, 1) for --neighbours, got (16, 24, 1)",
        )

    def test_latents_that_cannot_be_halved(self):
        file = self.folder / "latents.npy"
        np.save(file, np.zeros([1, 9, 8, 1]))
        for model in (self.model, f"--output_dir={programs.trained_with_labels()}"):
            self.assertEqual(
                programs.run("sample", model, f"--latents={file}").error,
                "expected latents whose height and width the flow can halve at each scale, got 9x8",
            )


if __name__ == "__main__":
    absltest.main()
