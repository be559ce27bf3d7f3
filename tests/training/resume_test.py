"""Runs that were killed, told to stop, or left without a whole checkpoint, go on exactly."""

import atexit
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests.training import processes, small
from tfp_realnvp import training

_STEPS = 5  # in an epoch of `processes.train`
_EPOCHS = 4


class _KillSoon(keras.callbacks.Callback):
    """Kills this process some milliseconds after a step: within another, or while a checkpoint is written."""

    def __init__(self, step, milliseconds):
        super().__init__()
        self.step, self.milliseconds = step, milliseconds

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.step:
            threading.Timer(self.milliseconds / 1000, os.kill, (os.getpid(), signal.SIGKILL)).start()


class _First(keras.callbacks.Callback):
    """Writes down from which step a run goes on."""

    step = None

    def on_train_batch_begin(self, batch, logs=None):
        if self.step is None:
            self.step = int(self.model.optimizer.iterations.numpy())


def _train(folder, *extra):
    tf.config.experimental.enable_op_determinism()
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1)
    warm_up = training.WarmUp(0.01, 3)
    return processes.train(
        training.strategy("one_device"),
        epochs=_EPOCHS,
        learns_noise=True,
        settings=dict(dtype="float32", rho=0.9),
        model_settings=dict(average_decay=0.9),
        output_dir=folder,
        checkpoint_every=2,
        callbacks=[plateau, warm_up, *extra],
    )


def _train_and_die(folder, step, milliseconds):
    _train(folder, _KillSoon(step, milliseconds))


def _train_and_tell(folder):
    first = _First()
    return _train(folder, first), first.step


class KilledTest(parameterized.TestCase):
    def test_killed_at_random_moments(self):
        whole = processes.Process(_train, None)
        seed = np.random.SeedSequence().entropy
        random = np.random.default_rng(seed)
        with tempfile.TemporaryDirectory() as folder:
            kills, killed_at = 0, 0
            for step in np.sort(random.integers(1, _EPOCHS * _STEPS, 2)):
                process = processes.Process(_train_and_die, folder, int(step), float(random.uniform(0, 30)))
                try:
                    process.result()  # It was done before.
                except RuntimeError as error:
                    self.assertIn("died with exit code -9", str(error))
                    kills, killed_at = kills + 1, int(step)
            resumed, first = processes.Process(_train_and_tell, folder).result()
        self.assertGreater(kills, 0)
        # A run begun anew would end the same. A checkpoint comes every second step.
        self.assertGreaterEqual(_EPOCHS * _STEPS if first is None else first, killed_at - 2, f"seed {seed}")
        for name, value in whole.result().items():
            if "history" not in name:
                np.testing.assert_array_equal(resumed[name], value, f"{name}, seed {seed}")


def _batches(epoch, skip):
    events = small.vectors(32)
    order = np.random.default_rng(epoch).permutation(len(events))
    return tf.data.Dataset.from_tensor_slices(events[order]).batch(8).skip(skip)


def _model(**settings):
    model = training.FlowModel(small.vector_flow(), seed=3, **settings)
    model.compile(training.Adam(0.01))
    return model


def _fit(folder, epochs, model=None, **kwargs):
    """Four steps an epoch; the weights at the end."""
    model = _model() if model is None else model
    kwargs = {"checkpoint_every": 3, "verbose": 0, **kwargs}
    history = training.train(model, _batches, epochs=epochs, output_dir=folder, **kwargs)
    return small.values(model.distribution.variables), history


@functools.cache
def _whole(epochs):
    """The weights and the logs of a run that nothing happened to."""
    return _fit(None, epochs)


@functools.cache
def _one_epoch():
    """The folder of a run of one epoch: states after 3 and after 4 steps."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _fit(folder, 1)
    return folder


class _At(keras.callbacks.Callback):
    """Does something after a step of a model's life."""

    def __init__(self, step, action):
        super().__init__()
        self.step, self.action = step, action

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.step:
            self.action()


class _Test(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.last = self.folder / "checkpoints" / "last"

    def _assert_same(self, ours, theirs):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)

    def _files(self):
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


class SigtermTest(_Test):
    @parameterized.parameters(1, 4, 6)  # The first step, the last of an epoch, one within an epoch.
    def test_saves_leaves_and_goes_on(self, step):
        terminate = _At(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
        before = signal.getsignal(signal.SIGTERM)
        message = rf"^stopped by SIGTERM in epoch {1 + step // 5}, after .* batches; the last good checkpoint is .*"
        with self.assertRaisesRegex(training.InterruptedTraining, message) as caught:
            _fit(self.folder, 2, callbacks=[terminate])
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)
        self.assertTrue(pathlib.Path(f"{str(caught.exception).split()[-1]}.index").exists())
        first = _First()
        resumed, history = _fit(self.folder, 2, callbacks=[first])
        self.assertEqual(first.step, step)
        whole, whole_history = _whole(2)
        self._assert_same(resumed, whole)
        # The loss of an epoch is that of the whole epoch.
        self.assertEqual(history["loss"], whole_history["loss"][-len(history["loss"]) :])

    def test_in_validation_of_the_last_epoch(self):
        def terminate(epoch, logs):
            os.kill(os.getpid(), signal.SIGTERM)

        with self.assertRaisesRegex(training.InterruptedTraining, "^stopped by SIGTERM after epoch 1; the last good"):
            _fit(self.folder, 1, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=terminate)])


class MemoryTest(_Test):
    def test_a_worker_without_the_chiefs_callbacks_remembers_as_well(self):
        def stop():
            return keras.callbacks.EarlyStopping("loss", patience=3, min_delta=1e9)

        chief, worker = stop(), stop()
        _fit(self.folder, 2, callbacks=[chief, keras.callbacks.TensorBoard(str(self.folder / "tensorboard"))])
        _fit(self.folder, 2, callbacks=[worker])  # It is done, and only reads.
        self.assertEqual((worker.wait, worker.best), (chief.wait, chief.best))
        self.assertGreater(worker.wait, 0)


class TornTest(_Test):
    def setUp(self):
        super().setUp()
        shutil.copytree(_one_epoch(), self.folder, dirs_exist_ok=True)
        self.newest = self.last / "ckpt-2"

    def _assert_goes_on(self):
        first = _First()
        with self.assertLogs(level="WARNING") as logs:
            resumed, _ = _fit(self.folder, 2, callbacks=[first])
        self.assertEqual(first.step, 3)  # A run begun anew would end the same.
        self.assertRegex("\n".join(logs.output), rf"{self.newest} is torn .*, reading the previous checkpoint")
        self._assert_same(resumed, _whole(2)[0])

    @parameterized.parameters(0, 100)
    def test_data_cut_short(self, size):
        os.truncate(f"{self.newest}.data-00000-of-00001", size)
        self._assert_goes_on()

    @parameterized.parameters(0, 100)
    def test_index_cut_short(self, size):
        os.truncate(f"{self.newest}.index", size)
        self._assert_goes_on()

    def test_data_missing(self):
        os.remove(f"{self.newest}.data-00000-of-00001")
        self._assert_goes_on()

    def test_data_of_another_moment(self):
        data = pathlib.Path(f"{self.newest}.data-00000-of-00001")
        content = bytearray(data.read_bytes())
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
        data.write_bytes(content)
        self._assert_goes_on()

    @parameterized.parameters(b"", b"model_checkpoint_path: ")
    def test_the_list_of_checkpoints(self, content):
        (self.last / "checkpoint").write_bytes(content)
        resumed, _ = _fit(self.folder, 2)
        self._assert_same(resumed, _whole(2)[0])

    def test_all_of_them(self):
        for path in self.last.glob("*.data*"):
            os.truncate(path, 10)
        files = self._files()
        with self.assertRaisesRegex(training.CheckpointError, "^expected a whole checkpoint in .* is torn "):
            _fit(self.folder, 2)
        self.assertEqual(self._files(), files)

    def test_the_best_is_read_whole_or_not_at_all(self):
        validation = tf.data.Dataset.from_tensors(small.vectors(8))
        _fit(self.folder, 2, validation_batches=validation)
        self.assertEqual(pathlib.Path(training.best_checkpoint(self.folder)).parent.name, "best")
        for path in (self.folder / "checkpoints" / "best").glob("*.data*"):
            os.truncate(path, 10)
        self.assertEqual(pathlib.Path(training.best_checkpoint(self.folder)).parent.name, "last")


class DiskTest(_Test):
    """On a small file system of its own."""

    def setUp(self):
        super().setUp()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self.folder], capture_output=True)
        if mounted.returncode:
            self.skipTest(f"needs the right to mount a file system: {mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.folder], check=True)

    def test_a_full_disk_keeps_the_checkpoints_before(self):
        whole, _ = _whole(2)
        shutil.copytree(_one_epoch(), self.folder, dirs_exist_ok=True)
        with (self.folder / "fills").open("wb", buffering=0) as file:
            with self.assertRaises(OSError):
                while True:
                    file.write(bytes(4096))
        states = {path: path.read_bytes() for path in self.last.glob("ckpt*")}
        message = r"^no checkpoint can be written to .*last: .*; the last good checkpoint is .*ckpt-2$"
        with self.assertRaisesRegex(training.CheckpointError, message) as caught:
            _fit(self.folder, 2)
        self.assertLen(str(caught.exception).splitlines(), 1)
        self.assertEqual({path: path.read_bytes() for path in self.last.glob("ckpt*")}, states)
        (self.folder / "fills").unlink()
        self._assert_same(_fit(self.folder, 2)[0], whole)

    def test_a_folder_that_may_only_be_read(self):
        shutil.copytree(_one_epoch(), self.folder, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)
        files = self._files()
        with self.assertRaisesRegex(training.CheckpointError, r"^.*\bcan(not)? be written.*[Rr]ead-only file system"):
            _fit(self.folder, 2)
        with self.assertRaisesRegex(training.CheckpointError, "new cannot be written: Read-only file system$"):
            with training.open_run(self.folder / "new", {"model": {}}):
                self.fail("opened a run on a read-only disk")
        self.assertEqual(self._files(), files)


if __name__ == "__main__":
    absltest.main()
