"""Whose a run's folder is: other people's files, a second process, and what killed processes leave."""

import errno
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests.training import small
from tfp_realnvp import storage, training
from tfp_realnvp.training import checkpoint, metrics_log
from tfp_realnvp.training.state import TrainingState

_CONFIG = {"preset": "digits", "model": {"width": 32, "event_shape": (8, 8, 1)}}


class _Test(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def _put(self, *names):
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    def _files(self):
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def _refused(self):
        before = self._files()
        with self.assertRaises(training.CheckpointError) as caught, training.open_run(self.folder, _CONFIG):
            pass
        self.assertEqual(self._files(), before)
        return str(caught.exception)


class ForeignFolderTest(_Test):
    @parameterized.parameters(
        (("notes.txt",), "notes.txt"),
        (("saved_model/saved_model.pb", "samples.png"), "samples.png and 1 more"),
        (("checkpoints/last/ckpt-1.index",), "checkpoints"),
        ((".DS_Store", "lost+found/1", "thesis.tex"), "thesis.tex"),
    )
    def test_other_files_are_refused(self, names, found):
        self._put(*names)
        self.assertEqual(
            self._refused(),
            f"expected an empty folder or a run's folder with a config.json, got {self.folder} with {found}: choose "
            "another --output_dir",
        )

    @parameterized.parameters((), (".DS_Store",), ("lost+found/1",), (".lock", ".unfinished.abc/config.json"))
    def test_an_empty_folder_and_hidden_files_are_taken(self, *names):
        self._put(*names)
        with training.open_run(self.folder, _CONFIG):
            self.assertTrue((self.folder / ".lock").exists())
        self.assertEqual(self._files(), {"config.json", *names} - {".lock", ".unfinished.abc/config.json"})

    @parameterized.parameters(
        ("not JSON", "got no JSON"),
        ('{"model": ', "got no JSON"),
        ("[1]", "got a list"),
        ('{"model_type": "bert"}', 'got one without an entry "preset"'),
        ('{"preset": "digits", "model": "bert"}', 'expected an object as entry "model" of .*config.json, got text'),
        ('{"preset": 1, "model": {}}', 'expected text as entry "preset" of .*, got a number'),
        ('{"preset": "digits", "model": {}, "epochs": "9"}', 'expected a number as entry "epochs" of .*, got text'),
        ('{"preset": "digits", "model": {"width": 32}}', "event_shape=None .here .8, 8, 1.."),
        ('{"preset": "a", "model": {"width": 32, "event_shape": [8, 8, 1], "lr": 1}}', "lr=1 .here None."),
    )
    def test_the_config_of_something_else(self, text, message):
        (self.folder / "config.json").write_text(text)
        self.assertRegex(self._refused(), message)


class LockTest(_Test):
    def _hold(self):
        """A process that holds the lock until it is killed."""
        program = f"from tfp_realnvp import storage\nwith storage.locked({str(self.folder)!r}):\n  print(flush=True)\n"
        program += "  input()"
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process = subprocess.Popen([sys.executable, "-c", program], **pipes)
        self.addCleanup(process.__exit__, None, None, None)
        self.addCleanup(process.kill)
        process.stdout.readline()
        return process

    def test_a_second_process_is_refused_in_one_sentence_until_the_first_is_gone(self):
        holder = self._hold()
        self.assertRegex(
            self._refused(),
            rf"^{self.folder} is in use by process {holder.pid} on \S+ since \d{{4}}-\d\d-\d\d [\d:]{{8}} UTC: wait "
            "until it has ended, or choose another folder$",
        )
        holder.kill()
        holder.wait()
        self.assertEqual(self._files(), {".lock"})
        with training.open_run(self.folder, _CONFIG), training.open_run(self.folder, _CONFIG):
            pass  # The system released the lock, and one process may take it twice.
        self.assertEqual(self._files(), {"config.json"})

    def test_a_file_system_without_locks_is_warned_of(self):
        unsupported = mock.patch("fcntl.flock", side_effect=OSError(errno.ENOLCK, "no locks"))
        with unsupported, self.assertLogs(level="WARNING") as logs, storage.locked(self.folder):
            pass
        self.assertIn(f"{self.folder} cannot be locked: do not start a second process in it", logs.output[0])

    def test_a_lock_file_that_its_holder_removes_meanwhile(self):
        path, taken = self.folder / ".lock", []

        def flock(file, _):
            if not taken:
                path.unlink()
            taken.append(file)

        with mock.patch("fcntl.flock", flock), storage.locked(self.folder):
            self.assertLen(taken, 2)
            self.assertTrue(os.path.samestat(os.fstat(taken[1].fileno()), path.stat()))


class LeftoversTest(_Test):
    def test_what_another_process_has_not_finished_stays_while_it_is_at_work(self):
        self._put(".unfinished.left/saved_model/saved_model.pb")
        with storage.replacing(self.folder / "picture.png") as part:
            part.write_text("half")
            with mock.patch.object(storage.lock, "_HELD", set()):  # As another process.
                storage.sweep(self.folder)
            self.assertFalse((self.folder / ".unfinished.left").exists())
        self.assertEqual(self._files(), {"picture.png"})

    def test_what_a_killed_process_leaves_is_swept_and_nothing_else(self):
        saved = tf.train.Checkpoint(value=tf.Variable(1))
        for number in (1, 2, 3):
            saved.write(str(self.folder / f"ckpt-{number}"))
        whole = self._files()
        self._put("ckpt-4_temp/part-00000-of-00001.data", "ckpt-4.data-00000-of-00001", "checkpoint.tmp0123", "mine")
        self._put("ckpt-3.index.tempstate1", "ckpt-notes", "checkpoint")
        checkpoint.tidy(self.folder, str(self.folder / "ckpt-3"), 2)
        oldest = {name for name in whole if name.startswith("ckpt-1.")}
        self.assertEqual(self._files(), whole - oldest | {"mine", "ckpt-notes", "checkpoint"})
        # The next one takes the place of the oldest.
        manager = tf.train.CheckpointManager(saved, str(self.folder), 2)
        self.assertEqual(manager.checkpoints, [str(self.folder / f"ckpt-{number}") for number in (2, 3)])

    def test_the_newest_whole_checkpoint_stays_with_torn_ones_after_it(self):
        saved = tf.train.Checkpoint(value=tf.Variable(1))
        paths = [saved.write(str(self.folder / f"ckpt-{number}")) for number in (1, 2, 3, 10)]
        for path in paths[2:]:
            os.truncate(f"{path}.index", 10)
        whole = checkpoint.newest_whole(self.folder)
        checkpoint.tidy(self.folder, whole, 1)
        self.assertEqual(checkpoint.newest_whole(self.folder), whole)
        self.assertEqual(tf.train.get_checkpoint_state(self.folder).all_model_checkpoint_paths, paths[1:])

    def test_a_checkpoint_of_weights_that_are_not_finite_is_passed_over(self):
        weight, loss = tf.Variable(1.0), tf.Variable(math.inf)
        saved = tf.train.Checkpoint(distribution=tf.train.Checkpoint(weight=weight), best_loss=loss)
        whole = saved.write(str(self.folder / "ckpt-1"))
        weight.assign(np.nan)
        saved.write(str(self.folder / "ckpt-2"))
        with self.assertLogs(level="WARNING") as logs:
            self.assertEqual(checkpoint.newest_whole(self.folder), whole)
        self.assertIn(
            "ckpt-2 has weights that are not finite (distribution/weight), reading the previous", logs.output[0]
        )


class StateTest(_Test):
    def _state(self):
        model = training.FlowModel(small.vector_flow(couplings=1), average_decay=0.9)
        model.compile(training.Adam(0.01))
        state = TrainingState(model, self.folder)
        state.resume()
        return model, state

    def test_weights_that_are_not_finite_are_never_saved(self):
        model, state = self._state()
        state.save()
        before = self._files()
        # Their average is looked at, too.
        for variable in (model.distribution.trainable_variables[0], model.average.averages[-1]):
            kept = variable.numpy()
            variable.assign(np.full_like(kept, np.inf))
            for save in (state.save, state.check_weights):
                message = rf"^after step 0: the weights are not finite: .* \({kept.size} of {kept.size} entries\); the "
                message += rf"last good checkpoint is {self.folder}/checkpoints/last/ckpt-1$"
                with self.assertRaisesRegex(training.NonFiniteError, message):
                    save()
            variable.assign(kept)
        for loss in (math.nan, math.inf, -math.inf):
            state.save_if_best(loss)
        self.assertEqual(self._files(), before)

    def test_a_run_that_goes_on_knows_the_last_gradient(self):
        model, state = self._state()
        self.assertTrue(np.isnan(model.last_gradient_norm.numpy()))
        model.last_gradient_norm.assign(3.5)
        state.save()
        self.assertEqual(self._state()[0].last_gradient_norm.numpy(), 3.5)


class MetricsTest(_Test):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "metrics.jsonl"

    def _lines(self):
        return [json.loads(line, parse_constant=self.fail) for line in self.path.read_text().splitlines()]

    def test_a_step_has_one_line_the_last(self):
        log = metrics_log.MetricsLog(self.path, 0)
        for step, loss in ((1, 3.0), (2, math.nan), (2, 2.0), (3, math.inf)):
            log.write(step, loss=loss)
        self.assertEqual([(line["step"], line["loss"]) for line in self._lines()], [(1, 3.0), (2, 2.0), (3, None)])
        # A process that goes on from the last line's step may write it again.
        metrics_log.MetricsLog(self.path, 3).write(3, loss=1.0)
        self.assertEqual([(line["step"], line["loss"]) for line in self._lines()], [(1, 3.0), (2, 2.0), (3, 1.0)])

    @parameterized.parameters('{"iteration": 3}', '{"step": "3", "time": 1}', '{"step": 900, "loss": 1}', "[3]")
    def test_the_file_of_something_else(self, text):
        self.path.write_text(text)
        message = f"expected a run's metrics or no file at {self.path}, got another: choose another folder"
        with self.assertRaisesRegex(training.CheckpointError, message):
            metrics_log.MetricsLog(self.path, 0)
        self.assertEqual((self.path.read_text(), training.read_metrics(self.path)), (text, []))

    def test_a_kill_at_any_byte_of_a_line(self):
        log = metrics_log.MetricsLog(self.path, 0)
        log.write(1, loss=3.0)
        first = len(self.path.read_bytes())
        log.write(2, loss=2.0)
        content = self.path.read_bytes()
        for size in range(first, len(content) + 1):
            for step in (1, 2):  # It goes on from either, as the checkpoint has it.
                self.path.write_bytes(content[:size])
                self.assertLessEqual(len(training.read_metrics(self.path)), 2)
                log = metrics_log.MetricsLog(self.path, step)
                for again in range(step, 4):
                    log.write(again, loss=float(again))
                self.assertEqual([line["step"] for line in self._lines()][-2:], [2, 3])
                self.assertLen(self._lines(), 3 if step == 1 or size >= first else 2)


if __name__ == "__main__":
    absltest.main()
