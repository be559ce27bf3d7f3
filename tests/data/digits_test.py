"""The packaged digits: the images, and how they come to lie in a TFDS directory."""

import contextlib
import hashlib
import io
import os
import shutil
import stat
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest
from etils import epath

from tests.data import fake_sets
from tfp_realnvp import data
from tfp_realnvp.data import digits

_SIZES = {"train": 1297, "validation": 200, "test": 300}


def _arrays(data_dir: str) -> dict[str, np.ndarray]:
    images = data.load("digits", data_dir)
    return {split: np.stack(list(images.examples(split).as_numpy_iterator())) for split in _SIZES}


class DigitsTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data_dir = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.arrays = _arrays(cls.data_dir)
        with np.load(digits._FILE) as file:
            cls.images, cls.labels = file["images"], file["labels"]

    def test_the_images_are_those_of_scikit_learn(self):
        self.assertEqual(hashlib.md5(self.images).hexdigest(), "fa70cba135d4cdd4cde65da70dbffde2")
        self.assertEqual(hashlib.md5(self.labels).hexdigest(), "96ecbac7ce6c9c7e9f9f82160cffba40")

    def test_every_image_is_in_one_split_with_its_label(self):
        builder = digits.prepared(self.data_dir)
        found = [
            (example["image"].tobytes(), int(example["label"]))
            for split in _SIZES
            for example in builder.as_dataset(split=split).as_numpy_iterator()
        ]
        pairs = zip(self.images, self.labels, strict=True)
        self.assertCountEqual(found, [(image.tobytes(), int(label)) for image, label in pairs])

    def test_sizes_shape_and_levels(self):
        images = data.load("digits", self.data_dir)
        self.assertEqual((images.shape, images.levels), ((8, 8, 1), 17))
        for split, array in self.arrays.items():
            self.assertEqual(array.shape, (_SIZES[split], 8, 8, 1))
            self.assertEqual(images.num_examples(split), _SIZES[split])
            self.assertEqual(set(array.ravel()), set(range(17)))

    def test_splits_are_the_same_everywhere(self):
        elsewhere = _arrays(self.enter_context(tempfile.TemporaryDirectory()))
        for split in _SIZES:
            np.testing.assert_array_equal(self.arrays[split], elsewhere[split])

    def test_splits_mix_the_writers(self):
        # The file has writer after writer: each split must come from all over it.
        place = {image.tobytes(): number for number, image in enumerate(self.images)}
        for array in self.arrays.values():
            self.assertBetween(np.median([place[image.tobytes()] for image in array]), 750, 1050)

    def test_first_use_is_offline_and_silent_and_leaves_only_the_set(self):
        data_dir = os.path.join(
            self.enter_context(tempfile.TemporaryDirectory()), "not", "there", "yet"
        )
        output = io.StringIO()
        with (
            fake_sets.no_network(),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            self.assertNoLogs("absl", "WARNING"),
        ):
            data.load("digits", data_dir)
        self.assertEmpty(output.getvalue())
        self.assertEqual(os.listdir(data_dir), ["digits"])
        self.assertEqual(os.listdir(os.path.join(data_dir, "digits")), ["1.0.0"])

    def test_tilde_is_the_home_directory(self):
        home = self.enter_context(tempfile.TemporaryDirectory())
        with mock.patch.dict(os.environ, HOME=home):
            data.load("digits", "~/sets")
        self.assertEqual(os.listdir(os.path.join(home, "sets")), ["digits"])
        self.assertFalse(os.path.exists("~"))

    def test_later_uses_only_read(self):
        before = fake_sets.listing(self.data_dir)
        with mock.patch.object(digits, "_prepare", side_effect=AssertionError):
            _arrays(self.data_dir)
        self.assertEqual(fake_sets.listing(self.data_dir), before)


class WhereItCannotBeWrittenTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        temporary = self.enter_context(tempfile.TemporaryDirectory())
        self.enter_context(mock.patch.object(digits, "_temporary_dir", lambda: temporary))
        self.temporary = temporary

    def _assert_fell_back(self, data_dir: str) -> None:
        self.assertEqual(data.load("digits", data_dir).num_examples("train"), 1297)
        self.assertEqual(os.listdir(self.temporary), ["digits"])

    def test_read_only_directory_is_left_alone(self):
        data_dir = self.enter_context(tempfile.TemporaryDirectory())
        os.chmod(data_dir, stat.S_IREAD | stat.S_IEXEC)
        self._assert_fell_back(data_dir)
        self.assertEmpty(os.listdir(data_dir))

    def test_path_through_a_file(self):
        self._assert_fell_back(
            os.path.join(self.enter_context(tempfile.NamedTemporaryFile()).name, "data")
        )

    def test_tfds_default_directory(self):
        blocked = os.path.join(self.enter_context(tempfile.NamedTemporaryFile()).name, "data")
        with mock.patch("tensorflow_datasets.core.constants.DATA_DIR", blocked):
            self._assert_fell_back(None)

    def test_full_disk(self):
        data_dir = self.enter_context(tempfile.TemporaryDirectory())
        rename = os.rename

        def rename_unless_full(source: str, target: str) -> None:
            if os.fspath(target) == os.path.join(data_dir, "digits", "1.0.0"):
                raise OSError("no space left on device")
            rename(source, target)

        with mock.patch.object(digits.os, "rename", rename_unless_full):
            self._assert_fell_back(data_dir)
        self.assertEqual(list(fake_sets.listing(data_dir)), [os.path.join(data_dir, "digits")])

    def test_remote_directory_is_not_taken_for_a_folder_called_gs(self):
        with self.assertRaisesRegex(OSError, "gs://bucket/digits/1.0.0 is remote"):
            digits._prepare(epath.Path("gs://bucket/digits/1.0.0"))
        self.assertFalse(os.path.exists("gs:"))


class RaceTest(absltest.TestCase):
    def test_the_slower_of_two_processes_takes_what_the_quicker_made(self):
        data_dir = self.enter_context(tempfile.TemporaryDirectory())
        rename = os.rename

        def slow_rename(source: str, target: str) -> None:
            if os.fspath(target) == os.path.join(data_dir, "digits", "1.0.0"):
                shutil.copytree(source, target)  # The other process, just before us.
            rename(source, target)

        with (
            mock.patch.object(digits.os, "rename", slow_rename),
            mock.patch.object(digits, "_temporary_dir", side_effect=AssertionError),
        ):
            images = data.load("digits", data_dir)
        self.assertEqual(images.num_examples("train"), 1297)
        self.assertEqual(os.listdir(data_dir), ["digits"])
        self.assertEqual(os.listdir(os.path.join(data_dir, "digits")), ["1.0.0"])


class TemporaryDirTest(absltest.TestCase):
    def test_it_is_one_for_the_process(self):
        self.assertEqual(digits._temporary_dir(), digits._temporary_dir())
        self.assertTrue(os.path.isdir(digits._temporary_dir()))


if __name__ == "__main__":
    absltest.main()
