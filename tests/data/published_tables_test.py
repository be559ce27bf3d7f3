"""Published tables: small files of their form, and the real ones in ../shared/data or $TFP_REALNVP_TABLES."""

import os
import pathlib
from unittest import mock

import h5py
import numpy as np
import pandas
from absl.testing import absltest, parameterized

from tests.data import fake_sets, in_folder
from tfp_realnvp import data
from tfp_realnvp.data.sets import SPLITS

_TABLES_DIR = pathlib.Path(
    os.environ.get("TFP_REALNVP_TABLES", pathlib.Path(__file__).resolve().parents[2].parent / "shared/data")
)


def _standardised(rows: np.ndarray, fitted_on: np.ndarray, ddof: int = 0) -> np.ndarray:
    return (rows - fitted_on.mean(0)) / fitted_on.std(0, ddof=ddof)


class PublishedTest(in_folder.InFolderTest):
    """Files of the published form, and what the program of the MAF paper makes of them."""

    def setUp(self):
        super().setUp()
        self.random = np.random.default_rng(0)

    def assert_prepared(self, name, expected, sizes):
        table = data.load_table(name, ".")
        self.assertEqual((table.name, table.shape), (name, expected.shape[1:]))
        self.assertEqual(tuple(map(table.num_examples, SPLITS)), sizes)
        np.testing.assert_allclose(in_folder.all_rows(table), expected, rtol=1e-5, atol=1e-5)

    def test_power(self):
        rows = self.random.normal(size=(205, 8)).round(1)
        os.mkdir("power")
        np.save("power/data.npy", rows)
        random = np.random.RandomState(42)
        random.shuffle(rows)
        volts, active, meters = random.rand(205, 1), random.rand(205, 1), random.rand(205, 3)
        noise = np.concatenate([active / 1000, volts / 100, meters, np.zeros([205, 1])], 1)
        rows = rows[:, [0, 2, 4, 5, 6, 7]] + noise
        self.assert_prepared("power", _standardised(rows, rows[:185]), (167, 18, 20))

    def test_power_of_other_columns(self):
        os.mkdir("power")
        np.save("power/data.npy", self.random.normal(size=(20, 9)))
        self.assertEqual(self.message(data.BadTableError, "power", "."), "power/data.npy: expected 8 columns, got 9")

    def _gas(self) -> tuple[list[str], np.ndarray]:
        first, third = self.random.normal(size=(2, 200))
        near = [x + 0.01 * self.random.normal(size=200) for x in (first, first, -first)]
        columns = ["Time", "Meth", "Eth", "first", "second", "third", "opposite", "fourth"]
        return columns, np.stack([np.arange(200), third, first, first, near[0], third, near[2], near[1]], 1)

    def test_gas(self):
        columns, rows = self._gas()
        os.mkdir("gas")
        pandas.DataFrame(rows, columns=columns).to_pickle("gas/ethylene_CO.pickle")
        # Of first, second and fourth the last stays; what is opposite stays, too.
        rows = rows[:, 5:]
        self.assert_prepared("gas", _standardised(rows, rows, ddof=1), (162, 18, 20))

    def test_gas_of_other_columns(self):
        columns, rows = self._gas()
        columns[1] = "Methane"
        os.mkdir("gas")
        pandas.DataFrame(rows, columns=columns).to_pickle("gas/ethylene_CO.pickle")
        self.assertEqual(
            self.message(data.BadTableError, "gas", "."),
            "gas/ethylene_CO.pickle: expected a table with columns Meth, Eth and Time, but pandas: KeyError:"
            " \"['Meth'] not found in axis\"",
        )

    def test_gas_without_pandas(self):
        os.mkdir("gas")
        pathlib.Path("gas/ethylene_CO.pickle").touch()
        with mock.patch.dict("sys.modules", pandas=None):
            self.assertEqual(
                self.message(ModuleNotFoundError, "gas", "."),
                "pandas is not installed: pip install 'tfp_realnvp[data]'",
            )

    @parameterized.parameters(False, True)
    def test_hepmass(self, test_rows_are_longer):
        rows = self.random.normal(size=(240, 6))
        rows[:, 0] = np.arange(240) % 2
        rows[:, 2] = self.random.integers(0, 3, 240)  # Takes few values.
        rows[:, 4] = np.minimum(rows[:, 4], 0.5)  # Its largest value occurs often, its smallest once.
        train, test = rows[:200], rows[200:]
        os.mkdir("hepmass")
        longer = np.concatenate([test, test[:, :1]], 1) if test_rows_are_longer else test
        for name, part, header in (("train", train, ""), ("test", longer, ",mass")):
            names = "# label,f0,f1,f2,f3,f4" + header
            np.savetxt(f"hepmass/1000_{name}.csv", part, delimiter=",", fmt="%.18e", header=names, comments="")
        signal = [part[part[:, 0] == 1][:, [1, 3, 4, 5]] for part in (train, test)]
        expected = _standardised(np.concatenate(signal), signal[0], ddof=1)
        self.assert_prepared("hepmass", expected, (90, 10, 20))

    def test_hepmass_without_signal(self):
        os.mkdir("hepmass")
        for name in ("train", "test"):
            pathlib.Path(f"hepmass/1000_{name}.csv").write_text("# label,f0,f1\n" + 9 * "0.0,1.0,2.0\n")
        self.assertEqual(
            self.message(data.BadTableError, "hepmass", "."),
            "hepmass/1000_train.csv, rows of class 1: expected 4 or more rows, got 0",
        )

    def test_miniboone(self):
        rows = self.random.normal(3, 5, size=(200, 4))
        os.mkdir("miniboone")
        np.save("miniboone/data.npy", rows)
        self.assert_prepared("miniboone", _standardised(rows, rows[:180]), (162, 18, 20))

    def test_miniboone_with_a_constant_column(self):
        os.mkdir("miniboone")
        np.save("miniboone/data.npy", np.ones((20, 4)))
        self.assertEqual(
            self.message(data.BadTableError, "miniboone", "."),
            "miniboone/data.npy: expected values that differ, got a constant column",
        )

    def test_bsds300(self):
        rows = self.random.normal(size=(30, 63))
        os.mkdir("BSDS300")
        with h5py.File("BSDS300/BSDS300.hdf5", "w") as file:
            for split, part in zip(SPLITS, np.split(rows, [20, 25])):
                file[split] = part
        self.assert_prepared("bsds300", rows, (20, 5, 5))
        with h5py.File("BSDS300/BSDS300.hdf5", "a") as file:
            del file["test"]
        self.assertStartsWith(
            self.message(data.BadTableError, "bsds300", "."),
            "BSDS300/BSDS300.hdf5: expected HDF5 with train, validation, test, but h5py says: ",
        )

    def test_bsds300_patches(self):
        patches = self.random.integers(0, 256, (40, 8, 8), np.uint8)
        os.mkdir("tabular")
        parts = dict(zip(SPLITS, np.split(patches, [30, 35])))
        np.savez("tabular/bsds300_patches_u8.npz", **parts, train_image=np.arange(30))
        table = data.load_table("bsds300_patches", ".")
        self.assertEqual((table.shape, table.num_examples("train")), ((63,), 30))
        rows = in_folder.all_rows(table)
        np.testing.assert_array_equal(in_folder.all_rows(data.load_table("bsds300_patches", ".")), rows)
        pixels = np.concatenate([rows, -rows.sum(1, keepdims=True)], 1) * 256
        # Up to each patch's mean, the pixels and noise in [0, 1).
        noise = pixels - patches.reshape(40, 64)
        self.assertTrue(np.all(np.ptp(noise, 1) < 1))
        self.assertTrue(np.all(np.ptp(noise, 1) > 0.8))
        np.savez("tabular/bsds300_patches_u8.npz", **{split: part[:, 0] for split, part in parts.items()})
        self.assertEqual(
            self.message(data.BadTableError, "bsds300_patches", "."),
            "tabular/bsds300_patches_u8.npz, train: expected uint8 patches [rows, 8, 8], got uint8 of shape (30, 8)",
        )

    def test_a_small_table(self):
        rows = self.random.normal(size=(20, 3))
        np.savez("uci_small.npz", **{f"wine_red/{s}": part for s, part in zip(SPLITS, np.split(rows, [15, 17]))})
        self.assert_prepared("wine_red", rows, (15, 2, 3))


class RealTablesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("wine_red", 11, (1296, 144, 159)),
        ("wine_white", 11, (3969, 440, 489)),
        ("parkinsons", 14, (4760, 528, 587)),
        ("california", 9, (16719, 1857, 2064)),
        ("bsds300_patches", 63, (100000, 5000, 25000)),
        ("power", 6, (1659917, 184435, 204928)),
        ("gas", 8, (852174, 94685, 105206)),
        ("hepmass", 21, (315123, 35013, 174987)),
        ("miniboone", 43, (29556, 3284, 3648)),
        ("bsds300", 63, (1000000, 50000, 250000)),
    )
    def test_complete_table(self, name, size, sizes):
        before = fake_sets.listing(_TABLES_DIR)
        try:
            table = data.load_table(name, _TABLES_DIR)
        except data.DataNotFoundError as error:
            self.skipTest(f"{error}; set TFP_REALNVP_TABLES to where it is")
        self.assertEqual(table.shape, (size,))
        self.assertEqual(tuple(map(table.num_examples, SPLITS)), sizes)
        if not name.startswith("bsds300"):
            np.testing.assert_allclose(table.mean, 0, atol=0.1)
            np.testing.assert_allclose(table.std, 1, atol=0.1)
        self.assertEqual(fake_sets.listing(_TABLES_DIR), before)


if __name__ == "__main__":
    absltest.main()
