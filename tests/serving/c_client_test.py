"""The C client of examples/serving: TensorFlow's C API, the loader that TensorFlow Serving has, no Python."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from tests.serving import exported

_EXAMPLES = pathlib.Path(__file__).parents[2] / "examples" / "serving"


@absltest.skipIf(shutil.which("cc") is None, "there is no C compiler")
class CClientTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model, cls.program = exported.path(), folder / "log_prob"
        build = subprocess.run(
            [_EXAMPLES / "build.sh", sys.executable, cls.program],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )
        assert build.returncode == 0 and not build.stderr, build.stderr  # No warning either.

    def _ask(self, images, shape=None):
        shape = images.shape if shape is None else shape
        command = [self.program, self.model, *map(str, shape)]
        return subprocess.run(command, input=np.float32(images).tobytes(), capture_output=True)

    def _refusal(self, *arguments):
        result = self._ask(*arguments)
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        return [line for line in result.stderr.decode().splitlines() if line.startswith("error: ")][0]

    def test_says_what_python_says(self):
        images = exported.distribution().sample(7, seed=(0, 1)).numpy()
        result = self._ask(images)
        self.assertEqual(result.returncode, 0, result.stderr)
        expected = exported.distribution().log_prob(images)
        np.testing.assert_allclose([float(line) for line in result.stdout.split()], expected, rtol=1e-4)

    @parameterized.parameters(
        # Those that broadcasting would take, or a reshape, had none looked.
        ((2, 1, 1, 1),),
        ((4, 4, 1),),
        ((2, 16),),
    )
    def test_another_shape_is_refused(self, shape):
        refusal = self._refusal(np.ones(shape))
        self.assertIn("expected shape [?,4,4,1]", refusal)

    def test_what_is_no_image_is_refused(self):
        images = np.ones([2, *exported.SHAPE])
        images[1, 2, 3] = np.nan
        self.assertIn("expected pixels in [0, 17), got in row] [1]", self._refusal(images))
        self.assertIn("fewer values than the shape says", self._refusal(images[:1], images.shape))

    def test_no_model(self):
        result = subprocess.run([self.program, self.model / "none", "1"], input=b"0000", capture_output=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"error: loading the model: ", result.stderr)


if __name__ == "__main__":
    absltest.main()
