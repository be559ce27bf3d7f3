"""`python -m launch.sample`."""

import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from tests.launch import programs
from tfp_realnvp import training


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
            self.assertEqual(name, f"samples-{seed}.png")
            self.assertEqual(pixels.shape, (2 * 66 - 2, 5 * 66 - 2, 1))  # 8x8 magnified 8 times, and 2 between.
            pictures.append(picture)
        self.assertEqual(pictures[0], pictures[1])
        self.assertNotEqual(pictures[0], pictures[2])

    def test_a_picture_is_of_samples(self):
        name, _, pixels = self._sample("--count=3", "--batch_size=2", "--columns=3")
        self.assertEqual(name, "samples-0.png")
        flow = nvp.real_nvp(event_shape=(8, 8, 1), scales=1, width=2, blocks=0, levels=17)
        training.restore(flow, training.latest(self.folder))
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
            self.assertEqual(result.status, 1)
            self.assertIn(f"flag {flag}: ", result.errors)

    def test_help(self):
        output = programs.run("sample", "--help").output
        self.assertIn("Draw images or vectors from a trained model.", output)
        for name in ("--count", "--columns", "--batch_size"):
            self.assertIn(f"  {name}: ", output)

    def tearDown(self):
        super().tearDown()
        self.assertEqual(programs.contents(self.folder), self.before)


if __name__ == "__main__":
    absltest.main()
