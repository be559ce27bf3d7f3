"""Disks that are full or may only be read: one line that names the path, and what was there stays."""

import contextlib
import errno
import json
import os
import pathlib
import resource
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl import flags
from absl.testing import absltest, parameterized

from launch import run
from tfp_realnvp import data, evaluation, presets, storage


@contextlib.contextmanager
def _full_disk():
    """No file may grow, even for root: writing fails with EFBIG, where a full disk has ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # Python ignores the signal.
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _save_model(path):
    tf.saved_model.save(tf.Module(), str(path))


def _write_summary(path):
    with tf.summary.create_file_writer(str(path)).as_default(step=0):
        tf.summary.scalar("loss", 1.0)


def _replace(path):
    with storage.replacing(path) as part:
        np.savetxt(part, np.zeros([2, 2]))


_WAYS = {
    "text": lambda path: storage.write(path, "text"),
    "array": _replace,
    "table": lambda path: data.write_csv(path, np.zeros([2, 2]), None),
    "picture": lambda path: evaluation.save_picture(path, np.zeros([2, 2, 1], np.uint8)),
    "grid": lambda path: evaluation.save_image_grid(path, np.zeros([2, 2, 2, 1])),
    "animation": lambda path: evaluation.save_animation(path, np.zeros([2, 2, 2, 1])),
    "checkpoint": lambda path: tf.train.Checkpoint(a=tf.Variable(1.0)).write(str(path)),
    "saved_model": _save_model,
    "summary": _write_summary,
}


class _Test(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.path = self.folder / "written"

    def _error(self, action):
        """The line with which a program ends that does this; an exception that is no line is raised."""
        values = {name: flags.FLAGS[name].value for name in ("seed", "verbosity")} if flags.FLAGS.is_parsed() else {}
        with mock.patch.object(sys, "argv", ["program"]), self.assertRaises(SystemExit) as caught:
            run.start(action)
        self.assertIsInstance(caught.exception.code, str)
        for name, value in values.items():
            flags.FLAGS[name].value = value
        return caught.exception.code


class ProgramTest(_Test):
    @parameterized.named_parameters((name, name) for name in _WAYS)
    def test_a_full_disk(self, way):
        def program():
            with _full_disk():
                _WAYS[way](self.path)

        self.assertRegex(self._error(program), rf"^error: {self.path}\S* cannot be written: File too large$")

    @parameterized.named_parameters((name, name) for name in _WAYS)
    def test_a_path_below_a_file(self, way):
        self.path.write_text("a file")
        reason = "(Not a directory|File exists)"
        error = self._error(lambda: _WAYS[way](self.path / "new" / "name"))
        self.assertRegex(error, rf"^error: {self.path}\S* cannot be (read or )?written: {reason}$")
        self.assertEqual(self.path.read_text(), "a file")

    def test_other_errors_have_their_traceback(self):
        def invalid():
            tf.constant([1.0, 2.0]) + tf.constant([1.0, 2.0, 3.0])

        for action, kind in ((invalid, tf.errors.InvalidArgumentError), (lambda: [][0], IndexError)):
            with self.assertRaises(kind), mock.patch.object(sys, "argv", ["program"]):
                run.start(action)

    def test_the_reasons_that_tensorflow_gives(self):
        for number in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.ENOENT):
            text = f"{{{{function_node __wrapped__SaveV2}}}} /a b/ckpt-1_temp/part; {os.strerror(number)} [Op:SaveV2]"
            error = tf.errors.ResourceExhaustedError(None, None, text)
            written = rf"^/a b/ckpt-1_temp/part cannot be .*written: {os.strerror(number)}$"
            self.assertRegex(storage.failure(error), written)
        self.assertIsNone(storage.failure(tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")))


class ReplacingTest(_Test):
    def _files(self):
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_text() for path in files}

    def _write_folder(self, content):
        with storage.replacing(self.path) as part:
            part.mkdir()
            (part / "inner").write_text(content)

    def test_a_file_and_a_folder_take_the_place_of_others(self):
        for content in ("old", "new"):
            storage.write(self.folder / "file", content)
            self._write_folder(content)
        self.assertEqual(self._files(), {"file": "new", "written/inner": "new"})
        self.assertCountEqual(os.listdir(self.folder), ["file", "written"])

    def test_after_an_error_all_is_as_it_was(self):
        self._write_folder("old")
        with self.assertRaisesRegex(KeyError, "mine"), storage.replacing(self.path) as part:
            part.mkdir()
            raise KeyError("mine")
        for rename in ("pathlib.Path.rename", "pathlib.Path.replace"):
            with self.assertRaisesRegex(OSError, f"^{self.path} cannot be written: No space left"):
                original = pathlib.Path.rename
                calls = []

                def fails(path, target, original=original, calls=calls):
                    calls.append(target)
                    if target == self.path and len(calls) < 3:  # Not when the folder of before is put back.
                        raise OSError(errno.ENOSPC, "No space left")
                    return original(path, target)

                with mock.patch(rename, fails):
                    self._write_folder("new") if rename.endswith("rename") else storage.write(self.path, "new")
            self.assertEqual(self._files(), {"written/inner": "old"})
        self.assertEqual(os.listdir(self.folder), ["written"])

    def test_a_signal_before_the_new_folder_is_in_its_place(self):
        self._write_folder("old")
        rename, calls = pathlib.Path.rename, []

        def signalled(path, target):
            calls.append(target)
            if len(calls) == 2:
                raise SystemExit(143)
            return rename(path, target)

        with self.assertRaises(SystemExit), mock.patch.object(pathlib.Path, "rename", signalled):
            self._write_folder("new")
        self.assertEqual(self._files(), {"written/inner": "old"})

    def test_a_folder_is_not_replaced_by_a_file(self):
        self._write_folder("old")
        with self.assertRaisesRegex(OSError, "cannot be written: Is a directory"):
            storage.write(self.path, "a file")
        self.assertEqual(self._files(), {"written/inner": "old"})

    def test_links_and_devices_stay(self):
        target, link = self.folder / "target", self.folder / "link"
        link.symlink_to(target)
        storage.write(link, "through")
        self.assertTrue(link.is_symlink())
        self.assertEqual(target.read_text(), "through")
        storage.write(os.devnull, "nothing")
        self.assertTrue(pathlib.Path(os.devnull).is_char_device())
        with self.assertRaisesRegex(OSError, "^/dev/full cannot be written: No space left on device$"):
            storage.write("/dev/full", "something")


class JSONTest(parameterized.TestCase):
    def test_numbers_that_are_not_finite_are_null(self):
        given = {"a": [1.5, float("nan")], "b": (float("inf"), {"c": -np.float64("inf")}), "d": "NaN"}
        found = json.loads(storage.to_json(given), parse_constant=self.fail)
        self.assertEqual(found, {"a": [1.5, None], "b": [None, {"c": None}], "d": "NaN"})


class SettingsTest(parameterized.TestCase):
    @parameterized.parameters(
        (dict(event_shape=None), "expected event_shape to be integers, got None"),
        (dict(width="32"), "expected width to be int, got '32'"),
        (dict(width=True), "expected width to be int, got True"),
        (dict(flip=1), "expected flip to be bool, got 1"),
        (dict(hidden_units=[1, "2"], event_shape=[2]), r"expected hidden_units to be integers, got \[1, '2'\]"),
        (dict(flow="realnvp"), "expected flow to be one of real_nvp, glow, .*, got 'realnvp'"),
        (dict(dataset=...), "expected a setting 'dataset', got none"),
    )
    def test_settings_that_no_run_has(self, change, message):
        settings = {"dataset": "digits", "event_shape": [8, 8, 1], "learning_rate": 1, "unknown": 3, **change}
        settings = {name: value for name, value in settings.items() if value is not ...}
        with self.assertRaisesRegex(ValueError, message):
            presets.of_settings(settings)

    def test_settings_of_a_run(self):
        found = presets.of_settings({"dataset": "digits", "event_shape": [8, 8, 1], "learning_rate": 1, "unknown": 3})
        self.assertEqual((found.event_shape, found.recipe.learning_rate), ((8, 8, 1), 1))


if __name__ == "__main__":
    absltest.main()
