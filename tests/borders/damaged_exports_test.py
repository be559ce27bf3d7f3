"""Exports that were copied by half, or edited: one line that names the file."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests.launch import programs
from tfp_realnvp import serving

_WEIGHTS = "variables/variables.data-00000-of-00001"
_INDEX = "variables/variables.index"
_ABOUT = "assets.extra/tfp_realnvp.json"

# Writes a flow whose weights do not depend on the process.
_EXPORT = """
import sys, keras, tfp_realnvp as nvp
keras.utils.set_random_seed(1)
nvp.save(nvp.real_nvp(event_shape=(2, 2, 1), levels=17, scales=1, width=2, blocks=0), sys.argv[1])
"""


def _edited(**changes):
    def edit(content):
        about = json.loads(content) | changes
        return json.dumps({name: value for name, value in about.items() if value != "left out"}).encode()

    return edit


class DamagedExportsTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        nvp.save(nvp.nice(event_shape=3, couplings=1, hidden_units=(4,)), cls.folder / "whole")

    def _damaged(self, file, change):
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "1"
        shutil.copytree(self.folder / "whole", path)
        if change is None:
            (path / file).unlink()
        else:
            (path / file).write_bytes(change((path / file).read_bytes()))
        return path

    @parameterized.parameters(
        ("saved_model.pb", None, "expected a whole export in"),
        ("saved_model.pb", lambda content: b"", "expected a whole model, got a damaged"),
        ("saved_model.pb", lambda content: content[:-1], "expected a whole model, got a damaged"),
        ("saved_model.pb", lambda content: content[: len(content) // 2], "expected a whole model, got a damaged"),
        (_WEIGHTS, None, "expected a whole export in"),
        (_WEIGHTS, lambda content: b"", "expected whole variables, got a damaged"),
        (_WEIGHTS, lambda content: content[:-30], "expected whole variables, got a damaged"),
        (_WEIGHTS, lambda content: content[:-30] + b"0" * 30, "expected whole variables, got a damaged"),
        (_INDEX, None, "expected a whole export in"),
        (_INDEX, lambda content: content[:-30], "expected whole variables, got a damaged"),
        (_ABOUT, None, "expected an export of tfp_realnvp in"),
        (_ABOUT, lambda content: content[:-30], "expected JSON in"),
        (_ABOUT, lambda content: b"\xff", "expected JSON in"),
        (_ABOUT, lambda content: b"[1]", "expected event_shape in"),
        (_ABOUT, _edited(levels="left out"), "expected levels in"),
        (_ABOUT, _edited(event_shape=[-3]), "expected an event_shape of positive integers in"),
        (_ABOUT, _edited(event_shape=[4]), "expected event_shape [3] and dtype float32, as in the model, in"),
        (_ABOUT, _edited(dtype="float64"), "expected event_shape [3] and dtype float32, as in the model, in"),
        (_ABOUT, _edited(classes="ten"), "expected classes in"),
        (_ABOUT, _edited(levels=17), "expected levels None and dequantization uniform, as in the model, in"),
        (_ABOUT, _edited(dequantization="learned"), "expected dequantization uniform or variational in"),
    )
    def test_the_file_is_named(self, file, change, message):
        path = self._damaged(file, change)
        with self.assertRaises(serving.ExportError) as caught:
            nvp.load(path)
        self.assertStartsWith(str(caught.exception), message)
        self.assertIn(str(path / file), str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_noise_that_is_not_there(self):
        path = self._damaged(_ABOUT, _edited(dequantization="variational"))
        for load in (nvp.load, nvp.load_dequantizer):
            with self.assertRaisesRegex(serving.ExportError, "dequantization uniform, .* got None and variational"):
                load(path)

    def test_programs_end_in_one_line(self):
        path = self._damaged(_INDEX, None)
        result = programs.run("sample", f"--saved_model={path}")
        self.assertEqual(result.error, f"expected a whole export in {path}, found no {path / _INDEX}: copy it again")


class EqualExportsTest(absltest.TestCase):
    def test_are_equal_files(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        found = []
        for seed in ("1", "2"):
            environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
            subprocess.run([sys.executable, "-c", _EXPORT, folder / seed], env=environment, check=True)
            files = sorted(path for path in (folder / seed).rglob("*") if path.is_file())
            found.append({path.relative_to(folder / seed): path.read_bytes() for path in files})
        self.assertEqual(list(found[0]), list(found[1]))
        self.assertEmpty([str(name) for name, content in found[0].items() if content != found[1][name]])
        self.assertTrue(np.isfinite(nvp.load(folder / "1").log_prob(np.full([1, 2, 2, 1], 3.5))))


if __name__ == "__main__":
    absltest.main()
