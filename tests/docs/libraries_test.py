"""Our column of the comparison with other libraries is what the package has."""

import importlib.util
import pathlib
from unittest import mock

from absl.testing import absltest, parameterized

from tfp_realnvp import presets

_ROOT = pathlib.Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("libraries_page", _ROOT / "tools/libraries_page.py")
libraries_page = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(libraries_page)


class LibrariesTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page = (_ROOT / "docs/libraries.md").read_text("utf-8")

    def test_our_column_is_what_the_script_writes(self):
        self.assertEqual(libraries_page.filled(self.page), self.page, "run python tools/libraries_page.py")
        # Each flow has a place.
        for name in presets.FLOWS:
            self.assertIn(f"`{name}`", self.page)

    def test_what_is_gone_is_not_claimed(self):
        fewer = {name: presets.FLOWS[name] for name in ("planar", "maf")}
        with mock.patch.dict(presets.FLOWS, fewer, clear=True):
            cells = libraries_page.cells()
            self.assertEqual(cells["other discrete flows"](), "`planar`; Householder layers")
            self.assertEqual(cells["autoregressive"](), "`maf`; the same transformers")
            self.assertEqual(cells["context for every network"](), "all flows but `planar`; labels for images")
        with mock.patch.object(libraries_page, "exists", lambda name: name != "serving.save_litert"):
            self.assertEqual(cells["for serving"](), "SavedModel with checked signatures")
        with mock.patch.object(libraries_page, "_public_names", lambda: ["BayesianDense", "load"]):
            self.assertEqual(cells["Bayesian weights"](), "`BayesianDense`")
        with mock.patch.object(libraries_page, "_public_names", lambda: ["load"]):
            self.assertEqual(cells["Bayesian weights"](), "**none**")

    @parameterized.parameters(
        ("FlowModel", True),
        ("transformers.CircularSpline", True),
        ("bijectors.Chain(backprop)", True),
        ("bijectors.Chain(other)", False),
        ("transformers.Spherical", False),
        ("spheres.Spherical", False),
    )
    def test_names(self, name, expected):
        self.assertEqual(libraries_page.exists(name), expected)

    def test_a_row_that_is_not_known_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected the rows released, .*, got published, "):
            libraries_page.filled(self.page.replace("| released |", "| published |"))


if __name__ == "__main__":
    absltest.main()
