"""Several workers on a user's own data: one is killed, and settings that differ."""

import concurrent.futures
import functools
import os
import pathlib
import signal
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from launch import results, run, workers
from tests.launch import programs
from tests.training import processes
from tfp_realnvp import training

_TABLE = ("--flow=maf", "--layers=1", "--hidden_units=4")
_IMAGES = ("--flow=glow", "--steps=1", "--scales=1", "--width=2", "--blocks=0")


def _write_table(path):
    np.savetxt(path, np.random.default_rng(0).normal(size=(40, 2)), delimiter=",", header="a,b", comments="")


def _write_images(folder):
    folder.mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), np.uint8)):
        (folder / f"{i:02}.png").write_bytes(tf.io.encode_png(image).numpy())


class _Kill(keras.callbacks.Callback):
    """Ends this process after a step, without a word."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def _prepare(killed_at):
    """Leaves out what one worker alone does after training, and kills this one after a step."""
    results.write = lambda *_: (None, "")
    if killed_at is not None:
        train, kill = training.train, _Kill(killed_at)
        training.train = lambda *args, callbacks, **kwargs: train(*args, callbacks=[*callbacks, kill], **kwargs)


def _run(folder, *flags, killed=None, of_second=()):
    """Both workers with the same flags; one is killed, or the second has more flags."""
    flags = (*flags, f"--output_dir={folder}", "--batch_size=8", "--verbose=0", "--deterministic")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ended = []
        for i, environment in enumerate(processes.worker_environments(2)):
            before = functools.partial(_prepare, 6 if i == killed else None)
            of_worker = (*flags, *(of_second if i else ()))
            ended.append(pool.submit(programs.run, "train", *of_worker, before=before, **environment))
        return [result.result() for result in ended]


def _variables(folder):
    """Every variable of the last checkpoint."""
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(folder / "checkpoints/last"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


class WorkersTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def _killed_and_resumed(self, *flags, killed):
        """The variables at the end of a run one of whose workers was killed."""
        died = _run(self.folder / "run", *flags, killed=killed)
        self.assertEqual(died[killed].status, -signal.SIGKILL)
        self.assertRegex(died[1 - killed].error, f"^lost worker {killed}, .* start all workers again with the same")
        return self._run(self.folder / "run", *flags)

    def _run(self, folder, *flags):
        for result in _run(folder, *flags):
            self.assertEqual(result.status, 0, result.errors)
        return _variables(folder)

    def test_a_table_and_a_killed_worker(self):
        _write_table(self.folder / "data")
        flags = (f"--dataset=csv:{self.folder / 'data'}", *_TABLE, "--epochs=2", "--checkpoint_every=3")
        expected = self._run(self.folder / "whole", *flags)
        variables = self._killed_and_resumed(*flags, killed=1)
        self.assertEqual(variables.keys(), expected.keys())
        for name, value in expected.items():
            np.testing.assert_array_equal(variables[name], value, err_msg=name)

    def test_images_and_a_killed_chief(self):
        _write_images(self.folder / "data")
        flags = (f"--dataset=folder:{self.folder / 'data'}", *_IMAGES, "--epochs=2", "--checkpoint_every=3")
        variables = self._killed_and_resumed(*flags, killed=0)
        self.assertIn(8, [value for name, value in variables.items() if "iterations" in name])

    def test_settings_that_differ_end_all(self):
        _write_table(self.folder / "data")
        flags = (f"--dataset=csv:{self.folder / 'data'}", *_TABLE)
        for result in _run(self.folder / "run", *flags, of_second=["--learning_rate=0.5"]):
            self.assertEqual(
                result.error,
                "expected the same settings on all workers, got --learning_rate=0.002 on worker 0, 0.5 on worker 1",
            )
        self.assertFalse((self.folder / "run").exists())


class SettingsTest(parameterized.TestCase):
    """What each of several workers says of all, without TensorFlow."""

    def setUp(self):
        super().setUp()
        self.enter_context(mock.patch.object(training, "number_of_workers", return_value=3))
        self.enter_context(mock.patch.object(training, "leave_together"))

    def _check(self, others, config=None):
        """Compares this worker, the first, with two others."""
        config = {"model": {"seed": 0, "files": "a"}, "versions": {"keras": "3"}, "machine": "x", **(config or {})}

        def gather(_, settings):
            return {f"worker {i}": settings | other for i, other in enumerate(({}, *others))}

        with mock.patch.object(training, "gather", gather):
            workers.check_same(mock.Mock(), config, {"patience": None})

    def test_equal_settings(self):
        self._check([{}, {}])

    @parameterized.parameters(
        ({}, {"seed": 3}, "--seed=0 on worker 0 and worker 1, 3 on worker 2"),
        ({"files": "b"}, {"files": "c"}, "files=a on worker 0, b on worker 1, c on worker 2"),
        ({"version of keras": "4"}, {}, "version of keras=3 on worker 0 and worker 2, 4 on worker 1"),
        ({"parts": 2}, {"parts": 2}, "parts=None on worker 0, 2 on worker 1 and worker 2"),
        ({"seed": 1, "files": "b"}, {}, "--seed=0 on .*; files=a on worker 0 and worker 2, b on worker 1"),
    )
    def test_settings_that_differ(self, second, third, differences):
        with self.assertRaisesRegex(run.UsageError, f"^expected the same settings on all workers, got {differences}$"):
            self._check([second, third])

    @parameterized.parameters((None, "there is no file x", "worker 1: there is no file x"), ("mine", "theirs", "mine"))
    def test_an_error_of_one_worker_ends_all(self, own, other, expected):
        def gather(_, error):
            self.assertEqual(error, own)
            return {"worker 0": own, "worker 1": other}

        with (
            mock.patch.object(training, "gather", gather),
            self.assertRaisesRegex(run.UsageError, f"^{expected}$"),
            workers.ending_together(mock.Mock()),
        ):
            if own is not None:
                raise run.UsageError(own)


if __name__ == "__main__":
    absltest.main()
