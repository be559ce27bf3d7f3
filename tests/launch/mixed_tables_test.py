"""Training on a table of mixed columns, with gaps, a context or weights, and what its model is good for."""

import csv
import json
import re
import types

import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from launch import tables
from tests.launch import pages, programs
from tfp_realnvp import data

_FLOW = ("--flow=coupling", "--couplings=2", "--hidden_units=8", "--batch_size=100", "--epochs=1", "--verbose=0")


def _read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


class MixedTablesTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = programs.scratch() / "mixed"
        cls.folder.mkdir(exist_ok=True)
        cls.csv = cls.folder / "table.csv"
        random = np.random.default_rng(0)
        with cls.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "income", "hour", "kind", "age", "owner", "weight"])
            for i in range(400):
                gap = random.random() < 0.1
                row = [i, f"{random.gamma(2):.4f}", f"{24 * random.random():.3f}", random.choice(["a", "b", "c"])]
                writer.writerow(
                    [*row, "NA" if gap else random.integers(20, 60), random.choice(["yes", "no"]), 1 + i % 2]
                )
        cls.flags = (*_FLOW, f"--dataset=csv:{cls.csv}")
        types = "--columns=-id,hour:circular(24),age:integer(0,120)"
        cls.gaps = cls.folder / "gaps"
        given = (types, "--missing=keep", "--weights=weight", f"--output_dir={cls.gaps}")
        cls.with_gaps = programs.run("train", *cls.flags, *given)
        cls.given = cls.folder / "given"
        context = (types + ",-weight", "--context=kind,owner", f"--output_dir={cls.given}")
        cls.with_context = programs.run("train", *cls.flags, *context)

    def test_reports(self):
        independent, copula = "independent columns", "Gaussian copula"
        for trained, baselines in ((self.gaps, [independent]), (self.given, [independent, copula])):
            result = programs.run("report", f"--output_dir={trained}")
            self.assertEqual(result.status, 0, result.errors)
            page = pages.Page((trained / "report.html").read_text())
            names = ["Test data", "Samples", "Probability integral transform"]
            self.assertEqual(list(page.pictures)[:3], names)
            (row,) = (row for row in page.rows if row[0] == "column_types")
            self.assertStartsWith(row[1], "income positive")
            for name in baselines:
                (row,) = (row for row in page.rows if row[0].startswith(name))
                self.assertRegex(row[3], "^(better|worse) by ")

    def test_what_is_printed(self):
        for run in (self.with_gaps, self.with_context):
            self.assertEqual(run.status, 0, run.errors)
        for line in (
            "  income  positive  log\n",
            "  hour  circular(24)",
            "  kind  categorical(3)  argmax",
            " missing\n",
        ):
            self.assertIn(line, self.with_gaps.output)
        self.assertIn("rows left out, since values are missing", self.with_context.output)
        self.assertIn("Gaussian copula", self.with_context.output)
        self.assertIn("independent columns", self.with_gaps.output)

    def test_samples_are_values_of_the_table(self):
        for folder in (self.gaps, self.given):
            rows = _read(folder / "samples.csv")
            self.assertLen(rows, 1000)
            self.assertContainsSubset({row["kind"] for row in rows}, {"a", "b", "c"})
            self.assertTrue(all(0 <= float(row["hour"]) < 24 and float(row["income"]) > 0 for row in rows))
            self.assertTrue(all(row["age"] == str(int(row["age"])) and 0 <= int(row["age"]) <= 120 for row in rows))

    def test_evaluate_says_the_same_of_a_run_and_its_export(self):
        expected = json.loads((self.given / "results.json").read_text())["coupling"]["nats"]
        for model in (f"--output_dir={self.given}", f"--saved_model={self.given / 'saved_model'}"):
            evaluated = programs.run("evaluate", model)
            self.assertIn(f"{expected:.4f} +-", evaluated.output)
            self.assertIn("uniform dequantisation, 1 sample", evaluated.output)
        tighter = programs.run("evaluate", f"--output_dir={self.given}", "--importance_samples=3")
        self.assertIn("3 samples", tighter.output)

    def test_all_splits_and_the_interval(self):
        evaluated = programs.run("evaluate", f"--output_dir={self.gaps}", "--split=all")
        count = sum(row["kind"] in "abc" for row in _read(self.csv))
        self.assertRegex(evaluated.output, rf"table.csv all: .* {count} events\), 95 % interval -\d+\.\d+ \.\.\. -")

    def test_the_card(self):
        folder = self.folder / "served"
        done = programs.run("export", f"--output_dir={self.given}", f"--export_dir={folder}", "--card")
        self.assertEqual(done.status, 0, done.errors)
        card = (folder / "README.md").read_text()
        for line in (
            "| hour | circular(24) |  |",
            "| kind | categorical(3) | given |",
            "| Gaussian copula | ",
            "## Test nats",
        ):
            self.assertIn(line, card)

    def test_samples_given_columns(self):
        file = self.folder / "wanted.csv"
        file.write_text("owner,kind\nyes,b\nno,a\n")
        drawn = programs.run("sample", f"--output_dir={self.given}", f"--given={file}", "--count=2")
        self.assertEqual(drawn.status, 0, drawn.errors)
        (path,) = self.given.glob("samples-0-count-2*.csv")
        self.assertEqual([row["kind"] + row["owner"] for row in _read(path)], ["byes", "byes", "ano", "ano"])
        file.write_text("owner,kind\nyes,d\n")
        refused = programs.run("sample", f"--output_dir={self.given}", f"--given={file}", "--label=1")
        self.assertEqual(refused.error, "expected no --label and no --columns for a table's samples, got one")
        refused = programs.run("sample", f"--output_dir={self.given}", f"--given={file}")
        self.assertIn("line 2, column 2 ('kind'): expected one of a, b, c, got 'd'", refused.error)

    def test_samples_given_one_column(self):
        file = self.folder / "one.csv"
        for content in ("kind\nb\na\n", "kind\n b\n\na \n"):
            file.write_text(content)
            drawn = programs.run("sample", f"--output_dir={self.gaps}", f"--given={file}", "--count=1")
            self.assertEqual(drawn.status, 0, drawn.errors)
            (path,) = self.gaps.glob("samples-0-count-1-given*.csv")
            self.assertEqual([row["kind"] for row in _read(path)], ["b", "a"])
        file.write_text("b\na\n")
        refused = programs.run("sample", f"--output_dir={self.gaps}", f"--given={file}")
        self.assertIn("expected some of the columns income, hour", refused.error)
        file.write_text("kind,agee\nb,30\na,40\n")
        refused = programs.run("sample", f"--output_dir={self.gaps}", f"--given={file}")
        expected = f"csv:{file}: expected columns among income, hour, kind, age, owner, weight, got agee"
        self.assertEqual(refused.error, expected)

    def test_impute_fills_the_gaps_alone(self):
        filled, table = self.folder / "filled.csv", self.folder / "with_ids.csv"
        table.write_text(re.sub("(?m)^([0-9]+),", r"00\1,", self.csv.read_text()))
        done = programs.run("impute", str(table), f"--output_dir={self.gaps}", f"--output_file={filled}")
        self.assertEqual(done.status, 0, done.errors)
        self.assertIn("Copied as they are, since the model lacks them: id, weight", done.errors)
        before, after = _read(table), _read(filled)
        self.assertEqual([*after[0]], [*before[0]])
        gaps = sum(row["age"] == "NA" for row in before)
        self.assertIn(f"{gaps:,} values filled", done.errors)
        for old, new in zip(before, after, strict=True):
            for name in ("id", "kind", "owner", "weight"):
                self.assertEqual(old[name], new[name])
            self.assertTrue(old["age"] == new["age"] or old["age"] == "NA" and 0 <= int(new["age"]) <= 120)
        own = programs.run("impute", str(table), f"--output_dir={self.gaps}", f"--output_file={table}")
        self.assertEqual(own.error, f"expected --output_file to be another file than the inputs, got {table}")
        refused = programs.run("impute", str(self.csv), f"--output_dir={self.given}")
        self.assertIn("--missing=keep", refused.error)

    def test_the_export_answers_for_rows(self):
        path = self.gaps / "saved_model"
        columns = nvp.columns.Columns.of_json(nvp.serving.describe(path)["column_types"])
        model = tf.saved_model.load(str(path))
        rows = np.concatenate([columns.example(), columns.example()])
        answers = model.signatures["log_prob"](rows=tf.constant(rows))["log_prob"]
        self.assertEqual(answers[0], answers[1])  # The noise is a function of the row.
        asked = dict(count=tf.constant(4), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))
        drawn = model.signatures["sample"](**asked)["rows"]
        self.assertEqual(set(columns.decode(drawn.numpy())["kind"]) - {"a", "b", "c"}, set())
        rows[1, columns.names.index("income")] = -1
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "got in row"):
            model.signatures["log_prob"](rows=tf.constant(rows))

    def test_score_says_the_same_of_a_run_and_its_export(self):
        for folder in (self.gaps, self.given):
            scores = []
            for model in (f"--output_dir={folder}", f"--saved_model={folder / 'saved_model'}"):
                output = self.folder / "scores.csv"
                done = programs.run("score", str(self.csv), model, f"--output_file={output}", "--id=id")
                self.assertEqual(done.status, 0, done.errors)
                scores.append({row["id"]: float(row["log_prob"] or "nan") for row in _read(output)})
            self.assertLen(scores[0], 400)
            np.testing.assert_allclose([*scores[0].values()], [*scores[1].values()], rtol=1e-5)
            gaps = {row["id"] for row in _read(self.csv) if row["age"] == "NA"}
            without = {row for row, score in scores[0].items() if np.isnan(score)}
            self.assertEqual(without, gaps if folder == self.given else set())

    def test_refused(self):
        for flags, message in (
            (["--columns=income:bounded(0,1)"], "table.csv, line "),
            (["--columns=nothing:real"], "expected names of columns among id, income"),
            (["--context=id,income,hour,kind,age,owner,weight"], "expected a column whose density is to be learned"),
        ):
            refused = programs.run("train", *self.flags, *flags, f"--output_dir={self.folder / 'none'}")
            self.assertIn(message, refused.error)
        images = programs.run("train", "--columns=a:real", f"--output_dir={self.folder / 'none'}")
        self.assertIn("expected a table for --columns", images.error)


class DecodedTest(absltest.TestCase):
    def test_values_of_the_file_keep_their_digits(self):
        columns = nvp.columns.infer({"a": [1.0, 2.5, 4.0], "b": ["x", "y", "x"], "c": [3, 7, 9]}, "b:categorical")
        given = {
            "a": np.array([123456789.125, np.nan]),
            "b": np.array([None, "y"], object),
            "id": np.array(["07", None], object),
        }
        model = types.SimpleNamespace(types=columns)
        path = programs.scratch() / "digits.csv"
        data.write_columns(path, tables.decoded(model, np.array([[1.2e8, 0, 3], [4.5, 1, np.nan]], np.float32), given))
        self.assertEqual(path.read_text(), "a,b,c,id\n123456789.125,x,3,07\n4.5,y,,\n")


if __name__ == "__main__":
    absltest.main()
