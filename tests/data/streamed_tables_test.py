"""Tables that are read in each pass: types, splits, order, and what is refused."""

import os
import pathlib
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from absl.testing import absltest

from tfp_realnvp import data
from tfp_realnvp.data import streamed_tables, table_statistics

_ROWS = 600


def _table(count=_ROWS):
    random = np.random.default_rng(0)
    return {
        "number": np.arange(count),
        "income": np.round(random.gamma(2, size=count) + 0.1, 4),
        "kind": random.choice(np.array(["a", "b", "c"], object), count),
        "note": np.array([f"note {i}" for i in range(count)], object),
        "age": np.where(random.random(count) < 0.1, np.nan, random.integers(20, 60, count)),
    }


class StreamedTablesTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        before = os.getcwd()
        os.chdir(cls.folder)
        cls.addClassCleanup(os.chdir, before)
        table = pa.table(
            _table(), pa.schema({name: pa.string() if name in ("kind", "note") else pa.float64() for name in _table()})
        )
        data.write_columns(pathlib.Path("t.csv"), _table())
        for i, start in enumerate(range(0, _ROWS, 250)):
            pa.parquet.write_table(table.slice(start, 250), f"t{i}.parquet", row_group_size=70)
        cls.events = data.load("parquet:t?.parquet", shuffle_buffer=100)

    def _numbers(self, batches):
        """The numbers of the rows in batches."""
        return [batch[:, 0].astype(int).tolist() for batch in batches.as_numpy_iterator()]

    def test_types_of_all_rows(self):
        described = [column.describe() for column in self.events.types.columns]
        ages = _table()["age"]
        self.assertEqual(
            described,
            ["integer(0,599)", "positive", "categorical(3)", f"integer({np.nanmin(ages):g},{np.nanmax(ages):g})"],
        )
        missing = int(np.sum(np.isnan(ages)))
        for line in (
            "note  left out: text with 600 different values",
            f"age  integer(20,59)  uniform noise  {missing} missing",
            f"{missing} of 600 rows left out",
            "buffer of 100",
        ):
            self.assertIn(line, self.events.note)

    def test_moments_are_those_of_the_training_rows(self):
        rows = np.concatenate(list(self.events.evaluation_batches("train", 100).as_numpy_iterator()))
        column = self.events.types.columns[1]
        np.testing.assert_allclose(
            [column.mean, column.std], [np.log(rows[:, 1]).mean(), np.log(rows[:, 1]).std()], rtol=1e-5
        )

    def test_splits(self):
        splits = {
            split: self._numbers(self.events.evaluation_batches(split, 1000))[0]
            for split in ("train", "validation", "test")
        }
        present = np.flatnonzero(~np.isnan(_table()["age"]))
        self.assertCountEqual(sum(splits.values(), []), present.tolist())
        for split, numbers in splits.items():
            self.assertLen(numbers, self.events.num_examples(split))
            self.assertEqual(numbers, sorted(numbers))
        shares = np.bincount(table_statistics.splits_of(np.arange(100_000))) / 1e5
        np.testing.assert_allclose(shares, [0.81, 0.09, 0.1], atol=4e-3)
        # As in earlier versions: a trained model's test rows stay test rows.
        self.assertEqual(table_statistics.splits_of(np.arange(12)).tolist(), [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1])

    def test_formats_agree(self):
        other = data.load("csv:t.csv", shuffle_buffer=100)
        self.assertEqual(other.types, self.events.types)
        self.assertEqual(other.files, self.events.files)

    def test_order(self):
        epoch = self._numbers(self.events.training_batches(32, seed=0, epoch=0))
        self.assertEqual({len(batch) for batch in epoch}, {32})
        self.assertLen(epoch, self.events.num_examples("train") // 32)
        numbers = sum(epoch, [])
        self.assertLen(set(numbers), len(numbers))
        self.assertContainsSubset(numbers, self._numbers(self.events.evaluation_batches("train", 1000))[0])
        self.assertEqual(epoch, self._numbers(self.events.training_batches(32, seed=0, epoch=0)))
        self.assertNotEqual(epoch, self._numbers(self.events.training_batches(32, seed=0, epoch=1)))
        self.assertNotEqual(epoch, self._numbers(self.events.training_batches(32, seed=1, epoch=0)))
        # A resumed run sees what is left.
        self.assertEqual(epoch[5:], self._numbers(self.events.training_batches(32, seed=0, epoch=0, skip=5)))
        self.assertEmpty(self._numbers(self.events.training_batches(32, seed=0, epoch=0, skip=len(epoch))))

    def test_the_buffer(self):
        parts = np.array_split(np.arange(1000.0)[:, np.newaxis], 7)
        drawn = list(streamed_tables.shuffled(parts, 200, np.random.RandomState(0)))
        order = np.concatenate(drawn)[:, 0]
        self.assertCountEqual(order.tolist(), range(1000))
        # A row comes at most a buffer and a part early, and none of the first rows is left where it was.
        self.assertLess(np.max(order - np.arange(1000)), 200 + len(parts[0]))
        self.assertLess(np.mean(np.diff(order) == 1), 0.02)
        self.assertGreater(np.std(order[:100]), 50)

    def test_the_sample_does_not_depend_on_batches(self):
        with self.subTest("all rows"):
            found = table_statistics.collect(data.stream_columns(_table(), 50))
            self.assertCountEqual(found.rows, np.flatnonzero(table_statistics.splits_of(np.arange(_ROWS)) == 0))
            np.testing.assert_array_equal(found.sample["number"], found.rows)
            self.assertEqual(found.missing["age"], np.sum(np.isnan(_table()["age"])))
        before = table_statistics.SAMPLED
        self.addCleanup(setattr, table_statistics, "SAMPLED", before)
        table_statistics.SAMPLED = 40
        first, second = (table_statistics.collect(data.stream_columns(_table(), rows)) for rows in (7, 600))
        self.assertLen(first.rows, 40)
        np.testing.assert_array_equal(first.rows, second.rows)
        self.assertEqual(first.levels["income"].max(), _table()["income"].max())

    def test_a_rare_fraction_is_no_integer(self):
        x = np.repeat(np.arange(10_002.0), 2)
        x[-1] += 0.5
        found = table_statistics.collect(data.stream_columns({"x": x, "y": x}, 1000))
        self.assertIn("x", found.many)
        self.assertIn(x[-1], found.levels["x"])

    def test_a_trained_models_columns(self):
        typing = data.Typing(columns=self.events.types)
        again = data.load("csv:t.csv", typing=typing, shuffle_buffer=7)
        self.assertEqual(
            self._numbers(again.evaluation_batches("test", 100)),
            self._numbers(self.events.evaluation_batches("test", 100)),
        )

    def test_missing_values_are_kept(self):
        given = data.load("csv:t.csv", typing=data.Typing(missing="keep"), shuffle_buffer=100)
        self.assertTrue(given.types.is_partial)
        self.assertEqual(sum(map(given.num_examples, ("train", "validation", "test"))), _ROWS)

    def test_refused(self):
        for name, kwargs, message in (
            ("digits", {}, "digits: expected a table, csv:, parquet: or arrow:, for a shuffle_buffer, got images"),
            ("power", {}, "power: expected csv:, parquet: or arrow: for a shuffle_buffer, got another table"),
            ("csv:t.csv", {"shuffle_buffer": 0}, "expected a shuffle_buffer of 1 row or more, got 0"),
            ("csv:t.csv", {"typing": data.Typing("age:bounded(0,59)")}, None),
            ("csv:t.csv", {"typing": data.Typing("age:bounded(0,58.5)")}, "t.csv, line .* expected 0 to 58.5, got 59"),
            ("csv:t.csv", {"typing": data.Typing("nothing:real")}, "expected names of columns among number, income"),
        ):
            with self.subTest(name=name, **kwargs):
                if message is None:
                    data.load(name, **{"shuffle_buffer": 10, **kwargs})
                    continue
                with self.assertRaisesRegex(ValueError, message):
                    data.load(name, **{"shuffle_buffer": 10, **kwargs})
        with self.assertRaisesRegex(data.BadTableError, "expected at most 10,000 values for ordinal, got more"):
            pa.parquet.write_table(pa.table({"x": np.arange(10_002.0), "y": np.arange(10_002.0) % 3}), "many.parquet")
            data.load("parquet:many.parquet", typing=data.Typing("x:ordinal"), shuffle_buffer=10)


if __name__ == "__main__":
    absltest.main()
