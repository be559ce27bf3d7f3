"""What tests of tables share."""

import os
import pathlib
import tempfile

import numpy as np
from absl.testing import parameterized

from tfp_realnvp import data
from tfp_realnvp.data.sets import SPLITS


def rows_of(table: data.Events, split: str) -> np.ndarray:
    """The rows of a split."""
    return np.stack(list(table.examples(split).as_numpy_iterator()))


def all_rows(table: data.Events) -> np.ndarray:
    """The rows of all splits, train first and test last."""
    return np.concatenate([rows_of(table, split) for split in SPLITS])


class InFolderTest(parameterized.TestCase):
    """Tests in a working directory of their own, so that paths in messages are short."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.addCleanup(os.chdir, pathlib.Path.cwd())
        os.chdir(self.folder)

    def message(self, error: type[Exception], name: str, data_dir: str | None = None) -> str:
        """What is said where `load_table` fails: one line."""
        with self.assertRaises(error) as caught:
            data.load_table(name, data_dir)
        self.assertIsNone(caught.exception.__cause__)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)
