"""The site of the documentation: it builds without a warning, and has every public name."""

import importlib
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

import tfp_realnvp as nvp

_ROOT = pathlib.Path(__file__).parents[2]
_ROOMS = ("bijectors", "conditioners", "data", "evaluation", "flows")
_ROOMS += ("presets", "serving", "storage", "training", "transformers")
_MISSING = importlib.util.find_spec("material") is None or importlib.util.find_spec("mkdocstrings_handlers") is None


def _build(config, folder):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--config-file={config}", f"--site-dir={folder}"]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=_ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )


@absltest.skipIf(_MISSING, "mkdocs-material or mkdocstrings-python is not installed")
class SiteTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.result = _build(_ROOT / "mkdocs.yml", cls.folder)

    def test_no_warning(self):
        self.assertEqual(self.result.returncode, 0, self.result.stderr)
        self.assertNotIn("WARNING", self.result.stderr)

    def test_every_page_is_there(self):
        pages = [page.relative_to(_ROOT / "docs") for page in (_ROOT / "docs").rglob("*.md")]
        self.assertNotEmpty(pages)
        for page in pages:
            self.assertTrue((self.folder / page).with_suffix(".html").exists(), page)

    @parameterized.parameters(*_ROOMS)
    def test_every_public_name_is_there(self, room):
        html = (self.folder / "api" / f"{room}.html").read_text()
        titles = {title.rpartition(".")[2] for title in re.findall(r'<h\d id="(tfp_realnvp\.[\w.]+)"', html)}
        module = importlib.import_module(f"tfp_realnvp.{room}")
        values = {name: getattr(module, name) for name in module.__all__}
        # The docstring of a constant is its type's.
        public = {name for name, value in values.items() if value.__doc__ not in (None, type(value).__doc__)}
        self.assertEmpty(public - titles)

    def test_every_room_has_a_page(self):
        rooms = {path.parent.name for path in pathlib.Path(nvp.__file__).parent.glob("*/__init__.py")}
        self.assertEqual(rooms, set(_ROOMS))

    def test_nothing_is_fetched_when_a_page_is_read(self):
        html = (self.folder / "index.html").read_text()
        fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//([^/"]+)', html)
        self.assertEmpty(fetched)

    def test_a_broken_link_is_an_error(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        (folder / "docs").mkdir()
        (folder / "docs/index.md").write_text("[nowhere](nowhere.md), [no file](../benchmarks/nothing.md)\n")
        config = f"site_name: test\nhooks: [{_ROOT / 'tools/mkdocs_links.py'}]\n"
        (folder / "mkdocs.yml").write_text(config)
        result = _build(folder / "mkdocs.yml", folder / "site")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("expected a file of the repository, got benchmarks/nothing.md", result.stderr)
        (folder / "docs/index.md").write_text("[nowhere](nowhere.md)\n")
        result = _build(folder / "mkdocs.yml", folder / "site")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("nowhere.md", result.stderr)


if __name__ == "__main__":
    absltest.main()
