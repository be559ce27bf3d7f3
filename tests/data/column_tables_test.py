"""Tables of frames and arrays, batches of tables, and where their values are."""

import pathlib
import tempfile
from unittest import mock

import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet
from absl.testing import absltest, parameterized

from tests.data import in_folder
from tfp_realnvp import data
from tfp_realnvp.data import csv_columns

_VALUES = {"x": [1.5, np.nan, 3.0], "t": ["a", None, "c d"]}


def _parts(count: int = 3) -> None:
    """Files of 10 rows each: i and its text."""
    for part in range(count):
        rows = range(10 * part, 10 * part + 10)
        table = pa.table({"i": list(rows), "t": [f"t{i}" for i in rows]})
        pyarrow.parquet.write_table(table, f"part{part}.parquet", row_group_size=4)


class MemoryTest(absltest.TestCase):
    def test_of_a_parquet_file_a_part_is_in_memory(self):
        """What is held does not grow with the rows that have been read."""
        path = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "many.parquet"
        numbers = np.random.default_rng(0).normal(size=[40, 20_000])
        with pyarrow.parquet.ParquetWriter(path, pa.schema({"x": pa.float64()})) as writer:
            for part in numbers:
                writer.write_table(pa.table({"x": part}))
        before, held = pa.total_allocated_bytes(), []
        for part in data.stream_columns(f"parquet:{path}", 20_000):
            np.testing.assert_array_equal(part.columns["x"], numbers[len(held)])
            held.append(pa.total_allocated_bytes() - before)
        self.assertLen(held, 40)
        self.assertLess(max(held), path.stat().st_size / 3)


class FrameTest(parameterized.TestCase):
    def assert_values(self, table, label):
        self.assertEqual((list(table.columns), len(table), table.label), (["x", "t"], 3, label))
        np.testing.assert_array_equal(table.columns["x"], _VALUES["x"])
        self.assertEqual(table.columns["t"].tolist(), _VALUES["t"])

    def test_pandas(self):
        frame = pandas.DataFrame(_VALUES, index=[7, 8, 9])
        self.assert_values(data.read_columns(frame), "the DataFrame of pandas")
        frame["t"] = frame["t"].astype("category")
        frame["x"] = frame["x"].astype("Float64")
        table = data.read_columns(frame)
        self.assert_values(table, "the DataFrame of pandas")
        self.assertEqual(table.where(2, "x"), "the DataFrame of pandas, row 2, column 'x'")

    def test_pandas_with_anything(self):
        frame = pandas.DataFrame(
            {1: [1, "a", None], "d": pandas.to_datetime(["2024-01-02"] * 3), "b": [True, False, True]}
        )
        columns = data.read_columns(frame).columns
        self.assertEqual(columns["1"].tolist(), ["1", "a", None])
        self.assertStartsWith(columns["d"][0], "2024-01-02")
        np.testing.assert_array_equal(columns["b"], [1.0, 0, 1])

    def test_polars(self):
        frame = polars.DataFrame(_VALUES)
        self.assert_values(data.read_columns(frame), "the DataFrame of polars")
        self.assert_values(data.read_columns(frame.cast({"t": polars.Categorical})), "the DataFrame of polars")

    def test_arrow(self):
        table = pa.table(_VALUES)
        self.assert_values(data.read_columns(table), "the Table of pyarrow")
        categories = pa.DictionaryArray.from_arrays([0, None, 1], pa.array(["a", "c d"], pa.string_view()))
        self.assert_values(data.read_columns(table.set_column(1, "t", categories)), "the Table of pyarrow")

    def test_mapping(self):
        self.assert_values(data.read_columns(_VALUES), "the mapping")
        arrays = {name: np.array(values, object if name == "t" else np.float32) for name, values in _VALUES.items()}
        self.assert_values(data.read_columns(arrays), "the mapping")
        self.assertEqual(list(data.read_columns(arrays, left_out=["x"]).columns), ["t"])

    @parameterized.parameters(
        (
            pandas.DataFrame([[1, 2]], columns=["a", "a"]),
            "the DataFrame of pandas: expected different names of columns, got 'a' twice",
        ),
        ({"a": [1, 2], "b": [3]}, "the mapping, column 'b': expected 2 rows, as in 'a', got 1"),
        (
            {"a": np.ones([2, 2])},
            "the mapping, column 'a': expected one axis of numbers or text, got float64 of (2, 2)",
        ),
        ({"a": [1, -np.inf]}, "the mapping, row 1, column 'a': expected a finite number, got -inf"),
        ({}, "the mapping: expected columns, got none"),
    )
    def test_refused(self, source, message):
        with self.assertRaises(data.BadTableError) as caught:
            data.read_columns(source)
        self.assertEqual(str(caught.exception), message)

    def test_fields_in_some_arrays_of_an_archive_alone(self):
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "mixed.npz"
        fields = np.zeros(4, [("x", float), ("y", float)])
        np.savez(path, train=fields, validation=np.zeros([4, 2]), test=fields)
        with self.assertRaisesRegex(data.BadTableError, "mixed.npz, validation: expected columns, got none"):
            data.read_columns(f"npz:{path}")

    def test_something_else(self):
        with self.assertRaisesRegex(ValueError, "expected a name such as csv:PATH, .* got the int of builtins"):
            data.read_columns(3)
        for series in (pandas.Series([1.0]), polars.Series([1.0])):
            with self.assertRaisesRegex(ValueError, "expected a name such as csv:PATH, .* got the Series of"):
                data.read_columns(series)
        mixed = pandas.DataFrame({"a": pandas.Series(["u", 1, pandas.NA], dtype=object)})
        self.assertEqual(data.read_columns(mixed).columns["a"].tolist(), ["u", "1", None])
        with self.assertRaisesRegex(ValueError, "expected csv:PATH, parquet:PATH, .* got 'a.csv'"):
            data.read_columns("a.csv")


class FilesTest(in_folder.InFolderTest):
    def test_folder_of_parquet(self):
        _parts()
        table = data.read_columns("parquet:*.parquet")
        np.testing.assert_array_equal(table.columns["i"], np.arange(30.0))
        self.assertEqual(table.label, "part0.parquet and 2 more")
        self.assertEqual(table.where(10, "t"), "part1.parquet, row 0, column 't'")

    def test_other_columns(self):
        _parts(1)
        pyarrow.parquet.write_table(pa.table({"i": ["a"], "t": ["b"]}), "part1.parquet")
        with self.assertRaisesRegex(data.BadTableError, "part1.*column 'i': expected what part0.parquet has, got text"):
            data.read_columns("parquet:part*.parquet")
        pyarrow.parquet.write_table(pa.table({"i": [1], "u": ["b"]}), "part1.parquet")
        with self.assertRaisesRegex(data.BadTableError, "part1.parquet: expected the columns i, t, as in part0.*i, u"):
            data.read_columns("parquet:part*.parquet")

    def test_what_is_not_there(self):
        for source in ("parquet:a.parquet", "parquet:a/*.parquet", "arrow:a", "csv:a.csv", "npz:a.npz:b"):
            with self.assertRaises(data.DataNotFoundError):
                data.read_columns(source)

    def test_no_table(self):
        pathlib.Path("a").write_bytes(b"PAR1 and something else")
        for kind in ("parquet", "arrow"):
            with self.assertRaisesRegex(data.BadTableError, "^a: expected a table of Arrow's, but Arrow says: "):
                data.read_columns(f"{kind}:a")

    def test_names(self):
        pathlib.Path("a.csv").write_text("1,x\n2,y\n")
        for header in ("auto", "no"):
            if header == "no":
                table = data.read_columns("csv:a.csv", header=header, names=["i", "t"])
                self.assertEqual((list(table.columns), table.is_named), (["i", "t"], False))
                self.assertEqual(table.where(1, "t"), "a.csv, line 2, column 2")
        with self.assertRaisesRegex(data.BadTableError, "a.csv: expected 3 columns, i, t, u, got 2 without names"):
            data.read_columns("csv:a.csv", header="no", names=["i", "t", "u"])
        pathlib.Path("b.csv").write_text("2020\n1\n2\n")
        table = data.read_columns("csv:b.csv", names=["2020"])
        np.testing.assert_array_equal(table.columns["2020"], [1, 2])

    def test_columns_that_are_not_looked_at(self):
        pathlib.Path("a.csv").write_text("i,code\n" + "1,5\n" * 40 + "2,A\n")
        with self.assertRaisesRegex(
            data.BadTableError, "a.csv, line 42, column 2 .'code'.: expected a number, got 'A'"
        ):
            data.read_columns("csv:a.csv")
        self.assertEqual(list(data.read_columns("csv:a.csv", left_out=["code"]).columns), ["i"])
        self.assertEqual(data.read_columns("csv:a.csv", text=["code"]).columns["code"].tolist(), ["5"] * 40 + ["A"])

    def test_real_numbers_that_only_these_readers_take(self):
        lines = [f"0,{i:03};{(-1) ** i * i},5" for i in range(1, 41)]
        pathlib.Path("a.csv").write_text("x;y\n" + "\n".join(lines))
        events = data.load("csv:a.csv", typing=data.Typing())
        self.assertEqual((events.columns, events.num_examples("train")), (("x", "y"), 33))
        pathlib.Path("a.csv").write_text("x;y\n" + "\n".join(lines).replace(",", "."))
        self.assertIsNone(data.load("csv:a.csv", typing=data.Typing(spec="x:real")).types)


class StreamTest(in_folder.InFolderTest):
    @parameterized.parameters("csv", "parquet", "arrow")
    def test_batches_are_the_table(self, kind):
        _parts()
        table = pyarrow.parquet.read_table("part0.parquet")
        source = f"{kind}:all"
        if kind == "csv":
            pathlib.Path("all").write_text("i,t\n" + "".join(f'"{i},000",t{i}\n\n' for i in range(30)))
        elif kind == "parquet":
            source = "parquet:part*.parquet"
        else:
            with pa.ipc.new_file("all", table.schema) as file:
                for part in range(3):
                    file.write_table(pyarrow.parquet.read_table(f"part{part}.parquet"))
        batches = list(data.stream_columns(source, 7))
        self.assertEqual([len(batch) for batch in batches], [7, 7, 7, 7, 2])
        whole = data.read_columns(source)
        for name in ("i", "t"):
            np.testing.assert_array_equal(
                np.concatenate([batch.columns[name] for batch in batches]), whole.columns[name]
            )
            self.assertEqual(batches[2].where(3, name), whole.where(17, name))

    def test_a_line_that_arrow_does_not_take(self):
        """Python reads on where a line is longer than a block of Arrow's."""
        texts = [["y" * 110_000 if i == 110 else f"{i:0>400}a"] * 30 for i in range(120)]
        lines = [",".join([str(i), *fields]) for i, fields in enumerate(texts)]
        pathlib.Path("a.csv").write_text("i," + ",".join(f"t{i}" for i in range(30)) + "\n" + "\n".join(lines))
        with mock.patch.object(csv_columns.CSVReader, "_by_python", autospec=True) as by_python:
            by_python.return_value = ()
            read = sum(len(batch) for batch in data.stream_columns("csv:a.csv"))
        self.assertBetween(read, 1, 110)
        batches = list(data.stream_columns("csv:a.csv", 50))
        np.testing.assert_array_equal(np.concatenate([batch.columns["i"] for batch in batches]), np.arange(120.0))
        self.assertLen(batches[2].columns["t29"][10], 110_000)

    def test_lines_of_values_with_line_ends(self):
        pathlib.Path("a.csv").write_text("t,i\n" + "\n".join(f'"a\n{i}",{i}' for i in range(10)))
        self.assertEqual(data.read_columns("csv:a.csv").where(3, "i"), "a.csv, line 8, column 2 ('i')")

    def test_types_are_those_of_the_first_batch(self):
        pathlib.Path("a.csv").write_text("i,late\n" + 10 * "1,\n" + 5 * "2,a\n" + "x,3\n")
        batches = data.stream_columns("csv:a.csv", 5)
        late = [next(batches).columns["late"] for _ in range(3)]
        self.assertEqual([column.dtype for column in late], [np.float64, np.float64, object])
        with self.assertRaisesRegex(data.BadTableError, "a.csv, line 17, column 1 .'i'.: expected a number, got 'x'"):
            next(batches)

    @parameterized.parameters(25, 100)
    def test_faults_are_kept(self, rows):
        """Also of a column whose values are read in one notation of two."""
        lines = [f"{i};{i},5;t{i}" for i in range(40)]
        lines[5:9] = ["x;1,5;t", "6;7.5;t", "7;1,5", "8;1e99;t"]
        pathlib.Path("a.csv").write_text("i;y;text\n" + "\n".join(lines))
        batches = list(data.stream_columns("csv:a.csv", rows, on_error="keep"))
        faults = {batch.start + row: message for batch in batches for row, message in batch.faults.items()}
        self.assertEqual(
            faults,
            {
                5: "column 1 ('i'): expected a number, got 'x'",
                6: "column 2 ('y'): expected a number, got '7.5'; other values of the column are written otherwise,"
                " such as '0,5'",
                7: "expected 3 fields, as in the first line, got 2",
                8: "column 2 ('y'): expected a number that float32 can hold, got 1e+99",
            },
        )
        i, y = (np.concatenate([batch.columns[name] for batch in batches]) for name in "iy")
        self.assertEqual(
            (np.flatnonzero(np.isnan(i)).tolist(), np.flatnonzero(np.isnan(y)).tolist()), ([5, 7], [6, 7, 8])
        )
        self.assertEqual((i[39], y[39]), (39, 39.5))
        with self.assertRaisesRegex(data.BadTableError, "a.csv, line 9: expected 3 fields, .* got 2"):
            list(data.stream_columns("csv:a.csv"))
        with self.assertRaisesRegex(ValueError, "expected on_error to be raise or keep, got 'skip'"):
            next(data.stream_columns("csv:a.csv", on_error="skip"))


if __name__ == "__main__":
    absltest.main()
