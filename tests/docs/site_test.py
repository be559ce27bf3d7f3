"""The site of the documentation: it builds without a warning, has every page and name, and works in a browser."""

import importlib
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import browser

_ROOT = pathlib.Path(__file__).parents[2]
_ROOMS = ("bijectors", "columns", "conditioners", "data", "evaluation", "flows", "inference", "lossless")
_ROOMS += ("mcmc", "novelty", "presets", "serving", "storage", "training", "transformers")
_NEEDED = ("material", "mkdocstrings_handlers", "latex2mathml")
_MISSING = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
_NOTEBOOKS = ("conditional_flow_and_editing", "flow_in_a_tfp_model", "image_flow", "serving", "vector_flow")


def _build(config, folder):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--config-file={config}", f"--site-dir={folder}"]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=_ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )


@absltest.skipIf(_MISSING, f"not installed: {', '.join(_MISSING)}")
class SiteTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.result = _build(_ROOT / "mkdocs.yml", cls.root)
        cls.folder = cls.root / nvp.__version__

    def test_no_warning(self):
        self.assertEqual(self.result.returncode, 0, self.result.stderr)
        self.assertNotIn("WARNING", self.result.stderr)

    def test_every_page_is_there(self):
        docs = [page.relative_to(_ROOT / "docs") for page in (_ROOT / "docs").rglob("*.md")]
        results = [page.relative_to(_ROOT) for page in (_ROOT / "benchmarks/results").glob("*.md")]
        self.assertNotEmpty(docs)
        self.assertNotEmpty(results)
        for page in docs + results:
            self.assertTrue((self.folder / page).with_suffix(".html").exists(), page)
        for card in (_ROOT / "saved_models").glob("*/README.md"):
            self.assertTrue((self.folder / card.relative_to(_ROOT)).with_name("index.html").exists(), card)

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

    def test_every_program_has_a_page_of_its_flags(self):
        listed = subprocess.check_output([sys.executable, "-m", "launch"], text=True, cwd=_ROOT)
        home = (self.folder / "index.html").read_text()
        for page in (self.folder / "programs").glob("*.html"):
            self.assertRegex(listed, rf"\b{page.stem}\b")
            self.assertIn(f'href="programs/{page.name}"', home)
            html = page.read_text()
            for line in re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', (_ROOT / f"launch/{page.stem}.py").read_text()):
                self.assertRegex(html, rf"<dt><code>--(\[no\])?{line}\b")
        for name in ("seed", "learning_rate", "transformer", "strategy"):  # Of four modules.
            self.assertIn(f"<dt><code>--{name}=", (self.folder / "programs/train.html").read_text())

    def test_notebooks_have_their_outputs(self):
        for name in _NOTEBOOKS:
            html = (self.folder / f"examples/{name}.html").read_text()
            pictures = re.findall(rf'<img [^>]*src="({name}-[\w-]+\.png)"', html)
            self.assertEqual(bool(pictures), name != "serving", name)
            for picture in pictures:
                self.assertTrue((self.folder / "examples" / picture).exists(), picture)

    def test_formulas_are_drawn(self):
        pages = [page.read_text() for page in self.folder.glob("*.html")]
        self.assertGreater(sum(page.count("<math") for page in pages), 40)
        for page in pages:
            self.assertNotIn('class="arithmatex"', page)
            self.assertEmpty(re.findall(r"<m[io]>(?:&(?!#)|\\)", page))  # Of TeX that was not understood.

    def test_nothing_is_fetched_from_elsewhere_when_a_page_is_read(self):
        for page in self.folder.rglob("*.html"):
            fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//([^/"]+)', page.read_text())
            self.assertEmpty(fetched, page)

    def test_versions_are_folders(self):
        version = nvp.__version__
        self.assertEqual(json.loads((self.root / "versions.json").read_text())[0]["version"], version)
        self.assertIn(f"url={version}/index.html", (self.root / "index.html").read_text())

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

    @browser.needed
    def test_no_page_scrolls_sideways_on_a_phone(self):
        pages = sorted(self.folder.rglob("*.html"))
        self.assertGreater(len(pages), 50)
        self.assertEmpty([str(page) for page in pages if browser.Page(page, 400).scrolls_sideways()])

    @browser.needed
    def test_search_works_from_a_disk(self):
        page = browser.Page(self.folder / "index.html", 1200)
        titles = page.evaluate(
            """new Promise(done => {
                 const query = document.querySelector(".md-search__input");
                 query.focus();
                 query.value = "dequantisation";
                 query.dispatchEvent(new Event("keyup", {bubbles: true}));
                 const look = () => {
                   const found = [...document.querySelectorAll(".md-search-result__item h1")].map(e => e.innerText);
                   found.length ? done(found) : setTimeout(look, 50);
                 };
                 look();
               })"""
        )
        self.assertIn("Training", titles)

    @browser.needed
    def test_dark_where_the_reader_prefers_it(self):
        for dark, scheme in ((False, "default"), (True, "slate")):
            page = browser.Page(self.folder / "index.html", 1200, dark=dark)
            self.assertEqual(page.evaluate("document.body.dataset.mdColorScheme"), scheme)

    @browser.needed
    def test_previous_and_next(self):
        page = browser.Page(self.folder / "first_flow.html", 1200)
        links = "[...document.querySelectorAll('.md-footer__link')].map(a => a.getAttribute('href'))"
        self.assertEqual(page.evaluate(links), ["install.html", "own_images.html"])


if __name__ == "__main__":
    absltest.main()
