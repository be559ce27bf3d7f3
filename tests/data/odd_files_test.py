"""Small tables as people have them: 63 that are read with the right values, and 41 that are refused with the place."""

import bz2
import gzip
import io
import lzma
import pathlib
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from absl.testing import absltest, parameterized

from tests.data import in_folder
from tfp_realnvp import data

_NAN = float("nan")
_X = {"x": [1, 2], "y": [3, 4]}
_PLAIN = "x,y\n1,3\n2,4\n"
_SAY_WHICH = "; set --header=yes or --header=no"
_ROWS = "".join(f"{i},{i / 8},t{i % 3}\n" for i in range(40))


def _zip(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file.getvalue()


def _arrow(columns: dict, write: object) -> bytes:
    file = io.BytesIO()
    write(pa.table(columns), file)
    return file.getvalue()


def _parquet(**columns: object) -> bytes:
    return _arrow(columns, pyarrow.parquet.write_table)


def _feather(**columns: object) -> bytes:
    return _arrow(columns, pyarrow.feather.write_feather)


def _stream(table: pa.Table, file: io.BytesIO) -> None:
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


# Name, kind, content, what is read; after it, what is said of the file.
_READ = (
    # Compression: the first bytes decide.
    ("gzip", "csv", gzip.compress(_PLAIN.encode()), _X),
    ("bzip2", "csv", bz2.compress(_PLAIN.encode()), _X),
    ("xz", "csv", lzma.compress(_PLAIN.encode()), _X),
    ("zip", "csv", _zip(a=_PLAIN), _X),
    ("zip_of_a_mac", "csv", _zip(**{"a": _PLAIN, "__MACOSX/a": "\0\1"}), _X),
    ("two_gzips_in_one", "csv", gzip.compress(b"x,y\n1,3\n") + gzip.compress(b"2,4\n"), _X),
    # Separators.
    ("semicolons", "csv", "x;y\n1;3\n2;4\n", _X),
    ("tabs", "csv", "x\ty\n1\t3\n2\t4\n", _X),
    ("bars", "csv", "x|y\n1|3\n2|4\n", _X),
    ("excel_says_which", "csv", "sep=|\nx|y\n1|3\n2|4\n", _X),
    ("excel_says_which_without_header", "csv", "sep=;\n1;3\n2;4\n", {"column_0": [1, 2], "column_1": [3, 4]}),
    ("semicolon_in_a_name", "csv", "x;of,y\n1,3\n2,4\n", {"x;of": [1, 2], "y": [3, 4]}),
    ("separator_in_a_text", "csv", 'x,t\n1,"a, b"\n2,c\n', {"x": [1, 2], "t": ["a, b", "c"]}),
    ("bars_in_texts", "csv", "x,t\n1,a|b\n2,c|d\n", {"x": [1, 2], "t": ["a|b", "c|d"]}),
    ("spaces_around", "csv", "x , y\n 1 ,\t3\n2 , 4 \n", _X),
    # Lines.
    ("windows", "csv", _PLAIN.replace("\n", "\r\n"), _X),
    ("old_mac", "csv", _PLAIN.replace("\n", "\r"), _X),
    ("no_end_of_line", "csv", _PLAIN.rstrip(), _X),
    ("empty_lines", "csv", "\n\nx,y\n\n1,3\n\n\n2,4\n\n", _X),
    ("line_end_in_a_text", "csv", 'x,t\n1,"a\nb"\n2,c\n', {"x": [1, 2], "t": ["a\nb", "c"]}),
    ("line_end_in_a_name", "csv", '"x\nm",y\n1,3\n2,4\n', {"x\nm": [1, 2], "y": [3, 4]}),
    ("quotes_in_quotes", "csv", 'x,t\n1,"say ""a"""\n2,c\n', {"x": [1, 2], "t": ['say "a"', "c"]}),
    ("inches", "csv", 'x,t\n1,5" pipe\n2,c\n', {"x": [1, 2], "t": ['5" pipe', "c"]}),
    ("everything_quoted", "csv", '"x","y"\n"1","3"\n"2","4"\n', _X),
    ("a_long_text", "csv", f"x,t\n1,{99_999 * 'a'}\n2,b\n", {"x": [1, 2], "t": [99_999 * "a", "b"]}),
    # Encodings.
    ("utf8", "csv", "größe,t\n1,ü\n", {"größe": [1], "t": ["ü"]}),
    ("utf8_with_mark", "csv", b"\xef\xbb\xbf" + _PLAIN.encode(), _X),
    ("mark_without_header", "csv", b"\xef\xbb\xbf1,3\n2,4\n", {"column_0": [1, 2], "column_1": [3, 4]}),
    ("utf16", "csv", "größe,t\n1,ü\n".encode("utf-16"), {"größe": [1], "t": ["ü"]}),
    ("utf16_big_end", "csv", b"\xfe\xff" + _PLAIN.encode("utf-16-be"), _X),
    ("utf16_in_gzip", "csv", gzip.compress(_PLAIN.encode("utf-16")), _X),
    (
        "cp1252",
        "csv",
        "x,t\n1,10 €\n".encode("cp1252"),
        {"x": [1], "t": ["10 €"]},
        "read as cp1252: line 2 has byte 0x80, which is not UTF-8",
    ),
    (
        "latin1",
        "csv",
        b"x,t\n1,\xe9\x81\n",
        {"x": [1], "t": ["é\x81"]},
        "read as latin-1: line 2 has byte 0xe9, which is not UTF-8",
    ),
    # Numbers.
    ("signs_and_exponents", "csv", "x,y\n+1,-3e0\n2.,.4E1\n", {"x": [1, 2], "y": [-3, 4]}),
    ("minus_of_typesetters", "csv", "x,y\n\u22121,3\n2,4\n", {"x": [-1, 2], "y": [3, 4]}),
    ("decimal_commas", "csv", "x;y\n1,5;3\n2;4\n", {"x": [1.5, 2], "y": [3, 4]}),
    ("decimal_commas_quoted", "csv", 'x,y\n"1,5",3\n2,4\n', {"x": [1.5, 2], "y": [3, 4]}),
    ("decimal_comma_and_points", "csv", "x;y\n1.234,5;3\n12;4\n", {"x": [1234.5, 12], "y": [3, 4]}),
    ("thousands_quoted", "csv", 'x,y\n"1,234",3\n567,4\n', {"x": [1234, 567], "y": [3, 4]}),
    ("millions", "csv", "x;y\n1,234,567;3\n2,345;4\n", {"x": [1234567, 2345], "y": [3, 4]}),
    ("thousands_with_decimals", "csv", "x;y\n1,234.5;3\n2,345;4\n", {"x": [1234.5, 2345], "y": [3, 4]}),
    ("thousands_beside_points", "csv", "x;y\n1,234;.5\n2;4\n", {"x": [1234, 2], "y": [0.5, 4]}),
    ("decimals_beside_decimal_commas", "csv", "x;y\n1,234;0,5\n2;4\n", {"x": [1.234, 2], "y": [0.5, 4]}),
    ("thousands_beside_decimal_commas", "csv", "x;y\n1.234;0,5\n2;4\n", {"x": [1234, 2], "y": [0.5, 4]}),
    ("both_signs", "csv", "x;y;z\n1.234;1,234;0,5\n2;4;6\n", {"x": [1234, 2], "y": [1.234, 4], "z": [0.5, 6]}),
    ("a_point_alone_is_decimal", "csv", "x;y\n1.234;1\n2;4\n", {"x": [1.234, 2], "y": [1, 4]}),
    ("thousands_by_spaces", "csv", "x,y\n1 234,3\n2\u202f345.5,4\n", {"x": [1234, 2345.5], "y": [3, 4]}),
    ("thousands_by_apostrophes", "csv", "x,y\n1'234,3\n2’345,4\n", {"x": [1234, 2345], "y": [3, 4]}),
    ("percent_is_text", "csv", "x,t\n1,50%\n2,7%\n", {"x": [1, 2], "t": ["50%", "7%"]}),
    ("money_is_text", "csv", "x,t\n1,$5\n2,€7\n", {"x": [1, 2], "t": ["$5", "€7"]}),
    # Missing values.
    (
        "missing",
        "csv",
        'x,t\n,a\nNA,""\nn/a,NULL\nNaN,none\n?,-\n-,b\n1,?\n',
        {"x": [*[_NAN] * 6, 1], "t": ["a", None, None, None, None, "b", None]},
    ),
    ("all_missing", "csv", "x,y\n1,\n2,NA\n", {"x": [1, 2], "y": [_NAN, _NAN]}),
    ("missing_in_the_first_line", "csv", "1,NA\n2,4\n", {"column_0": [1, 2], "column_1": [_NAN, 4]}),
    # Other files.
    ("parquet", "parquet", _parquet(x=[1, None], t=["a", None]), {"x": [1, _NAN], "t": ["a", None]}),
    ("parquet_booleans", "parquet", _parquet(x=[True, None], y=[2, 3]), {"x": [1, _NAN], "y": [2, 3]}),
    (
        "parquet_categories",
        "parquet",
        _parquet(t=pa.array(["b", "a", "b"]).dictionary_encode(), x=pa.array([1, 2, 3], pa.int8())),
        {"t": ["b", "a", "b"], "x": [1, 2, 3]},
    ),
    (
        "parquet_dates",
        "parquet",
        _parquet(t=pa.array([0, 365], pa.date32()), x=pa.array([5, 12], pa.decimal128(3, 1))),
        {"t": ["1970-01-01", "1971-01-01"], "x": [5, 12]},
    ),
    ("feather", "arrow", _feather(x=np.float32([1, 2]), t=["a", " NA "]), {"x": [1, 2], "t": ["a", None]}),
    ("arrow_stream", "arrow", _arrow(_X, _stream), _X),
    ("npy", "npy", _npy(np.array([[1, 3], [2, 4]], ">i4")), {"column_0": [1, 2], "column_1": [3, 4]}),
    (
        "npy_with_fields",
        "npy",
        _npy(np.array([(1, "a"), (2, "")], [("x", "f4"), ("t", "U3")])),
        {"x": [1, 2], "t": ["a", None]},
    ),
    ("npz_of_columns", "npz", _npz(x=np.arange(2), t=np.array(["a", "b"])), {"x": [0, 1], "t": ["a", "b"]}),
    (
        "npz_of_splits",
        "npz",
        _npz(test=np.ones([1, 2]), train=np.zeros([2, 2]), validation=np.full([1, 2], 7)),
        {"column_0": [0, 0, 7, 1], "column_1": [0, 0, 7, 1]},
    ),
)

# Name, kind, content, what is said behind the file's name.
_REFUSED = (
    # What is no table.
    ("empty", "csv", "", ": expected a table, got an empty file"),
    ("blank", "csv", "\n \n", ": expected a table, got an empty file"),
    ("only_a_header", "csv", "x,y\n", ": expected rows below the header, got none"),
    ("binary", "csv", b"\x7fELF\0\1,\3\n", ": expected a text file, got a binary one"),
    ("utf16_without_mark", "csv", _PLAIN.encode("utf-16-le"), ": expected a text file, got a binary one"),
    ("utf16_cut", "csv", _PLAIN.encode("utf-16")[:-1], ", line 3: expected text in UTF-16, got byte 0x0a"),
    (
        "gzip_cut",
        "csv",
        gzip.compress(_PLAIN.encode())[:-9],
        ": expected a compressed file that is whole, got: Compressed file ended before the end-of-stream marker was"
        " reached",
    ),
    (
        "xz_damaged",
        "csv",
        lzma.compress(_PLAIN.encode()).replace(b"1,3", b"1,4"),
        ": expected a compressed file that is whole, got: Corrupt input data",
    ),
    ("zip_of_two", "csv", _zip(a=_PLAIN, b=_PLAIN), ": expected a zip of one file, got 2: a, b"),
    ("zip_of_none", "csv", _zip(**{"a/": ""}), ": expected a zip of one file, got 0: "),
    # Separators and quotes.
    (
        "one_column",
        "csv",
        "x\n1\n",
        ", line 1: expected at least 2 columns, separated by commas, semicolons, tabs or bars, got 1",
    ),
    (
        "separated_by_spaces",
        "csv",
        "\nx y\n1 2\n",
        ", line 2: expected at least 2 columns, separated by commas, semicolons, tabs or bars, got 1",
    ),
    ("short_line", "csv", "x,y\n1,3\n2\n", ", line 3: expected 2 fields, as in the first line, got 1"),
    ("long_line", "csv", "x,y\n1,3\n2,4,5\n", ", line 3: expected 2 fields, as in the first line, got 3"),
    ("decimal_comma_between_commas", "csv", "x,y\n1,5,3\n", ", line 2: expected 2 fields, as in the first line, got 3"),
    (
        "short_line_far_below",
        "csv",
        "x,y\n" + 5_000 * "1,3\n" + "\n2\n",
        ", line 5003: expected 2 fields, as in the first line, got 1",
    ),
    ("open_quote", "csv", 'x,t\n1,a\n2,"b\n3,c\n', ", line 3: expected a closing quote, got the end of the file"),
    ("text_behind_a_quote", "csv", 'x,t\n1,"a"b\n2,c\n', """, line 2: ',' expected after '"'"""),
    ("endless_field", "csv", f"x,t\n1,{200_000 * 'a'}\n", ", line 2: field larger than field limit (131072)"),
    # The first line.
    (
        "two_names_alike",
        "csv",
        "x,y,x\n1,2,3\n",
        ", line 1: expected different names in the header, got 'x' in columns 1 and 3",
    ),
    (
        "index_of_rows",
        "csv",
        ",x,y\n0,1,3\n",
        ", line 1, column 1: expected a name in the header, got none; leave out an index of the rows",
    ),
    (
        "separator_at_the_end",
        "csv",
        "x,y,\n1,3,\n",
        ", line 1, column 3: expected a name in the header, got none; remove the separator at the end of the lines",
    ),
    (
        "names_or_counts",
        "csv",
        "0,1,2\n5,6,9\n",
        f", line 1: expected names or numbers, got 0,1,2, which could be either{_SAY_WHICH}",
    ),
    (
        "name_beside_a_decimal",
        "csv",
        "a,0.5\nb,0.7\n",
        f", line 1: expected names or numbers, got both, such as 'a' and '0.5'{_SAY_WHICH}",
    ),
    (
        "no_header_of_texts",
        "csv",
        "red,5\nblue,6\nred,7\n",
        f", line 1: expected names or values, got 'red', which line 3 has again in column 1{_SAY_WHICH}",
    ),
    (
        "header_comes_again",
        "csv",
        "x,y\n1,3\nx,y\n2,4\n",
        f", line 1: expected names or values, got 'x', which line 3 has again in column 1{_SAY_WHICH}",
    ),
    # Values.
    ("mistake", "csv", f"x,y,t\n{_ROWS}4o,5,t1\n", ", line 42, column 1 ('x'): expected a number, got '4o'"),
    (
        "mistake_without_header",
        "csv",
        f"{_ROWS}1,5..2,t1\n".replace("t", ""),
        ", line 41, column 2: expected a number, got '5..2'",
    ),
    (
        "percent_among_numbers",
        "csv",
        f"x,y,t\n5,7%,t1\n{_ROWS}",
        ", line 2, column 2 ('y'): expected a number, got '7%'",
    ),
    (
        "mistake_below_lines_in_a_text",
        "csv",
        f'x,y,t\n1,2,"a\n\nb"\n{_ROWS}1,O,t1\n',
        ", line 45, column 2 ('y'): expected a number, got 'O'",
    ),
    (
        "mistake_in_cp1252",
        "csv",
        f"x,y,größe\n{_ROWS}\n1,1l,t1\n".encode("cp1252"),
        ", line 43, column 2 ('y'): expected a number, got '1l'",
    ),
    (
        "mistake_in_gzip",
        "csv",
        gzip.compress(b"x;y\n" + 40 * b"1;3,5\n" + b"2;o"),
        ", line 42, column 2 ('y'): expected a number, got 'o'",
    ),
    ("infinite", "csv", "x,y\n1,3\n2,-inf\n", ", line 3, column 2 ('y'): expected a finite number, got -inf"),
    (
        "above_float32",
        "csv",
        "x,y\n1,3\n2e39,4\n",
        ", line 3, column 1 ('x'): expected a number that float32 can hold, got 2e+39",
    ),
    (
        "thousand_or_decimal",
        "csv",
        "x;y\n7;3\n1,234;4\n",
        ", line 3, column 1 ('x'): expected one reading of a number, got '1,234', which may be 1.234 or 1234; write"
        " thousands without a separator",
    ),
    (
        "point_beside_decimal_commas_and_points",
        "csv",
        "x;y;z\n1,5;1.234;.5\n2,5;7;3\n",
        ", line 2, column 2 ('y'): expected one reading of a number, got '1.234', which may be 1.234 or 1234; write"
        " thousands without a separator",
    ),
    (
        "comma_beside_decimal_commas_and_points",
        "csv",
        "x;y;z\n1,5;1,234;.5\n2,5;7;3\n",
        ", line 2, column 2 ('y'): expected one reading of a number, got '1,234', which may be 1.234 or 1234; write"
        " thousands without a separator",
    ),
    (
        "two_notations",
        "csv",
        "x;y\n" + 9 * "1,5;3\n" + "2.5;4\n",
        ", line 11, column 1 ('x'): expected a number, got '2.5'; other values of the column are written otherwise,"
        " such as '1,5'",
    ),
    # Other files.
    (
        "parquet_infinite",
        "parquet",
        _parquet(x=[1.0, np.inf]),
        ", row 1, column 'x': expected a finite number, got inf",
    ),
    (
        "parquet_lists",
        "parquet",
        _parquet(x=[1], y=[[1, 2]]),
        ", column 'y': expected numbers or text, got list<element: int64>; remove the column",
    ),
    ("npy_infinite", "npy", _npy(np.array([[1, 2], [np.inf, 3]])), "[1, 0]: expected a finite number, got inf"),
)


class OddFilesTest(in_folder.InFolderTest):
    def _write(self, kind: str, content: str | bytes) -> str:
        pathlib.Path("t").write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"{kind}:t"

    def assert_columns(self, table: data.ColumnTable, expected: dict) -> None:
        self.assertEqual(list(table.columns), list(expected))
        for name, values in expected.items():
            found = table.columns[name]
            self.assertEqual(found.dtype, object if any(isinstance(value, str) for value in values) else np.float64)
            np.testing.assert_array_equal(found, values)

    @parameterized.named_parameters(*_READ)
    def test_is_read(self, kind, content, expected, *notes):
        source = self._write(kind, content)
        table = data.read_columns(source)
        self.assert_columns(table, expected)
        self.assertEqual(table.notes, notes)
        self.assertEqual(table.is_named, "column_0" not in expected)

    @parameterized.named_parameters(*_REFUSED)
    def test_is_refused(self, kind, content, message):
        with self.assertRaises(data.BadTableError) as caught:
            data.read_columns(self._write(kind, content))
        self.assertEqual(str(caught.exception), f"t{message}")

    def test_counts(self):
        self.assertEqual((len(_READ), len(_REFUSED)), (63, 41))


if __name__ == "__main__":
    absltest.main()
