"""The worked example of docs/serving.md."""

import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest

import tfp_realnvp as nvp
from examples import out_of_distribution as example

_ROOT = pathlib.Path(__file__).parents[2]


class OutOfDistributionTest(absltest.TestCase):
    def test_scores_digits(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        flow = nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(17)])
        nvp.publish(nvp.FlowDistribution(flow, (8, 8, 1)), folder / "model", metadata={"dataset": "digits"})
        command = [sys.executable, "-m", "examples.out_of_distribution", f"--saved_model={folder / 'model'}"]
        command += [f"--data_dir={folder / 'data'}", f"--output={folder / 'picture.png'}", "--corruption=shuffle"]
        result = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT)
        self.assertEqual(result.returncode, 0, result.stderr)
        # Entries are independent here: in another order they are as likely as before.
        area = float(re.search(r"area under the ROC curve: ([\d.]+) by bits/dim", result.stdout)[1])
        self.assertBetween(area, 0.4, 0.6)
        self.assertTrue((folder / "picture.png").exists())

    def test_area(self):
        self.assertEqual(example._area(np.array([2, 3]), np.array([0, 1])), 1)
        self.assertEqual(example._area(np.array([1, 1]), np.array([1, 1])), 0.5)
        self.assertEqual(example._area(np.array([0.0, 2]), np.array([1.0])), 0.5)


if __name__ == "__main__":
    absltest.main()
