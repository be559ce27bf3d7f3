"""Scores of every row of a file: of a run and its export, beside ids, a bad row with its reason."""

import contextlib
import csv
import io
import json
import os
import pathlib
import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf
from absl.testing import absltest
from PIL import Image

import tfp_realnvp as nvp
from launch import calibration, score_input, score_output
from tests.launch import programs
from tfp_realnvp import serving
from tfp_realnvp.data.image_file import Decoder

_FLOW = ("--flow=coupling", "--couplings=2", "--hidden_units=8", "--batch_size=100", "--epochs=1", "--verbose=0")
_COUNT = 300


def _read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def _column(path, name="log_prob"):
    return np.array([float(row[name] or "nan") for row in _read(path)])


class ScoreTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = programs.scratch() / "score"
        cls.folder.mkdir(exist_ok=True)
        random = np.random.default_rng(0)
        cls.table = {
            "id": [f"{i:04}" for i in range(_COUNT)],
            "income": np.round(random.gamma(2, size=_COUNT), 4),
            "age": random.integers(20, 60, _COUNT),
            "kind": random.choice(["a", "b", "c"], _COUNT),
            "weight": 1 + np.arange(_COUNT) % 2,
        }
        cls.csv = cls._write("table.csv", cls.table)
        learned = {name: np.asarray(values) for name, values in cls.table.items() if name != "id"}
        spec = nvp.columns.Spec.of_text("age:integer(0,120)")
        cls.columns = nvp.columns.infer_with_notes(learned, spec, weights="weight").columns
        flow = nvp.coupling_flow(event_shape=(cls.columns.entries,), couplings=2, hidden_units=(8,))
        cls.export = cls.folder / "model"
        for i, variable in enumerate(flow.trainable_variables):  # Where it is the identity, the bound is tight.
            variable.assign_add(tf.random.stateless_normal(variable.shape, [0, i], stddev=0.3))
        of_flow = serving.Scorer(flow, columns=cls.columns, novelty=("typicality", "gradient"), batch_size=64)
        found = of_flow.score(cls.columns.encode(learned)[:100, : of_flow.columns.size]).novelty
        nvp.save(flow, cls.export, columns=cls.columns, calibration=nvp.novelty.Calibration(found))
        cls.scorer = serving.Scorer.of_export(cls.export, batch_size=64)

    @classmethod
    def _write(cls, name, table):
        path = cls.folder / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows(zip(*table.values()))
        return path

    def _score(self, file, output, *flags, model=None):
        path = self.folder / output
        given = (f"--saved_model={model or self.export}", f"--output_file={path}")
        done = programs.run("score", str(file), *given, *flags)
        self.assertEqual(done.status, 0, done.errors)
        return path, done.output

    def _scores(self, file):
        """The scores of a file by id, in this process, and the reasons of those without one."""
        scores, errors = {}, {}
        for batch in score_input.tables(score_input.named(str(file)), self.scorer, id_column="id"):
            found = batch.scored(self.scorer)
            scores |= zip(batch.ids, found.log_prob)
            errors |= {batch.ids[row]: str(fault) for row, fault in found.faults.items()}
        return scores, errors

    def test_the_export_says_the_same(self):
        # More batches than are scored side by side.
        given = ("--id=id", "--latents", "--novelty=typicality,gradient", "--batch_size=7")
        path, said = self._score(self.csv, "scores.csv", *given)
        self.assertIn(f"{_COUNT} scored, 0 without a score; log_prob is a lower bound, of 1 noise samples", said)
        rows = self.columns.encode({name: np.asarray(values) for name, values in self.table.items() if name != "id"})
        served = tf.saved_model.load(str(self.export)).signatures["p_value"](rows=tf.constant(rows))
        np.testing.assert_allclose(_column(path), served["log_prob"], rtol=1e-5)
        # Rounding may move a log-density past another one.
        np.testing.assert_allclose(_column(path, "typicality_p_value"), served["p_value"], atol=2.1 / 101)
        calibration = serving.calibration_of(self.export)
        expected = calibration.p_values({"gradient": _column(path, "gradient")})["gradient"]
        np.testing.assert_allclose(_column(path, "gradient_p_value"), expected, atol=2.1 / 101)
        self.assertEqual([row["id"] for row in _read(path)], self.table["id"])
        self.assertContainsSubset(["id", "log_prob", "latent_0", "error"], [*_read(path)[0]])
        tighter, _ = self._score(self.csv, "scores.jsonl", "--importance_samples=8", "--on_error=stop")
        lines = [json.loads(line) for line in tighter.read_text().splitlines()]
        self.assertEqual([line["id"] for line in lines], [*range(_COUNT)])
        self.assertGreater(np.mean([line["log_prob"] for line in lines]), _column(path).mean())

    def test_a_score_is_of_the_row_alone_in_any_file(self):
        expected, _ = self._scores(self.csv)
        order = np.random.default_rng(1).permutation(_COUNT)[:50]
        some = {name: np.asarray(values)[order] for name, values in self.table.items() if name != "weight"}
        some = dict(reversed(some.items()))  # Columns in another order, without the weights.
        parquet = self.folder / "some.parquet"
        pa.parquet.write_table(pa.table(some), parquet)
        records = self.folder / "some.tfrecord"
        with tf.io.TFRecordWriter(str(records)) as file:
            for values in zip(*some.values()):
                file.write(_example(dict(zip(some, values))))
        for path in (self._write("some.csv", some), parquet, records):
            self.assertEqual(self._scores(path), ({i: expected[i] for i in some["id"]}, {}))

    def test_ids_keep_their_digits_and_names_may_be_any_bytes(self):
        first = {name: values[0] for name, values in self.table.items() if name != "id"}
        records = self.folder / "digits.tfrecord"
        ids = [2**53 + 1, 123_456_789_012]
        with tf.io.TFRecordWriter(str(records)) as file:
            for number in ids:
                file.write(_example(first | {"id": np.int64(number)}))
        self.assertEqual([*self._scores(records)[0]], [*map(str, ids)])
        with tf.io.TFRecordWriter(str(records)) as file:
            for number, lacking in enumerate(("income", "age", "kind", None)):
                row = {name: value for name, value in first.items() if name != lacking}
                file.write(_example(row | {"id": str(number)}))
        scores, errors = self._scores(records)
        expected = {"0": "income", "1": "age", "2": "kind"}
        self.assertEqual(errors, {i: f"column {name!r}: expected a value, got none" for i, name in expected.items()})
        self.assertTrue(np.isfinite(scores["3"]))
        large = self._write("large.csv", {name: [value] * 2 for name, value in first.items()} | {"income": ids[1:] * 2})
        (batch,) = score_input.tables(f"csv:{large}", self.scorer, id_column="income")
        self.assertEqual(batch.ids.tolist(), ["123456789012"] * 2)
        name = os.fsdecode(b"caf\xe9.png")
        named = score_input.Batch(np.array([name], object), np.zeros([1, 3]), 0, "folder")
        scores = serving.Scores(np.zeros(1), None, {0: serving.Fault(None, f"{name}: expected an image")})
        table = score_output.table(named, scores, self.scorer, "id", with_errors=True)
        self.assertEqual(table["id"].to_pylist(), ["caf\\udce9.png"])
        self.assertEqual(table["error"].to_pylist(), ["caf\\udce9.png: expected an image"])

    def test_rows_of_other_dtypes_and_shapes(self):
        rows = np.repeat(self.columns.example()[:, : self.scorer.columns.size], 3, 0)
        expected = self.scorer.score(rows).log_prob
        np.testing.assert_array_equal(self.scorer.score(rows.astype(np.float64)).log_prob, expected)
        table = pd.DataFrame(self.columns.decode(rows))
        np.testing.assert_array_equal(self.scorer.score_table(table).log_prob, expected)
        for given, error, message in (
            (rows.astype(str), TypeError, "expected rows of numbers, got <U"),
            (rows[:, :2], ValueError, r"expected events of shape \[n, 3\], got \[3, 2\]"),
        ):
            with self.assertRaisesRegex(error, message):
                self.scorer.score(given)

    def test_an_id_beside_latents_has_another_name(self):
        given = (f"--saved_model={self.export}", f"--output_file={self.folder}/ids.csv", "--latents", "--id=latent_0")
        expected = "expected another name for --id beside --latents, whose columns have it, got latent_0"
        self.assertEqual(programs.run("score", str(self.csv), *given).error, expected)

    def test_bad_rows(self):
        rows = [list(row) for row in zip(*self.table.values())]
        rows[3][1] = "much"
        rows[5][2] = "NA"
        rows[8][3] = "d"
        rows[11] = rows[11][:1]
        rows[12][2] = 500
        path = self.folder / "bad.csv"
        path.write_text("\n".join(",".join(map(str, row)) for row in [[*self.table], *rows]))
        expected, _ = self._scores(self.csv)
        scores, errors = self._scores(path)
        self.assertEqual(errors.pop(None), "expected 5 fields, as in the first line, got 1")
        self.assertRegex(errors.pop("0012"), "column 'age': expected .*120.*, got 500")
        self.assertEqual(
            errors,
            {
                "0003": "column 2 ('income'): expected a number, got 'much'",
                "0005": "column 'age': expected a value, got none",
                "0008": "column 'kind': expected one of a, b, c, got 'd'",
            },
        )
        good = {i: score for i, score in scores.items() if np.isfinite(score)}
        self.assertLen(good, _COUNT - 5)
        self.assertEqual(good, {i: expected[i] for i in good})
        written, said = self._score(path, "bad-scores.parquet")
        self.assertIn(f"{_COUNT} scored, 5 without a score", said)
        table = pa.parquet.read_table(written)
        self.assertEqual(table.column_names, ["id", "log_prob", "error"])
        self.assertEqual(np.flatnonzero(table["log_prob"].is_null()).tolist(), [3, 5, 8, 11, 12])
        self.assertEqual(np.flatnonzero(table["error"].is_valid()).tolist(), [3, 5, 8, 11, 12])

    def test_stops_at_a_bad_row(self):
        lines = self.csv.read_text().splitlines()
        output = self.folder / "stopped.csv"
        for line, message in (
            ("0003,much,30,a,1", "line 5, column 2 ('income'): expected a number, got 'much'"),
            ("0003,2", "line 5: expected 5 fields"),
        ):
            path = self.folder / "bad.csv"
            path.write_text("\n".join([*lines[:4], line, *lines[5:]]))
            flags = (f"--saved_model={self.export}", f"--output_file={output}", "--on_error=stop")
            self.assertIn(f"bad.csv, {message}", programs.run("score", str(path), *flags).error)
            self.assertFalse(output.exists())

    def test_beam(self):
        try:
            from launch import score_beam
        except ModuleNotFoundError as error:
            self.skipTest(str(error))
        folder = self.folder / "shards"
        options = ("--runner=DirectRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading")
        job = score_beam.Job(
            source=f"csv:{self.csv}",
            export=str(self.export),
            output=str(folder / "scores.parquet"),
            id_column="id",
            rows=130,
            options={"batch_size": 64, "novelty": ("typicality",)},
        )
        score_beam.run(job, options)
        shards = sorted(folder.iterdir())
        self.assertLen(shards, 3)
        written = {path: path.stat().st_mtime_ns for path in shards}
        for _ in range(2):
            tables = [pa.parquet.read_table(path) for path in shards]
            self.assertEqual([len(table) for table in tables], [130, 130, 40])
            table = pa.concat_tables(tables)
            self.assertEqual(table.column_names, ["id", "log_prob", "typicality_p_value", "error"])
            found = dict(zip(table["id"].to_pylist(), table["log_prob"].to_numpy()))
            self.assertEqual(found, {i: np.float32(score) for i, score in self._scores(self.csv)[0].items()})
            if shards[1].stat().st_mtime_ns == written[shards[1]]:
                shards[1].unlink()
                score_beam.run(job, options)
        self.assertEqual([path for path in shards if path.stat().st_mtime_ns != written[path]], [shards[1]])

    def test_images(self):
        images = np.stack([*nvp.data.load("digits").examples("test").take(6)])
        np.save(self.folder / "digits.npy", images[..., 0])
        folder = self.folder / "digits"
        (folder / "more").mkdir(parents=True)
        for i, image in enumerate(images):
            (folder / "more" / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
        (folder / "more" / "wrong.png").write_bytes(b"no image")
        model = programs.exported()
        arrays, said = self._score(self.folder / "digits.npy", "arrays.csv", model=model)
        self.assertIn("lower bound", said)
        signature = tf.saved_model.load(str(model)).signatures["log_prob_uint8"]
        served = signature(images=tf.constant(images))
        for name in ("log_prob", "bits_per_dim"):
            np.testing.assert_allclose(_column(arrays, name), served[name], rtol=1e-5)
        novelty = "--novelty=typicality,complexity,gradient"
        files, said = self._score(folder, "files.csv", novelty, "--calibration_events=60", "--codec=webp", model=model)
        self.assertIn("Calibrated by 60 validation images of digits", said)
        scorer = serving.Scorer.of_export(model, novelty=("complexity", "gradient"), codec="webp", batch_size=32)
        for name, values in scorer.score(images).novelty.items():
            np.testing.assert_allclose(_column(files, name)[:6], values, rtol=1e-4)
        for name in ("typicality", "complexity", "gradient"):
            ranks = _column(files, f"{name}_p_value")[:6] * 61
            np.testing.assert_allclose(ranks, np.round(ranks), atol=1e-4)
            self.assertEqual(_read(files)[6][f"{name}_p_value"], "")
        self.assertEqual(_read(files)[0]["id"], "more/0.png")
        np.testing.assert_array_equal(_column(files)[:6], _column(arrays))
        self.assertIn("got a file that is not an image", _read(files)[6]["error"])
        named, _ = self._score("digits", "set.csv", model=model)
        by_id = {row["id"]: float(row["log_prob"]) for row in _read(named)}
        np.testing.assert_array_equal([by_id[f"test/{i}"] for i in range(6)], _column(arrays))

    def test_refused(self):
        model, output = f"--saved_model={self.export}", f"--output_file={self.folder / 'none.csv'}"
        for arguments, message in (
            ([str(self.csv), model, f"--output_file={self.folder / 'none.txt'}"], "expected a suffix .csv"),
            ([str(self.folder / "gone.csv"), model, output], "gone.csv"),
            (["digits", model, output], "expected events of shape"),
            (
                [str(self.csv), model, output, "--novelty=complexity"],
                "expected images for the novelty score complexity",
            ),
            ([str(self.csv), model, output, "--calibration_split=test"], "expected --novelty for --calibration_split"),
        ):
            self.assertIn(message, programs.run("score", *arguments).error)
        lacking = self._write("lacking.csv", {name: self.table[name] for name in ("age", "income")})
        for path, id_column, column in ((lacking, None, "kind"), (self.csv, "n", "n")):
            with self.assertRaisesRegex(nvp.data.BadTableError, f"expected a column '{column}', got none"):
                next(score_input.tables(f"csv:{path}", self.scorer, id_column=id_column))


class FolderTest(absltest.TestCase):
    def test_files_that_are_no_images_are_named(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "notes.txt").touch()
        Image.new("L", (2, 2)).save(folder / "a.png")
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            (batch,) = score_input.folder(str(folder), (2, 2, 1), Decoder())
        self.assertEqual(batch.ids.tolist(), ["a.png"])
        self.assertRegex(errors.getvalue(), r"Warning: expected image files \(.*\), left out 1 other\(s\): notes.txt\n")


def _example(row):
    features = {}
    for name, value in row.items():
        if isinstance(value, str):
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        elif isinstance(value, np.integer):
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        else:
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


class CalibrationTest(absltest.TestCase):
    def test_a_sample_of_a_sorted_split_is_of_all_of_it(self):
        rows = np.arange(3_000, dtype=np.float32).reshape(-1, 2)
        path = programs.scratch() / "sorted.npz"
        np.savez(path, train=rows, validation=rows, test=rows)
        events = nvp.data.load(f"npz:{path}")
        (found,) = calibration.sample_of(events, "validation", 300)
        self.assertEqual(found.shape, (300, 2))
        self.assertTrue(np.all(np.diff(found[:, 0]) > 0))
        self.assertBetween(np.mean(found[:, 0] < 1_500), 0.4, 0.6)
        np.testing.assert_array_equal(calibration.sample_of(events, "validation", 300)[0], found)
        self.assertEqual(calibration.sample_of(events, "validation", 2_000)[0].shape, (1_500, 2))


if __name__ == "__main__":
    absltest.main()
