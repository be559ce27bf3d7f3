"""Tables from files: what is read, how it is split, and what is said of a bad one."""

import os
import pathlib
import pickle
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from tests.data import in_folder
from tfp_realnvp import data
from tfp_realnvp.data.sets import SPLITS

_FILL_IN = "; fill in missing values, or remove the row"
_OTHERWISE = "; write decimals with a point, and thousands without a separator"
_SAY_WHICH = "; set --header=yes or --header=no"
_TOO_LARGE = "expected a number that float32 can hold, got"


def _lines(count: int = 8) -> str:
    """Rows `i,100 + i * i`."""
    return "".join(f"{i},{100 + i * i}\n" for i in range(count))


def _write(text: str | bytes, name: str = "table.csv") -> None:
    pathlib.Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())


class CSVTest(in_folder.InFolderTest):
    @parameterized.named_parameters(
        ("header", "i,square\n" + _lines(), ("i", "square")),
        ("no_header", _lines(), None),
        ("semicolons", ("i;square\n" + _lines()).replace(",", ";"), ("i", "square")),
        ("tabs", ("i\tsquare\n" + _lines()).replace(",", "\t"), ("i", "square")),
        ("decimal_commas_in_a_name", '"i, of all";square\n' + _lines().replace(",", ";"), ("i, of all", "square")),
        ("quoted_name_and_number", '"i, of all","square"\n"0",100\n' + _lines()[6:], ("i, of all", "square")),
        ("excel", b"\xef\xbb\xbf" + ("i,square\n" + _lines()).replace("\n", "\r\n").encode(), ("i", "square")),
        ("old_mac", ("i,square\n" + _lines()).replace("\n", "\r"), ("i", "square")),
        ("empty_lines", "\n\ni,square\n\n" + _lines().replace("\n", "\n\n"), ("i", "square")),
        ("no_end_of_line", "i,square\n" + _lines().rstrip(), ("i", "square")),
        ("spaces", ("i, square\n" + _lines()).replace(",", " ,  "), ("i", "square")),
        ("one_name_is_a_number", "i,2024\n" + _lines(), ("i", "2024")),
        ("other_notations", "0e0,+1e2\n1.,101.0\n" + _lines()[12:], None),
        ("utf8", "größe,square\n" + _lines(), ("größe", "square")),
    )
    def test_is_read(self, text, columns):
        _write(text)
        table = data.load_table("csv:table.csv")
        self.assertEqual((table.columns, table.shape), (columns, (2,)))
        rows = in_folder.all_rows(table)
        self.assertEqual(rows.dtype, np.float32)
        self.assertEqual(sorted(rows[:, 0]), list(range(8)))
        np.testing.assert_array_equal(rows[:, 1], 100 + rows[:, 0] ** 2)

    def test_a_name_does_not_matter(self):
        _write(_lines(), "table.gz")
        self.assertEqual(data.load_table("csv:table.gz").shape, (2,))

    def test_what_it_says_of_itself(self):
        _write(_lines())
        table = data.load("csv:table.csv")
        self.assertEqual(repr(table), "Events(name='csv:table.csv', shape=(2,), levels=None)")

    def test_home_is_understood(self):
        _write(_lines())
        with mock.patch.dict(os.environ, HOME=str(self.folder)):
            self.assertEqual(data.load_table("csv:~/table.csv").shape, (2,))

    @parameterized.parameters((4, (2, 1, 1)), (10, (8, 1, 1)), (105, (86, 9, 10)), (1599, (1296, 144, 159)))
    def test_splits(self, count, sizes):
        _write(_lines(count))
        table, again = data.load_table("csv:table.csv"), data.load_table("csv:table.csv")
        self.assertEqual(tuple(map(table.num_examples, SPLITS)), sizes)
        rows = in_folder.all_rows(table)
        self.assertEqual(sorted(rows[:, 0]), list(range(count)))
        self.assertNotEqual(list(rows[:, 0]), list(range(count)))
        np.testing.assert_array_equal(in_folder.all_rows(again), rows)

    def test_moments_are_the_training_rows(self):
        _write("".join(f"{1e4 + i / 7},{-(i**3)}\n" for i in range(200)))
        table = data.load_table("csv:table.csv")
        rows = in_folder.rows_of(table, "train").astype(np.float64)
        self.assertEqual((table.mean.dtype, table.std.dtype), (np.float32, np.float32))
        np.testing.assert_allclose(table.mean, rows.mean(0), rtol=1e-6)
        np.testing.assert_allclose(table.std, rows.std(0), rtol=1e-6)

    @parameterized.named_parameters(
        ("empty", "", ": expected a table, got an empty file"),
        ("empty_lines", "\n\n", ": expected a table, got an empty file"),
        ("only_a_header", "a,b\n", ": expected rows below the header, got none"),
        ("one_row", "a,b\n1,2\n", ": expected 4 or more rows, got 1"),
        (
            "one_column",
            "1\n2\n",
            ", line 1: expected at least 2 columns, separated by commas, semicolons, tabs or bars, got 1",
        ),
        (
            "spaces_between",
            "1 2\n3 4\n",
            ", line 1: expected at least 2 columns, separated by commas, semicolons, tabs or bars, got 1",
        ),
        ("text", f"a,b\n{_lines()}x1,2\n", ", line 10, column 1 ('a'): expected a number, got 'x1'"),
        ("text_without_header", f"{_lines()}1,x2\n", ", line 9, column 2: expected a number, got 'x2'"),
        ("text_after_empty_lines", "\na,b\n\n1,2\n\n3,x", ", line 6, column 2 ('b'): expected a number, got 'x'"),
        ("long_text", "a,b\n1," + 99 * "x", f", line 2, column 2 ('b'): expected a number, got '{40 * 'x'}...'"),
        ("underscore", "a,b\n1,1_000\n", ", line 2, column 2 ('b'): expected a number, got '1_000'"),
        (
            "decimal_comma",
            "a;b\n1,5;2\n",
            f", line 2, column 1 ('a'): expected a number, got '1,5'{_OTHERWISE}",
        ),
        ("decimal_comma_between_commas", "a,b\n1,5,2\n", ", line 2: expected 2 fields, as in the first line, got 3"),
        ("too_short_a_line", f"a,b\n{_lines()}7\n", ", line 10: expected 2 fields, as in the first line, got 1"),
        ("too_long_a_line", f"{_lines()}7,8,9\n", ", line 9: expected 2 fields, as in the first line, got 3"),
        ("all_lines_too_long", "a,b\n1,2,3\n", ", line 2: expected 2 fields, as in the first line, got 3"),
        (
            "empty_field",
            f"a,b\n{_lines()}1,\n",
            f", line 10, column 2 ('b'): expected a number, got an empty field{_FILL_IN}",
        ),
        *(
            (
                f"missing_{number}",
                f"a,b\n{_lines()}1,{text}\n",
                f", line 10, column 2 ('b'): expected a number, got {text!r}{_FILL_IN}",
            )
            for number, text in enumerate(["nan", "NaN", "NA", "null", "?"])
        ),
        (
            "missing_in_the_first_line",
            "1,NA\n2,3\n",
            f", line 1, column 2: expected a number, got 'NA'{_FILL_IN}",
        ),
        ("infinite", f"{_lines()}1,-inf\n", ", line 9, column 2: expected a finite number, got -inf"),
        ("above_float32", f"{_lines()}1,-4e38\n", f", line 9, column 2: {_TOO_LARGE} -4e+38"),
        ("above_float64", f"{_lines()}1e999,1\n", f", line 9, column 1: {_TOO_LARGE} '1e999'"),
        (
            "integer_overflow",
            f"{_lines()}1{400 * '0'},1\n",
            f", line 9, column 1: {_TOO_LARGE} '1{39 * '0'}...'",
        ),
        (
            "constant",
            "a,b\n" + 9 * "1,2.5\n",
            ", column 1 ('a'): expected values that differ, got 1.0 (as float32) in every training row; remove the"
            " column",
        ),
        (
            "constant_in_float32",
            "time,b\n" + "".join(f"{1_600_000_000 + i},{i}\n" for i in range(20)),
            ", column 1 ('time'): expected values that differ, got 1600000000.0 (as float32) in every training row;"
            " remove the column",
        ),
        (
            "nearly_constant_in_float32",
            "a,b\n" + "".join(f"{i},{1e9 + 200 * (i % 2)}\n" for i in range(20)),
            ", column 2 ('b'): expected values that float32 can tell apart, got a standard deviation of 95.8 among"
            " values up to 1e+09; shift or scale the column first",
        ),
        (
            "index_of_rows",
            f",a\n{_lines()}",
            ", line 1, column 1: expected a name in the header, got none; leave out an index of the rows",
        ),
        (
            "separator_at_the_end",
            f"a,b,\n{_lines()}".replace("\n", ",\n").replace(",,", ","),
            ", line 1, column 3: expected a name in the header, got none; remove the separator at the end of the lines",
        ),
        (
            "two_names_alike",
            f"a,b,a\n{_lines()}",
            ", line 1: expected different names in the header, got 'a' in columns 1 and 3",
        ),
        *(
            (
                f"thousands_{number}",
                f"a;b\n{text};2\n",
                f", line 2, column 1 ('a'): expected a number, got {text!r}{_OTHERWISE}",
            )
            for number, text in enumerate(["1,234", "1 234", "1'234", "1.234.567", "1.234,5", "1\u202f234"])
        ),
        (
            "names_or_numbers",
            f"1,0.5x\n{_lines()}".replace("1,", "-1,", 1),
            f", line 1: expected names or numbers, got both, such as '0.5x' and '-1'{_SAY_WHICH}",
        ),
        (
            "decimal_comma_in_the_first_line",
            "1,5;2\n3;4\n",
            f", line 1, column 1: expected a number, got '1,5'{_OTHERWISE}",
        ),
        (
            "names_of_pandas",
            f"0,1\n{_lines()}",
            f", line 1: expected names or numbers, got 0,1, which could be either{_SAY_WHICH}",
        ),
        (
            "years",
            "2023,2021,2019,2017,2015\n1,2,3,4,5\n",
            f", line 1: expected names or numbers, got 2023,2021,2019,..., which could be either{_SAY_WHICH}",
        ),
        ("latin1", b"gr\xf6\xdfe,b\n1,2\n", ", line 1: expected text in UTF-8, got byte 0xf6"),
        ("latin1_below", b"1,2\n" * 9999 + b"1,\xe9\n", ", line 10000: expected text in UTF-8, got byte 0xe9"),
        ("utf16", _lines().encode("utf-16"), ", line 1: expected text in UTF-8, got byte 0xff"),
        ("binary", b"\0\1\2,\3\4\n", ": expected a text file, got a binary one"),
        ("other_digits", "1,2\n3,\u0664\n", ", line 2, column 2: expected a number, got '\u0664'"),
        ("endless_field", "a,b\n1," + 200_000 * "1", ", line 2: field larger than field limit (131072)"),
    )
    def test_error(self, text, message):
        _write(text)
        self.assertEqual(self.message(data.BadTableError, "csv:table.csv"), f"table.csv{message}")

    def test_bad_is_a_value_error(self):
        self.assertTrue(issubclass(data.BadTableError, ValueError))

    @parameterized.parameters(("yes", ("0", "1"), 8), ("no", None, 9))
    def test_what_the_first_line_is_can_be_said(self, header, columns, count):
        _write("0,1\n" + _lines())
        table = data.load_table("csv:table.csv", header=header)
        self.assertEqual((table.columns, len(in_folder.all_rows(table))), (columns, count))
        _write("a,b\n" + _lines())
        if header == "no":
            with self.assertRaisesRegex(data.BadTableError, "line 1, column 1: expected a number, got 'a'"):
                data.load_table("csv:table.csv", header=header)
        with self.assertRaisesRegex(ValueError, "expected header to be one of auto, yes, no, got 'maybe'"):
            data.load_table("csv:table.csv", header="maybe")

    @parameterized.parameters(
        ("a,b\n", {}, "(a, b)"),
        ("", {}, "without names; no header"),
        ("", {"columns": ["a", "b"]}, "(a, b); no header"),
        ("b,a\n", {"columns": ["a", "b"]}, "(a, b); the order in the file is b, a"),
    )
    def test_a_line_about_it(self, header, given, expected):
        _write(header + _lines(20))
        self.assertEqual(
            data.load_table("csv:table.csv", **given).describe(),
            f"csv:table.csv: 20 rows (17 train, 1 validation, 2 test), 2 columns {expected}",
        )

    def test_many_names_are_cut(self):
        names = [f"c{i}" for i in range(40)]
        data.write_csv(pathlib.Path("table.csv"), np.random.default_rng(0).normal(size=[9, 40]), names)
        self.assertEndsWith(data.load_table("csv:table.csv").describe(), f"({', '.join(names[:12])} and 28 more)")

    def test_what_is_written_is_read(self):
        rows = np.random.default_rng(0).normal(size=[9, 3]).astype(np.float32)
        names = ("a, b", 'say "c"', "größe")
        data.write_csv(pathlib.Path("table.csv"), rows, names)
        table = data.load_table("csv:table.csv")
        self.assertEqual(table.columns, names)
        np.testing.assert_array_equal(np.sort(in_folder.all_rows(table), 0), np.sort(rows, 0))
        data.write_csv(pathlib.Path("table.csv"), rows, None)
        self.assertEqual(data.load_table("csv:table.csv").columns, ("column_0", "column_1", "column_2"))

    def test_a_pipe_is_refused(self):
        os.mkfifo("table.csv")
        for name in ("csv:table.csv", "npy:table.csv", "csv:/dev/zero"):
            path = name.partition(":")[2]
            self.assertEqual(
                self.message(data.DataNotFoundError, name),
                f"expected a file, got a pipe or a device at {path}: write the table to a file first",
            )

    def test_no_file(self):
        for name in ("csv:table.csv", "npz:table.csv", "npz:table.csv:wine", "npy:table.csv"):
            self.assertEqual(self.message(data.DataNotFoundError, name), "there is no file table.csv")
        os.symlink("loop", "loop")
        self.assertEqual(self.message(data.DataNotFoundError, "csv:loop"), "there is no file loop")

    def test_a_folder(self):
        self.assertEqual(self.message(data.DataNotFoundError, "csv:."), "expected a file, got the folder .")


class ArraysTest(in_folder.InFolderTest):
    def setUp(self):
        super().setUp()
        random = np.random.default_rng(0)
        self.splits = {split: random.normal(size=[count, 3]) for split, count in zip(SPLITS, (9, 2, 1))}
        self.prefixed = {f"wine/{split}": rows + 1 for split, rows in self.splits.items()}

    def assert_splits(self, table, splits):
        self.assertIsNone(table.columns)
        for split, rows in zip(SPLITS, splits.values(), strict=True):
            np.testing.assert_array_equal(in_folder.rows_of(table, split), rows.astype(np.float32))

    def test_three_splits(self):
        np.savez("a.npz", **self.splits, other=np.zeros(3))
        table = data.load_table("npz:a.npz")
        self.assert_splits(table, self.splits)
        self.assertEndsWith(table.describe(), ", 3 columns without names; left out: other")

    def test_one_set_of_several(self):
        np.savez_compressed("a.npz", **self.prefixed, **{f"beer/{key}": rows for key, rows in self.splits.items()})
        self.assert_splits(data.load_table("npz:a.npz:wine"), self.prefixed)
        self.assert_splits(data.load_table("npz:a.npz:beer"), self.splits)
        self.assertEqual(
            self.message(data.BadTableError, "npz:a.npz"),
            "a.npz: expected the name of a set, as npz:PATH:SET, out of wine, beer",
        )
        self.assertIn(
            "a.npz: expected an array cider, or cider/train, cider/validation, cider/test, got wine/train, wine/",
            self.message(data.BadTableError, "npz:a.npz:cider"),
        )

    def test_the_only_set(self):
        np.savez("a.npz", **self.prefixed, **{"wine/columns": np.arange(3)})
        self.assert_splits(data.load_table("npz:a.npz"), self.prefixed)

    def test_a_path_with_a_colon(self):
        np.savez("a:b.npz", **self.prefixed)
        for name in ("npz:a:b.npz", "npz:a:b.npz:wine"):
            self.assert_splits(data.load_table(name), self.prefixed)

    @parameterized.parameters(np.uint8, np.int64, np.float16, np.float32, np.float64, ">f8")
    def test_one_array(self, dtype):
        rows = np.arange(60).reshape(20, 3)[:, ::-1].astype(dtype)
        np.savez("one.npz", anything=rows)
        np.savez("two.npz", data=rows, labels=np.zeros(20))
        np.save("a.npy", rows)
        with open("table.csv", "w") as file:
            np.savetxt(file, rows, delimiter=",")
        expected = in_folder.all_rows(data.load_table("csv:table.csv"))
        for name in ("npz:one.npz", "npz:one.npz:anything", "npz:two.npz:data", "npy:a.npy"):
            table = data.load_table(name)
            self.assertEqual(tuple(map(table.num_examples, SPLITS)), (17, 1, 2))
            np.testing.assert_array_equal(in_folder.all_rows(table), expected)

    @parameterized.named_parameters(
        ("one_axis", np.zeros(9), ": expected 2 axes [rows, columns], got shape (9,)"),
        (
            "three_axes",
            np.zeros((9, 2, 2)),
            ": expected 2 axes [rows, columns], got shape (9, 2, 2) of float64; images are uint8",
        ),
        ("one_column", np.zeros((9, 1)), ": expected at least 2 columns, got 1"),
        ("no_rows", np.zeros((0, 2)), ": expected 4 or more rows, got 0"),
        ("few_rows", np.zeros((3, 2)), ": expected 4 or more rows, got 3"),
        ("text", np.array([["1", "2"]]), ": expected numbers, got dtype <U1"),
        ("booleans", np.zeros((9, 2), bool), ": expected numbers, got dtype bool"),
        ("complex", np.zeros((9, 2), complex), ": expected numbers, got dtype complex128"),
        (
            "objects",
            np.zeros((9, 2), object),
            ": expected an array of numbers, but NumPy says: Object arrays cannot be loaded when allow_pickle=False",
        ),
        (
            "nan",
            np.where(np.eye(9, 3, -5), np.nan, 1),
            f"[5, 0]: expected a number, got nan{_FILL_IN}",
        ),
        ("infinite", np.where(np.eye(9, 3, 2), -np.inf, 1), "[0, 2]: expected a finite number, got -inf"),
        ("too_large", np.where(np.eye(9, 3, -2), -1e300, 1), f"[2, 0]: {_TOO_LARGE} -1e+300"),
        (
            "constant",
            np.stack([np.arange(9), np.full(9, 7)], 1),
            "[:, 1]: expected values that differ, got 7.0 (as float32) in every training row; remove the column",
        ),
    )
    def test_error(self, array, message):
        np.save("a.npy", array)
        self.assertEqual(self.message(data.BadTableError, "npy:a.npy"), f"a.npy{message}")
        np.savez("a.npz", rows=array)
        self.assertEqual(self.message(data.BadTableError, "npz:a.npz"), f"a.npz, rows{message}")

    @parameterized.parameters(
        (dict(test=np.zeros((0, 3))), "a.npz, test: expected 1 or more rows, got 0"),
        (dict(test=np.zeros((1, 2))), "a.npz, test: expected 3 columns, as in train, got 2"),
        (
            dict(validation=np.array([[1, np.nan, 1]])),
            f"a.npz, validation[0, 1]: expected a number, got nan{_FILL_IN}",
        ),
        (
            dict(train=np.ones((9, 3))),
            "a.npz, train[:, 0]: expected values that differ, got 1.0 (as float32) in every training row; remove the"
            " column",
        ),
    )
    def test_error_in_a_split(self, changes, message):
        np.savez("a.npz", **{**self.splits, **changes})
        self.assertEqual(self.message(data.BadTableError, "npz:a.npz"), message)

    def test_no_such_arrays(self):
        np.savez("a.npz", train=np.zeros((9, 2)), test=np.zeros((9, 2)))
        self.assertEqual(
            self.message(data.BadTableError, "npz:a.npz"),
            "a.npz: expected arrays train, validation, test, got no validation, but train, test",
        )
        np.savez("a.npz", x=np.zeros((9, 2)), y=np.zeros(9))
        self.assertEqual(
            self.message(data.BadTableError, "npz:a.npz"),
            "a.npz: expected arrays train, validation and test, or one array, got x, y; npz:PATH:NAME selects one of"
            " them",
        )

    def test_no_array_file(self):
        np.savez("a.npz", rows=np.zeros((9, 2)))
        whole = pathlib.Path("a.npz").read_bytes()
        _write(pickle.dumps(_Runs()), "a.npz")
        self.assertEqual(
            self.message(data.BadTableError, "npz:a.npz"), "a.npz: expected an .npy or .npz file, got something else"
        )
        np.save("objects.npy", np.array([_Runs()], object))
        self.assertIn("Object arrays cannot be loaded", self.message(data.BadTableError, "npy:objects.npy"))
        self.assertFalse(os.path.exists("what_a_pickle_made"))
        _write(b"", "a.npz")
        self.assertEqual(
            self.message(data.BadTableError, "npz:a.npz"), "a.npz: expected an .npy or .npz file, got something else"
        )
        _write(whole[:-40], "a.npz")
        self.assertEqual(
            self.message(data.BadTableError, "npz:a.npz"),
            "a.npz: expected an array of numbers, but NumPy says: File is not a zip file",
        )
        _write(whole.replace(bytes(16), bytes(15) + b"\1"), "a.npz")
        self.assertStartsWith(
            self.message(data.BadTableError, "npz:a.npz"),
            "a.npz, rows: expected an array of numbers, but NumPy says: Bad CRC-32",
        )


class _Runs:
    """Something whose pickle runs a function."""

    def __reduce__(self):
        return os.mkdir, ("what_a_pickle_made",)


class NameTest(in_folder.InFolderTest):
    @parameterized.parameters(
        ("powr", " (did you mean power?)"),
        ("wine", " (did you mean wine_red?)"),
        ("table.csv", " (did you mean csv:table.csv?)"),
        ("cvs:a/table.csv", " (did you mean csv:a/table.csv?)"),
        ("a.npz", " (did you mean npz:a.npz?)"),
        ("zzz", ""),
        ("csv:", ""),
        ("", ""),
    )
    def test_unknown(self, name, guess):
        message = self.message(ValueError, name)
        expected = f"unknown table {name!r}{guess}: expected csv:PATH, npz:PATH[:NAME], npy:PATH or one of power, gas, "
        self.assertEqual(message, expected + ", ".join(data.table_names()[2:]))

    @parameterized.parameters(*data.table_names())
    def test_not_here(self, name):
        message = self.message(data.DataNotFoundError, name, ".")
        self.assertRegex(message, rf"^{name} is not in \.: expected \S+( and \S+)? there: .")
        message = self.message(data.DataNotFoundError, name)
        self.assertRegex(message, rf"^{name}: pass the folder that contains \S+( and \S+)? \(--data_dir=DIR\): .")


if __name__ == "__main__":
    absltest.main()
