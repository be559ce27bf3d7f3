"""The arm of examples/torus.py."""

import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest

from examples import torus as example

_ROOT = pathlib.Path(__file__).parents[2]


class TorusTest(absltest.TestCase):
    def test_learns_a_density_across_the_ends(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        command = [sys.executable, "-m", "examples.torus", "--steps=60", f"--output={folder / 'picture.png'}"]
        result = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT)
        self.assertEqual(result.returncode, 0, result.stderr)
        nats, exact = map(float, re.search(r"(-?[\d.]+) nats .*, (-?[\d.]+) by", result.stdout).groups())
        uniform = 2 * np.log(2 * np.pi)
        self.assertBetween(nats, exact, uniform - 1)
        self.assertIn("mass of the learned density: 1.00", result.stdout)
        most, difference = map(float, re.search(r"up to ([\d.]+); .* by (\S+)", result.stdout).groups())
        self.assertLess(difference, 1e-3 * most)
        self.assertTrue((folder / "picture.png").exists())

    def test_the_arm(self):
        np.testing.assert_allclose(
            example.hand(np.array([[0, 0], [np.pi / 2, -np.pi / 2]])), [[2, 0], [1, 1]], atol=1e-12
        )
        target = np.array([-1.9, 0])
        drawn = example.samples(300, target, 0.15, np.random.default_rng(0))
        self.assertEqual(drawn.shape, (300, 2))
        self.assertLess(np.mean(np.linalg.norm(example.hand(drawn) - target, axis=-1)), 0.25)
        self.assertLessEqual(np.max(example.log_density(example.grid(50), target, 0.15)), 0)


if __name__ == "__main__":
    absltest.main()
