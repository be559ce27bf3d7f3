"""`python -m launch.report`."""

import base64
import html.parser
import json
import pathlib
import re
import shutil
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest

from tests import browser
from tests.launch import programs
from tfp_realnvp import presets

_VOID = {"meta", "img"}


class _Page(html.parser.HTMLParser):
    """The text of a page by its element, its tables and its pictures; an element that is not closed is an error."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.pictures: dict[str, np.ndarray] = {}
        self.references: list[str] = []
        self.feed(text)
        self.close()
        if self.open:
            raise AssertionError(f"expected every element to be closed, got {self.open}")

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.references += [attributes[name] for name in ("src", "href", "srcset", "data") if name in attributes]
        if tag == "img":
            kind, content = attributes["src"].split(",", 1)
            assert kind == "data:image/png;base64"
            self.pictures[attributes["alt"]] = tf.io.decode_png(base64.b64decode(content, validate=True)).numpy()
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            raise AssertionError(f"expected the end of another element than {tag}")

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


class ReportTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained = programs.trained_with_labels()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.path = cls.folder / "new" / "page.html"
        before = programs.contents(cls.trained)
        cls.result = programs.run("report", *_flags(cls.trained), f"--report={cls.path}")
        if cls.result.status:
            raise AssertionError(cls.result.errors)
        cls.unchanged = programs.contents(cls.trained) == before
        cls.text = cls.path.read_text(encoding="utf-8")
        cls.page = _Page(cls.text)

    def test_says_where_it_is_and_changes_nothing_else(self):
        self.assertEqual(self.result.output.splitlines()[-1], f"Wrote {self.path}")
        self.assertTrue(self.unchanged)

    def test_has_every_part(self):
        expected = ["real_nvp on digits", "Settings", "Test bits/dim", "Training", "Samples", "Between four images"]
        expected += ["From the coarser latents", "Reconstruction", "Timing"]
        self.assertEqual(self.page.headings, expected)

    def test_needs_no_other_file(self):
        self.assertLen(self.page.references, 4)
        for reference in self.page.references:
            self.assertStartsWith(reference, "data:")
        self.assertNotRegex(self.text, r"https?://|url\(|@import|<script|<link")

    def test_figures_are_those_of_the_run(self):
        results = json.loads((self.trained / "results.json").read_text())
        for name, row in results.items():
            self.assertIn([name, f"{row['bits_per_dim']:.4f}", f"{row['standard_error']:.4f}"], self.page.rows)
        config = json.loads((self.trained / "config.json").read_text())
        for name in ("scales", "width", "batch_size", "classes"):
            self.assertIn([name, str(config["model"][name])], self.page.rows)
        self.assertIn(["event_shape", "8, 8, 1"], self.page.rows)
        self.assertNotIn(str(programs.scratch().parent), self.text)  # That of the run, and of its data.

    def test_pictures_show_something(self):
        names = {"Training curves", "Samples at two temperatures", "Manifold", "Compression"}
        self.assertEqual(set(self.page.pictures), names)
        self.assertGreater(np.std(self.page.pictures["Training curves"]), 10)
        given, whole, half = _tiles(self.page.pictures["Compression"], 3, 10)
        self.assertGreater(np.mean(given == whole), 0.97)
        self.assertLess(np.mean(given == half), 0.97)
        cold, warm = _tiles(self.page.pictures["Samples at two temperatures"], 2, 10)
        for row in (given, cold, warm):
            self.assertLen({image.tobytes() for image in row}, 10)
        surface = _tiles(self.page.pictures["Manifold"], 8, 8)
        np.testing.assert_array_equal(surface[4, 4], surface[0, 0])  # The latent has its sign twice.
        self.assertGreater(np.mean(surface[4, 0] != surface[0, 0]), 0.2)
        self.assertEqual(self.page.pictures["Manifold"].shape[0] - 8 * 66 + 2, 18)  # And a line of words.

    def test_the_reconstruction_is_good(self):
        said = re.search(r"differ from themselves by (\S+) levels at most and by (\S+) in the mean", self.text)
        self.assertBetween(float(said[2]), 0, float(said[1]))
        self.assertLess(float(said[1]), 0.1)

    def test_timing(self):
        found = {row[0]: row[1] for row in self.page.rows}
        for name in ("sampling", "encoding with its log-det"):
            self.assertGreater(float(found[f"{name}, an event in a batch of 64"].removesuffix(" s")), 0)

    @browser.needed
    def test_a_browser_draws_every_picture(self):
        widths = browser.Page(self.path, 1200).evaluate("Array.from(document.images, image => image.naturalWidth)")
        self.assertEqual(widths, [picture.shape[1] for picture in self.page.pictures.values()])


def _tiles(picture, rows, columns):
    """The images of a labelled picture of digits, `[rows, columns, 8, 8]`, each pixel drawn as 8x8."""
    pixels = np.pad(picture[-(66 * rows - 2) :, -(66 * columns - 2) :, 0], [[0, 2], [0, 2]])
    return pixels.reshape(rows, 66, columns, 66).transpose(0, 2, 1, 3)[:, :, :64:8, :64:8]


class OtherRunsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        source, _ = programs.trained()
        self.trained = pathlib.Path(shutil.copytree(source, self.folder / "run"))

    def test_one_scale_and_a_published_figure(self):
        # A run of the paper's data, as far as the page knows.
        config = json.loads((self.trained / "config.json").read_text())
        config["preset"], config["model"]["dataset"] = "cifar10", "cifar10"
        del config["model"]["flow"]  # As in runs from before there were others.
        (self.trained / "config.json").write_text(json.dumps(config))
        result = programs.run("report", *_flags(self.trained), "--dataset=digits")
        self.assertEqual(result.status, 0, result.errors)
        page = _Page((self.trained / "report.html").read_text(encoding="utf-8"))
        self.assertNotIn("Compression", page.pictures)
        self.assertIn(["Real NVP as published", f"{presets.get('cifar10').published:.2f}", ""], page.rows)

    def test_refusals(self):
        self.assertEqual(
            programs.run("report", f"--saved_model={programs.digits()}", *_flags(self.trained)).error,
            "expected a run's folder for a report, got --saved_model, which holds no training",
        )
        (self.trained / "metrics.jsonl").unlink()
        self.assertEqual(
            programs.run("report", *_flags(self.trained)).error,
            f"expected a run with figures of its training for a report, found none in {self.trained / 'metrics.jsonl'}",
        )
        (self.trained / "results.json").unlink()
        self.assertEqual(
            programs.run("report", *_flags(self.trained)).error,
            f"expected a finished run, found no results.json in {self.trained}",
        )


def _flags(run):
    return f"--output_dir={run}", f"--data_dir={programs.scratch() / 'data'}"


if __name__ == "__main__":
    absltest.main()
