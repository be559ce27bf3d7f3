"""Training on tables, and other flows than Real NVP."""

import json
import pathlib
import re

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import browser
from tests.launch import pages, programs


def _table(rows=400):
    """Two columns of which the second bends along with the first, far from standardised."""
    random = np.random.default_rng(0)
    x = random.normal(size=rows)
    return np.stack([10 * x, 1000 + x**2 + 0.1 * random.normal(size=rows)], -1)


class VectorsTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = programs.scratch() / "vectors"
        cls.folder.mkdir(exist_ok=True)
        cls.csv, cls.trained = cls.folder / "table.csv", cls.folder / "run"
        np.savetxt(cls.csv, _table(), delimiter=",", header="length,weight", comments="")
        flow = ("--flow=autoregressive", "--transformer=spline(bins=8)", "--norm=act", "--layers=2")
        flow += ("--columns=length:real,weight:real",)  # In place of the logarithm of positive weights.
        flags = (*flow, "--hidden_units=16", "--learning_rate=0.01", "--epochs=8")
        cls.flags = (*flags, f"--dataset=csv:{cls.csv}", f"--output_dir={cls.trained}", "--verbose=0")
        cls.result = programs.run("train", *cls.flags)
        cls.reported = programs.run("report", f"--output_dir={cls.trained}")

    def test_it_beats_a_gaussian(self):
        self.assertEqual(self.result.status, 0, self.result.errors)
        results = json.loads((self.trained / "results.json").read_text())
        self.assertGreater(results["autoregressive"]["nats"], results["full-covariance Gaussian"]["nats"] + 0.2)
        self.assertIn("nats better than the best baseline", self.result.output)
        sizes = "(324 train, 36 validation, 40 test)"
        self.assertIn(f": 400 rows {sizes}, 2 columns (length, weight)", " ".join(self.result.output.split()))

    def test_the_recipe_is_that_of_tables(self):
        model = json.loads((self.trained / "config.json").read_text())["model"]
        of_tables = {name: value for name, value in nvp.presets.TABLE_RECIPE.items() if name != "learning_rate"}
        self.assertEqual({name: model[name] for name in of_tables}, of_tables)

    def test_samples_are_in_the_units_of_the_file(self):
        lines = (self.trained / "samples.csv").read_text().splitlines()
        self.assertEqual(lines[0], "length,weight")
        samples = np.loadtxt(lines[1:], delimiter=",")
        np.testing.assert_allclose(np.mean(samples, 0), np.mean(_table(), 0), atol=3)
        np.testing.assert_allclose(np.std(samples, 0), np.std(_table(), 0), rtol=0.5)

    def test_another_begins_with_it_and_its_standardisation(self):
        other = self.folder / "other.csv"
        np.savetxt(other, 10 * _table()[:, ::-1], delimiter=",", header="weight,length", comments="")
        output = f"--output_dir={self.folder / 'begun'}"
        flags = (*self.flags, f"--dataset=csv:{other}", "--learning_rate=0", "--epochs=1", output)
        begun = programs.run("train", *flags, f"--init_from={self.trained}")
        self.assertEqual(begun.status, 0, begun.errors)
        self.assertIn("Vectors are standardised as in that run\n", begun.output)
        model = json.loads((self.folder / "begun/config.json").read_text())["model"]
        self.assertEqual(model["columns"], ["length", "weight"])
        loaded, source = (nvp.load(self.folder / name / "saved_model") for name in ("begun", "run"))
        np.testing.assert_array_equal(loaded.log_prob(_table()), source.log_prob(_table()))
        np.savetxt(other, _table(), delimiter=",", header="length,height", comments="")
        flags = (*flags[:-1], f"--output_dir={self.folder / 'none'}")
        refused = programs.run("train", *flags, f"--init_from={self.trained}")
        self.assertEndsWith(refused.error, ": expected names of columns among length, height, got 'weight'")

    def test_the_export_standardises(self):
        self.assertIn("standardize", self.result.output)
        saved = tf.train.load_checkpoint(str(self.trained / "saved_model" / "variables" / "variables"))
        values = [saved.get_tensor(name) for name, shape in saved.get_variable_to_shape_map().items() if shape == [2]]
        # Those of the training rows, which are most of the table's.
        self.assertTrue(any(np.allclose(value, np.mean(_table(), 0), atol=3) for value in values))
        loaded = nvp.load(pathlib.Path(self.trained / "saved_model"))
        self.assertTrue(np.all(np.isfinite(loaded.log_prob(_table().astype(np.float32)))))

    def test_evaluate_says_the_same(self):
        nats = json.loads((self.trained / "results.json").read_text())["autoregressive"]["nats"]
        result = programs.run("evaluate", f"--output_dir={self.trained}")
        self.assertIn(f"test: {nats:.4f} +- ", result.output)

    def test_vectors_have_no_noise_to_draw(self):
        result = programs.run("evaluate", f"--output_dir={self.trained}", "--importance_samples=2")
        self.assertEqual(result.error, "expected images for --importance_samples, got vectors, which have no noise")
        result = programs.run("evaluate", f"--output_dir={self.trained}", "--dequantization=uniform")
        self.assertEqual(result.error, "expected images for --dequantization, got vectors")

    def test_an_export_refuses_vectors_of_another_size(self):
        other = self.folder / "other.csv"
        np.savetxt(other, np.random.default_rng(1).normal(size=[20, 3]), delimiter=",")
        result = programs.run("evaluate", f"--saved_model={self.trained / 'saved_model'}", f"--dataset=csv:{other}")
        self.assertEqual(result.error, f"csv:{other}: expected 2 columns, length, weight, got 3 without names")

    def test_the_command_names_no_folder(self):
        about = nvp.serving.describe(self.trained / "saved_model")
        self.assertIn("--dataset=csv:table.csv ", about["command"])

    def test_a_report_of_it(self):
        self.assertEqual(self.reported.status, 0, self.reported.errors)
        page = pages.Page((self.trained / "report.html").read_text())
        expected = ["autoregressive on csv:table.csv", "Against baselines", "Data and samples"]
        self.assertEqual(page.headings[:4], [*expected, "Latents and log-densities"])
        results = json.loads((self.trained / "results.json").read_text())
        ours, gaussian = (row["nats"] for row in results.values())
        self.assertStartsWith(page.words[0], f"{ours:.4f} ± ")
        self.assertStartsWith(page.words[1], "on 40 test vectors; more is better.")
        (row,) = (row for row in page.rows if row[0] == "full-covariance Gaussian")
        self.assertStartsWith(row[3], f"better by {ours - gaussian:.4f}")
        names = ["Test data", "Samples", "Probability integral transform", "Log-densities of training and test data"]
        self.assertEqual(list(page.pictures)[:4], names)
        train, test = map(float, re.search(r"^Means: (\S+) on 324 .*, (\S+) on 40 ", page.words[6]).groups())
        self.assertAlmostEqual(test, ours, 3)
        self.assertGreater(train, gaussian)
        settings = [name for name, *_ in page.rows]
        self.assertContainsSubset(["transformer", "columns", "hidden_units"], settings)
        self.assertNoCommonElements(["levels", "flip", "l2", "dequantization", "scales"], settings)

    @browser.needed
    def test_a_browser_shows_its_report_at_any_width(self):
        for width in (400, 1200):
            self.assertFalse(browser.Page(self.trained / "report.html", width).scrolls_sideways(), width)

    def test_samples_of_a_run(self):
        result = programs.run("sample", f"--output_dir={self.trained}", "--count=7", "--seed=3")
        self.assertEqual(result.status, 0, result.errors)
        lines = (self.trained / "samples-3-count-7.csv").read_text().splitlines()
        self.assertEqual((lines[0], np.loadtxt(lines[1:], delimiter=",").shape), ("length,weight", (7, 2)))

    @parameterized.parameters(
        (("--flow=glow", "--layers=2"), "glow takes no --layers for images"),
        (("--flow=maf",), "maf: expected an event shape (size,) of vectors, got (8, 8, 1)"),
        (("--flow=maf", "--backprop=remat"), "maf takes no --backprop for images"),
        (("--flow=maf", "--width=8"), "maf takes no --width for images"),
        (("--flow=glow", "--rho=0.9"), "glow takes no --rho for images"),
        (("--conditioner=gated(heads=2)", "--normalization=none"), "the conditioner gated takes no --normalization"),
        (("--epochs=0",), "expected epochs of 1 or more, got 0"),
        (("--width=0",), "real_nvp: expected a width of 1 and blocks of 0 or more, got 0 and 2"),
        (("--schedule=cosin",), "expected schedule to be one of constant, cosine, plateau, got 'cosin'"),
        (("--dataset=csv:nowhere.csv",), "there is no file nowhere.csv"),
        (("--header=yes",), "expected a CSV file, --dataset=csv:FILE, for --header, got digits"),
    )
    def test_what_cannot_be(self, flags, message):
        result = programs.run("train", *flags, f"--output_dir={self.folder / 'none'}")
        self.assertEqual((result.status, result.error), (2, message))

    def test_a_preset_of_a_published_table(self):
        (self.folder / "power").mkdir(exist_ok=True)
        np.save(self.folder / "power" / "data.npy", np.random.default_rng(0).normal(size=(205, 8)))
        flags = ("--preset=power", f"--data_dir={self.folder}", f"--output_dir={self.folder / 'power_run'}")
        result = programs.run("train", *flags, "--hidden_units=8", "--layers=2", "--epochs=1", "--verbose=0")
        self.assertEqual(result.status, 0, result.errors)
        self.assertRegex(result.output, r"MAF as published +0\.14\n")
        self.assertIn("power test: ", programs.run("evaluate", *flags).output)
        result = programs.run("train", *flags, "--conditional")
        self.assertEqual(result.error, "expected an image set with labels for --conditional, got a table")


class ImagesTest(parameterized.TestCase):
    @parameterized.parameters(
        "--flow=glow --steps=2 --transformer=sigmoidal(components=2)+affine --alpha=0.01 --normalization=none",
        "--flow=flowpp --components=2 --checkerboards=1,1 --channel_couplings=1",
    )
    def test_describe(self, flags):
        result = programs.run("train", *flags.split(), "--width=2", "--blocks=0", "--describe")
        self.assertEqual(result.status, 0, result.errors)
        self.assertIn("act_norm", result.output)


if __name__ == "__main__":
    absltest.main()
