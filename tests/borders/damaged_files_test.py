"""Array files that are damaged or claim what they do not have: one line each, and no memory taken for the claim."""

import io
import os
import pathlib
import tempfile
import zipfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from tfp_realnvp.data import array_file
from tfp_realnvp.data.table_checks import BadTableError

_ROWS = np.random.default_rng(0).normal(size=[20, 3])


def _saved(rows=_ROWS):
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


def _claiming(shape, descr="<f8"):
    """An .npy file of 480 bytes of data whose header has another shape or dtype."""
    buffer = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + _ROWS.tobytes()


def _zipped(content, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("rows.npy", content)
    return buffer.getvalue()


def _with_bytes(content, **changes):
    """An archive of one file with other bytes at these places of its header, and in its directory alike."""
    changed = bytearray(content)
    for start in (0, content.rindex(b"PK\x01\x02") + 2):  # The directory has one more field, of two bytes.
        for place, value in changes.items():
            changed[start + int(place.removeprefix("at"))] = value
    return bytes(changed)


class DamagedFilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, pathlib.Path.cwd())
        os.chdir(self.enter_context(tempfile.TemporaryDirectory()))

    def message(self, content):
        path = pathlib.Path("a.np")
        path.write_bytes(content)
        with self.assertRaises(BadTableError) as caught:
            array_file.read_table(path)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    @parameterized.named_parameters(
        ("rows", (10**12, 6), "<f8", "48,000,000,000,000 bytes for float64 of shape (1000000000000, 6)"),
        ("more_than_a_size", (10**25, 6), "<f8", f"{48 * 10**25:,} bytes for float64 of shape ({10**25}, 6)"),
        ("negative", (-3, -2), "<f8", "48 bytes for float64 of shape (-3, -2)"),
        ("one_row_more", (21, 3), "<f8", "504 bytes for float64 of shape (21, 3)"),
        ("one_row_less", (19, 3), "<f8", "456 bytes for float64 of shape (19, 3)"),
        ("other_numbers", (20, 3), "<f4", "240 bytes for float32 of shape (20, 3)"),
    )
    def test_a_size_that_lies(self, shape, descr, expected):
        content = _claiming(shape, descr)
        self.assertEqual(self.message(content), f"a.np: expected {expected}, got 480")
        self.assertEqual(self.message(_zipped(content)), f"a.np, rows: expected {expected}, got 480")

    def test_objects_are_not_opened(self):
        for content in (_claiming((20, 3), "|O"), _claiming((10**12, 6), "|O")):
            self.assertIn("Object arrays cannot be loaded when allow_pickle=False", self.message(content))

    def test_any_byte_of_a_header(self):
        """Every byte changed, to what breaks Python's syntax, ends in a line or in the right number of numbers."""
        whole = _saved()
        for place in range(128):
            for value in b"\0\n'({9\xff":
                path = pathlib.Path("a.np")
                path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
                try:
                    arrays = array_file.read_table(path)
                except BadTableError as error:
                    self.assertNotIn("\n", str(error))
                    continue
                self.assertEqual([array.nbytes for array in arrays.values()], [480])

    def test_a_file_that_is_cut_short(self):
        for whole in (_saved(), _zipped(_saved())):
            for size in range(1, len(whole), 23):
                self.assertStartsWith(self.message(whole[:size]), "a.np: expected ")

    @parameterized.named_parameters(
        ("encrypted", dict(at6=1), "is encrypted, password required"),
        ("of_another_method", dict(at8=99), "That compression method is not supported"),
    )
    def test_an_archive_that_cannot_be_unpacked(self, changes, reason):
        message = self.message(_with_bytes(_zipped(_saved()), **changes))
        self.assertStartsWith(message, "a.np, rows: expected an array of numbers, but NumPy says: ")
        self.assertIn(reason, message)

    def test_more_than_a_compressed_file_can_have(self):
        zeros = _zipped(_saved(np.zeros([100_000, 6])))
        with mock.patch.object(array_file, "_ALWAYS_READ", 100_000):
            limit = 100 * len(zeros)
            self.assertEqual(
                self.message(zeros),
                f"a.np, rows: expected at most {limit:,} bytes from a compressed file of this size, got 4,800,128;"
                " numpy.savez writes it uncompressed",
            )
            for content in (_zipped(_saved(np.ones([100_000, 6])), zipfile.ZIP_STORED), _zipped(_saved())):
                pathlib.Path("a.np").write_bytes(content)
                array_file.read_table(pathlib.Path("a.np"))


if __name__ == "__main__":
    absltest.main()
