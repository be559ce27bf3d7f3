"""What SIGINT, SIGTERM and SIGHUP do to a program, at any moment."""

import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from launch import signals, source
from tests.launch import programs
from tfp_realnvp import serving, training
from tfp_realnvp.training.signals import noted
from tfp_realnvp.training.state import TrainingState

_ROOT = pathlib.Path(programs.__file__).resolve().parents[2]


def _signal_in(owner, name, *numbers):
    """Sends the process these signals at the start of each call of `owner.name`."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def signalled(*args, **kwargs):
        for number in numbers:
            signal.raise_signal(number)
        return function(*args, **kwargs)

    mock.patch.object(owner, name, signalled).start()


def _tracing_the_first_step(number):
    _signal_in(training.FlowModel, "train_step", number)
    signalled = training.FlowModel.train_step

    def without_reader(*args):
        # As `launch.train | tee` on Ctrl-C, which ends `tee`, too: the progress bar must not fail before the save.
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(writer)
        os.close(reader)
        return signalled(*args)

    mock.patch.object(training.FlowModel, "train_step", without_reader).start()


def _saving(*numbers):
    _signal_in(TrainingState, "save", *numbers)


def _decoding(number):
    _signal_in(source, "decode", number)


def _waiting_for_workers(number):
    _signal_in(training, "strategy", number)


def _exporting(number):
    _signal_in(serving.export.warm_up, "write", number)


class SignalsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        programs.take_signals()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def _assert_ends(self, result, number, *lines):
        """With the status of the signal, and with no other lines of errors than these."""
        self.assertEqual(result.status, 128 + number, result.errors)
        of_tensorflow = re.compile(r"[WE]\d{4} ")
        found = [line for line in result.errors.splitlines() if line and not of_tensorflow.match(line)]
        self.assertLen(found, len(lines), result.errors)
        for line, expected in zip(found, lines):
            self.assertRegex(line, expected)

    @parameterized.parameters(
        (_tracing_the_first_step, (signal.SIGINT,), "in epoch 1, after 1 batches"),
        (_saving, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM), "after epoch 1"),  # The save goes on.
    )
    def test_training_saves_and_says_how_to_go_on(self, prepare, numbers, where):
        folder = self.folder / "run"
        flags = ("--epochs=2", "--checkpoint_every=3", "--verbose=1")
        result = programs.train(folder, *flags, before=functools.partial(prepare, *numbers))
        name = numbers[0].name
        self._assert_ends(
            result,
            numbers[0],
            f"^{name}: training stops after this step or validation pass, and saves$",
            f"^stopped by {name} {where}; the last good checkpoint is .*; to resume: "
            rf"python -m launch\.train .*--output_dir={re.escape(str(folder))} --epochs=2 --checkpoint_every=3 --v.*$",
        )
        self.assertTrue(training.best_checkpoint(folder))
        self.assertFalse((folder / "results.json").exists())

    def test_a_program_that_reads_ends_in_one_line(self):
        flags = (f"--saved_model={programs.digits()}", f"--output_dir={self.folder}")
        result = programs.run("sample", *flags, before=functools.partial(_decoding, signal.SIGHUP))
        self._assert_ends(result, signal.SIGHUP, "^stopped by SIGHUP$")
        self.assertEmpty(list(self.folder.iterdir()))

    def test_a_worker_that_waits_is_ended_by_the_system(self):
        # TensorFlow waits, and lets no Python run.
        result = programs.run("train", before=functools.partial(_waiting_for_workers, signal.SIGINT))
        self.assertEqual(result.status, -signal.SIGINT, result.errors)

    def test_an_export_leaves_nothing(self):
        flags = (f"--output_dir={programs.trained()[0]}", f"--export_dir={self.folder}")
        result = programs.run("export", *flags, before=functools.partial(_exporting, signal.SIGTERM))
        self._assert_ends(result, signal.SIGTERM, "^stopped by SIGTERM$")
        self.assertEmpty(list(self.folder.iterdir()))

    @parameterized.parameters(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    def test_while_tensorflow_is_imported(self, number):
        for name in ("keras", "tensorflow"):
            (self.folder / f"{name}.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
        found = self._start()
        self.assertEqual((found.returncode, found.stderr), (128 + number, f"stopped by {number.name}\n"))

    def _start(self, *arguments, **environment):
        environment = {
            name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"
        } | environment
        return subprocess.run(
            [sys.executable, "-m", *(arguments or ("launch.train",))],
            cwd=_ROOT,
            env={**environment, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
        )

    def test_a_missing_package_of_an_extra_is_one_line(self):
        (self.folder / "tensorflow.py").write_text("raise ModuleNotFoundError('x', name='matplotlib.figure')\n")
        found = self._start()
        expected = "error: matplotlib is not installed: pip install 'tfp_realnvp[plots]'\n"
        self.assertEqual((found.returncode, found.stderr), (1, expected))

    def test_what_tensorflow_logs_while_it_is_imported_is_left_out(self):
        before, kept = "WARNING: All log messages before absl::InitializeLog() is called ...", "F0000 port.cc:1] fatal"
        logged = f"{before}\nI0000 00:00:1795982956.088513    7854 port.cc:153] oneDNN is on\n"
        logged += "E0000 00:00:1795982956.088513    7854 compiler/cuda.cc:1] no cuDNN\n"
        code = f"import os, sys\nos.write(2, {(logged + kept)!r}.encode())\nsys.exit(3)\n"
        (self.folder / "tensorflow.py").write_text(code)
        for call in (("launch.train",), ("launch", "train")):
            found = self._start(*call)
            self.assertEqual((found.returncode, found.stderr), (3, kept))
        self.assertEqual(self._start(TF_CPP_MIN_LOG_LEVEL="0").stderr, logged + kept)


class NotedTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def test_what_nohup_ignores_stays_ignored(self):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with noted() as received:
            signal.raise_signal(signal.SIGHUP)
        signals.heed()
        signal.raise_signal(signal.SIGHUP)
        self.assertEmpty(received)

    def test_one_that_comes_too_late_is_raised_again(self):
        signals.heed()
        with self.assertRaises(SystemExit) as caught:
            with noted() as received:
                signal.raise_signal(signal.SIGTERM)
        self.assertEqual((caught.exception.code, received), (143, [signal.SIGTERM]))


if __name__ == "__main__":
    absltest.main()
