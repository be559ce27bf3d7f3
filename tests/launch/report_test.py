"""`python -m launch.report`."""

import datetime
import json
import math
import pathlib
import re
import shutil
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from launch import report
from tests import browser
from tests.launch import pages, programs
from tfp_realnvp import evaluation

_NAME = '<b>A & "B"</b>'


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
        cls.page = pages.Page(cls.text)

    def test_says_where_it_is_and_changes_nothing_else(self):
        self.assertEqual(self.result.output.splitlines()[-1], f"Wrote {self.path}")
        self.assertTrue(self.unchanged)

    def test_has_every_part(self):
        expected = ["Real NVP on digits", "Against baselines", "Samples", "Between four images"]
        expected += ["From the coarser latents", "Training", "Reconstruction", "Timing", "Settings"]
        self.assertEqual(self.page.headings, expected)

    def test_needs_no_other_file(self):
        self.assertLen(self.page.references, 5)
        for reference in self.page.references:
            self.assertStartsWith(reference, "data:")
        self.assertNotRegex(self.text, r"https?://|url\(|@import|<script|<link")

    def test_the_result_comes_first(self):
        ours = json.loads((self.trained / "results.json").read_text())["Real NVP"]
        config = json.loads((self.trained / "config.json").read_text())
        result, of, about, *_ = self.page.words
        self.assertEqual(result, f"{ours['bits_per_dim']:.4f} ± {ours['standard_error']:.4f} bits/dim")
        self.assertStartsWith(of, "on 300 test images, with uniform dequantisation, 1 sample; less is better.")
        last = json.loads((self.trained / "metrics.jsonl").read_text().splitlines()[-1])
        day = datetime.datetime.fromtimestamp(last["time"], datetime.UTC).date()
        parameters, machine, finished = about.split("; ")
        self.assertRegex(parameters, r"^[\d,]{5,} trainable parameters$")
        self.assertEqual(machine, f"trained on {config['machine']}")
        self.assertStartsWith(finished, f"finished on {day} at ")

    def test_every_baseline_is_better_or_worse(self):
        results = json.loads((self.trained / "results.json").read_text())
        ours, *baselines = results.values()
        self.assertLen(baselines, 2)
        leads = [row["bits_per_dim"] - ours["bits_per_dim"] for row in results.values()]
        words = ["", *(f"{'better' if lead > 0 else 'worse'} by {abs(lead):.4f}" for lead in leads[1:])]
        for (name, row), compared in zip(results.items(), words, strict=True):
            self.assertIn(
                [name, f"{row['bits_per_dim']:.4f}", f"{row['standard_error']:.4f}", compared], self.page.rows
            )

    def test_settings_are_those_of_the_run(self):
        config = json.loads((self.trained / "config.json").read_text())
        for name in ("scales", "width", "batch_size", "classes"):
            self.assertIn([name, str(config["model"][name])], self.page.rows)
        self.assertIn(["event_shape", "8, 8, 1"], self.page.rows)
        self.assertNotIn(str(programs.scratch().parent), self.text)  # That of the run, and of its data.

    def test_pictures_show_something(self):
        names = {"Training curves", "Learning rate", "Samples at two temperatures", "Manifold", "Reconstruction"}
        self.assertEqual(set(self.page.pictures), names)
        self.assertGreater(np.std(self.page.pictures["Training curves"]), 10)
        given, whole, half = _tiles(self.page.pictures["Reconstruction"], 3, 10)
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
        said = re.search(r"differ from themselves by (\S+) levels at most and by (\S+) levels", self.text)
        self.assertBetween(float(said[2]), 0, float(said[1]))
        self.assertLess(float(said[1]), 0.1)

    def test_timing(self):
        found = {row[0]: row[1] for row in self.page.rows}
        for name in ("sampling", "encoding with its log-det"):
            self.assertGreater(float(found[f"{name}, an event in a batch of 64"].removesuffix(" ms")), 0)

    @browser.needed
    def test_a_browser_shows_it_at_any_width(self):
        expected = [picture.shape[1] for picture in self.page.pictures.values()]
        for width in (400, 1200):
            page = browser.Page(self.path, width)
            drawn = page.evaluate("Array.from(document.images, image => image.naturalWidth)")
            self.assertEqual(drawn, expected)
            self.assertFalse(page.scrolls_sideways(), width)


def _tiles(picture, rows, columns):
    """The images of a labelled picture of digits, `[rows, columns, 8, 8]`, each pixel drawn as 8x8."""
    pixels = np.pad(picture[-(66 * rows - 2) :, -(66 * columns - 2) :, 0], [[0, 2], [0, 2]])
    return pixels.reshape(rows, 66, columns, 66).transpose(0, 2, 1, 3)[:, :, :64:8, :64:8]


class ComparedTest(parameterized.TestCase):
    @parameterized.parameters(
        (2.0, 2.5, "bits/dim", "better by 0.5000"),
        (2.0, 2.5, "nats", "worse by 0.5000"),
        (2.5, 2.0, "bits/dim", "worse by 0.5000"),
        (2.1, 2.0, "nats", "better by 0.1000, which is within the errors"),
        (2.0, 2.0, "nats", "as good"),
        (math.inf, 2.0, "bits/dim", "worse"),
        (math.nan, 2.0, "bits/dim", "not comparable"),
    )
    def test_in_words(self, ours, other, unit, words):
        scores = (evaluation.Score(mean, 0.1, 300, unit) for mean in (ours, other))
        self.assertEqual(report._compared(*scores), words)


class OtherRunsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        source, _ = programs.trained()
        self.trained = pathlib.Path(shutil.copytree(source, self.folder / "run"))

    def test_one_scale(self):
        # A run of the paper's data, as far as the page knows.
        config = json.loads((self.trained / "config.json").read_text())
        config["preset"], config["model"]["dataset"] = "cifar10", "cifar10"
        del config["model"]["flow"]  # As in runs from before there were others.
        config["model"]["hidden_units"] = [64]  # Of vectors.
        config["machine"] = _NAME
        config["command"] = ["launch/train.py", f"--flagfile={_NAME}"]
        (self.trained / "config.json").write_text(json.dumps(config))
        result = programs.run("report", *_flags(self.trained), "--dataset=digits")
        self.assertEqual(result.status, 0, result.errors)
        text = (self.trained / "report.html").read_text(encoding="utf-8")
        self.assertNotIn("<b>", text)
        page = pages.Page(text)
        self.assertNotIn("Reconstruction", page.pictures)
        self.assertIn(f"; trained on {_NAME}; ", page.words[2])
        self.assertEqual(page.words[-1], f"python -m launch.train '--flagfile={_NAME}'")
        names = [name for name, *_ in page.rows]
        self.assertIn("scales", names)
        self.assertNotIn("hidden_units", names)
        self.assertNotIn("Real NVP as published", names)  # The paper's images have another size.

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
