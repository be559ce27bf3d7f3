"""The recipe for ONNX gives onnxruntime TensorFlow's answers. Skipped without `pip install tf2onnx onnxruntime`."""

import importlib.util
import pathlib
import runpy
import tempfile

from absl.testing import absltest

from tests.serving import exported

_SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "serving" / "to_onnx.py"
_MISSING = [name for name in ("tf2onnx", "onnxruntime") if importlib.util.find_spec(name) is None]


@absltest.skipIf(_MISSING, f"needs {' and '.join(_MISSING)}: pip install tf2onnx onnxruntime")
class ONNXTest(absltest.TestCase):
    def test_answers(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "onnx"
        found = runpy.run_path(str(_SCRIPT))["convert"](str(exported.path()), folder)
        self.assertCountEqual(found, ["log_prob: log_prob", "encode: latents", "decode: images"])
        for output, difference in found.items():
            self.assertBetween(difference, 0, 1e-4, output)
        names = sorted(path.name for path in folder.iterdir())
        self.assertEqual(names, ["decode.onnx", "encode.onnx", "log_prob.onnx"])


if __name__ == "__main__":
    absltest.main()
