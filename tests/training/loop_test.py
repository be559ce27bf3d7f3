"""The training loop: what it tells callbacks, what it keeps, and how it goes on."""

import concurrent.futures
import contextlib
import io
import json
import math
import multiprocessing
import os
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import summaries
from tests.training import small
from tfp_realnvp import training
from tfp_realnvp.training import non_finite

nvb = nvp.bijectors

_BATCHES = 4  # in an epoch


def _batches(events, calls=None):
    """An epoch's batches as `train` asks for them: the order is a function of the epoch."""

    def batches(epoch, skip):
        if calls is not None:
            calls.append((epoch, skip))
        order = np.random.default_rng(epoch).permutation(len(events))
        return tf.data.Dataset.from_tensor_slices(events[order]).batch(len(events) // _BATCHES).skip(skip)

    return batches


def _model(distribution, optimizer=None):
    model = training.FlowModel(distribution, levels=small.LEVELS, seed=3)
    model.compile(training.Adam(0.01) if optimizer is None else optimizer)
    return model


def _train(model, events, validation=None, **kwargs):
    """`train` on vectors or images, silently."""
    if validation is not None:
        kwargs["validation_batches"] = tf.data.Dataset.from_tensors(validation)
    return training.train(model, _batches(events), **{"epochs": 1, "verbose": 0, **kwargs})


class _Recorder(keras.callbacks.Callback):
    """Writes down what it is told."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.logs = []

    def on_train_begin(self, logs=None):
        self.told.append("train")

    def on_train_end(self, logs=None):
        self.told.append("train ends")

    def on_epoch_begin(self, epoch, logs=None):
        self.told.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.told.append(f"epoch {epoch} ends")
        self.logs.append(logs)

    def on_train_batch_begin(self, batch, logs=None):
        self.told.append(f"batch {batch}")

    def on_train_batch_end(self, batch, logs=None):
        self.told.append(f"batch {batch} ends")
        self.logs.append(logs)


def _at(step, action):
    """A callback that does something after that many steps of the model's life."""

    class AtStep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == step:
                action(self.model)

    return AtStep()


def _checkpoints(folder, kind):
    return sorted(path.stem for path in pathlib.Path(folder, "checkpoints", kind).glob("*.index"))


class TrainTest(parameterized.TestCase):
    def test_images(self):
        images = small.images(32)
        recorder = _Recorder()
        model = _model(small.two_couplings(), training.Adam(0.03))
        history = _train(model, images, images[:16], epochs=6, callbacks=[recorder])
        self.assertEqual(set(history), {"loss", "bits_per_dim", "skipped_steps", "val_loss", "val_bits_per_dim"})
        for values in history.values():
            self.assertLen(values, 6)
        self.assertLess(history["loss"][-1], history["loss"][0] - 1)
        self.assertLess(history["val_loss"][-1], history["val_loss"][0] - 1)
        for prefix in ("", "val_"):
            bits = np.array(history[f"{prefix}loss"]) / (16 * math.log(2))
            np.testing.assert_allclose(history[f"{prefix}bits_per_dim"], bits, rtol=1e-5)
        np.testing.assert_allclose(
            history["val_loss"][-1], model.evaluate(images[:16], batch_size=16, verbose=0)[0], rtol=1e-5
        )
        batch_logs, epoch_logs = recorder.logs[_BATCHES - 1], recorder.logs[_BATCHES]
        self.assertEqual(set(batch_logs), {"loss", "bits_per_dim", "skipped_steps"})
        self.assertEqual(epoch_logs, {name: values[0] for name, values in history.items()})
        self.assertEqual(epoch_logs["loss"], batch_logs["loss"])
        for logs in recorder.logs:
            self.assertEqual({type(value) for value in logs.values()}, {float})

    def test_callbacks_are_told_of_everything_in_turn(self):
        recorder = _Recorder()
        model = _model(small.vector_flow())
        _train(model, small.vectors(32), epochs=2, callbacks=[recorder])
        batches = [told for batch in range(_BATCHES) for told in (f"batch {batch}", f"batch {batch} ends")]
        epochs = [["epoch 0", *batches, "epoch 0 ends"], ["epoch 1", *batches, "epoch 1 ends"]]
        self.assertEqual(recorder.told, ["train", *epochs[0], *epochs[1], "train ends"])
        self.assertIs(recorder.model, model)
        self.assertEqual(recorder.params["epochs"], 2)
        self.assertEqual(recorder.params["steps"], _BATCHES)
        self.assertEqual(int(model.optimizer.iterations), 2 * _BATCHES)

    def test_the_loss_of_an_epoch_is_that_of_the_epoch(self):
        model = _model(small.vector_flow(norm=None), keras.optimizers.SGD(0.0))
        events = small.vectors(32)
        history = _train(model, events, events[:5], epochs=2)
        expected = -np.mean(model.distribution.log_prob(events))
        np.testing.assert_allclose(history["loss"], [expected, expected], rtol=1e-5)
        expected = -np.mean(model.distribution.log_prob(events[:5]))
        np.testing.assert_allclose(history["val_loss"], [expected, expected], rtol=1e-5)

    def test_early_stopping(self):
        # No rate and no moving statistics: no epoch is better than the first.
        model = _model(small.vector_flow(norm=None), keras.optimizers.SGD(0.0))
        stop = keras.callbacks.EarlyStopping("val_loss", patience=2)
        recorder = _Recorder()
        events = small.vectors(32)
        history = _train(model, events, events, epochs=9, callbacks=[stop, recorder])
        self.assertLen(history["loss"], 3)
        self.assertEqual(recorder.told[-1], "train ends")

    def test_a_run_that_stopped_early_stays_so(self):
        events = small.vectors(32)
        folder = self.enter_context(tempfile.TemporaryDirectory())
        for patience, epochs in ((2, 3), (2, 0), (3, 1)):
            # The third has more patience.
            model = _model(small.vector_flow(norm=None), keras.optimizers.SGD(0.0))
            stop = keras.callbacks.EarlyStopping("val_loss", patience=patience)
            history = _train(model, events, events, epochs=9, callbacks=[stop], output_dir=folder)
            self.assertLen(history.get("loss", []), epochs)

    def test_what_is_printed(self):
        line = r"4/4 - .* - loss: [\d.-]+ - skipped_steps: 0.0000e\+00\n"
        for verbose, expected in ((0, r"\A\Z"), (2, rf"\AEpoch 1/2\n{line}Epoch 2/2\n{line}\Z")):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                _train(_model(small.vector_flow()), small.vectors(32), epochs=2, verbose=verbose)
            self.assertRegex(printed.getvalue(), expected)


class CheckpointsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enter_context(tempfile.TemporaryDirectory())
        self.events = small.vectors(32)

    def _train(self, model, **kwargs):
        return _train(model, self.events, output_dir=self.folder, **kwargs)

    def test_checkpoints_are_written_within_and_after_epochs(self):
        written = []

        class Watcher(keras.callbacks.Callback):
            def on_train_batch_begin(_, batch, logs=None):
                written.append(len(_checkpoints(self.folder, "last")))

        self._train(_model(small.vector_flow()), checkpoint_every=3, epochs=1, callbacks=[Watcher()])
        self.assertEqual(written, [0, 0, 0, 1])
        self.assertEqual(_checkpoints(self.folder, "last"), ["ckpt-1", "ckpt-2"])
        self._train(_model(small.vector_flow()), checkpoint_every=3, epochs=2)
        self.assertLen(_checkpoints(self.folder, "last"), 2)  # The newest two.
        self.assertEqual(_checkpoints(self.folder, "best"), [])

    def test_without_a_folder_nothing_is_written(self):
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        _train(_model(small.vector_flow()), self.events, self.events)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_run_that_is_finished_does_nothing(self):
        self._train(_model(small.vector_flow()), epochs=2)
        files = {path: path.stat().st_mtime_ns for path in pathlib.Path(self.folder).rglob("*")}
        recorder = _Recorder()
        model = _model(small.vector_flow())
        self.assertEqual(self._train(model, epochs=2, callbacks=[recorder]), {})
        self.assertEqual(recorder.told, ["train", "train ends"])
        self.assertEqual({path: path.stat().st_mtime_ns for path in pathlib.Path(self.folder).rglob("*")}, files)
        self.assertEqual(int(model.optimizer.iterations), 2 * _BATCHES)  # It has the trained state.

    def test_more_epochs_go_on_from_the_last(self):
        first = _model(small.vector_flow())
        self._train(first, epochs=1)
        recorder = _Recorder()
        second = _model(small.vector_flow())
        history = self._train(second, epochs=3, callbacks=[recorder])
        self.assertEqual([told for told in recorder.told if told.startswith("epoch")][::2], ["epoch 1", "epoch 2"])
        self.assertLen(history["loss"], 2)
        self.assertEqual(int(second.optimizer.iterations), 3 * _BATCHES)

    def test_an_interrupted_run_asks_for_the_rest_of_its_epoch(self):
        def stop(model):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self._train(_model(small.vector_flow()), epochs=3, checkpoint_every=2, callbacks=[_at(7, stop)])
        calls = []
        recorder = _Recorder()
        training.train(
            _model(small.vector_flow()),
            _batches(self.events, calls),
            epochs=3,
            output_dir=self.folder,
            callbacks=[recorder],
            verbose=0,
        )
        self.assertEqual(calls[-2:], [(1, 2), (2, 0)])  # Six steps were in the last checkpoint.
        begun = [told for told in recorder.told if told.startswith("batch") and not told.endswith("ends")]
        self.assertEqual(begun, [f"batch {batch}" for batch in (2, 3, 0, 1, 2, 3)])

    def _train_to_biases(self, biases, epochs):
        """Trains at a rate of 0; before each epoch the last bias gets the value that is given for it."""
        distribution = small.vector_flow(norm=None)
        bias = distribution.flow.bijectors[-1].conditioner.dense_out.bias

        def assign(epoch, logs):
            bias.assign(tf.fill(bias.shape, biases[epoch]))

        # The loss grows with how far the bias is from 0.
        model = _model(distribution, keras.optimizers.SGD(0.0))
        callback = keras.callbacks.LambdaCallback(on_epoch_begin=assign)
        return self._train(model, validation=self.events, epochs=epochs, callbacks=[callback])["val_loss"]

    def _best_bias(self):
        distribution = small.vector_flow(norm=None)
        training.restore(distribution, training.best_checkpoint(self.folder))
        return distribution.flow.bijectors[-1].conditioner.dense_out.bias[0]

    def test_the_best_checkpoint_is_that_of_the_lowest_validation_loss(self):
        losses = self._train_to_biases([40.0, 10.0, 30.0], epochs=3)
        self.assertEqual(np.argmin(losses), 1)
        self.assertEqual(self._best_bias(), 10)
        # A run that goes on knows how good the best was.
        self._train_to_biases([None, None, None, 20.0], epochs=4)
        self.assertEqual(self._best_bias(), 10)
        self._train_to_biases([None, None, None, None, 5.0, 20.0], epochs=6)
        self.assertEqual(self._best_bias(), 5)
        self.assertLen(_checkpoints(self.folder, "best"), 1)

    def test_a_validation_loss_that_is_not_finite_is_not_the_best(self):
        self._train_to_biases([10.0, np.nan], epochs=1)
        events = self.events.copy()
        events[0, 0] = np.nan
        model = _model(small.vector_flow(norm=None), keras.optimizers.SGD(0.0))
        history = self._train(model, validation=events, epochs=2)
        self.assertFalse(np.isfinite(history["val_loss"][0]))
        self.assertEqual(self._best_bias(), 10)

    @parameterized.parameters(dict(hidden_units=(5,)), dict(couplings=3), dict(couplings=1), dict(hidden_units=(4, 4)))
    def test_the_folder_of_another_model_is_refused(self, **settings):
        self._train(_model(small.vector_flow()))
        files = {path: path.read_bytes() for path in pathlib.Path(self.folder).rglob("*") if path.is_file()}
        with self.assertRaises(training.CheckpointError) as caught:
            self._train(_model(small.vector_flow(**settings)), epochs=2)
        self.assertRegex(str(caught.exception), r"^.*expected .*\bgot\b.*\Z")
        now = {path: path.read_bytes() for path in pathlib.Path(self.folder).rglob("*") if path.is_file()}
        self.assertEqual(now, files)


class ResumeTest(absltest.TestCase):
    def test_an_interrupted_run_ends_as_one_that_was_not(self):
        # In a process of its own: what makes TensorFlow deterministic cannot be taken back.
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
            uninterrupted, resumed = pool.submit(_uninterrupted_and_resumed).result()
        self.assertEqual(resumed.keys(), uninterrupted.keys())
        for name, value in uninterrupted.items():
            np.testing.assert_array_equal(resumed[name], value, name)


def _uninterrupted_and_resumed():
    """All that two runs ended with: one of one go, and one that was interrupted within an epoch."""
    tf.config.experimental.enable_op_determinism()
    images = small.images(32)

    class Interrupt(Exception):
        pass

    def interrupt(model):
        raise Interrupt

    def run(folder, callbacks=()):
        model = _model(small.two_couplings(), training.Adam(keras.optimizers.schedules.ExponentialDecay(0.02, 3, 0.9)))
        _train(model, images, images[:8], epochs=2, output_dir=folder, checkpoint_every=2, callbacks=callbacks)
        variables = {f"{i} {v.name}": v.numpy() for i, v in enumerate(model.distribution.variables)}
        variables |= {f"optimizer {i} {v.name}": v.numpy() for i, v in enumerate(model.optimizer.variables)}
        return variables

    with tempfile.TemporaryDirectory() as folder:
        uninterrupted = run(folder)
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(folder, [_at(7, interrupt)])
            raise AssertionError("expected an interrupt")
        except Interrupt:
            pass
        resumed = run(folder)
    return uninterrupted, resumed


class AverageTest(parameterized.TestCase):
    def test_validation_and_the_best_checkpoint_are_of_the_average(self):
        events = small.vectors(32)
        with tempfile.TemporaryDirectory() as folder:
            model = training.FlowModel(small.vector_flow(), average_decay=0.5)
            model.compile(training.Adam(0.05))
            history = _train(model, events, events, output_dir=folder)
            weights = small.values(model.distribution.variables)
            with model.average.lent():
                expected = -np.mean(model.distribution.log_prob(events))
                averaged = small.values(model.distribution.variables)
            np.testing.assert_allclose(history["val_loss"], [expected], rtol=1e-5)
            # Also the last state, which has both, is read as the average.
            for kind in ("best", "last"):
                distribution = small.vector_flow()
                path = tf.train.latest_checkpoint(os.path.join(folder, "checkpoints", kind))
                training.restore(distribution, path)
                for ours, theirs, weight in zip(small.values(distribution.variables), averaged, weights, strict=True):
                    np.testing.assert_array_equal(ours, theirs, kind)
                    self.assertFalse(np.array_equal(theirs, weight))


class ScheduleTest(absltest.TestCase):
    def test_warm_up(self):
        rates = []
        model = _model(small.vector_flow(), training.Adam(0.3))
        keep = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: rates.append(float(model.optimizer.learning_rate))
        )
        _train(model, small.vectors(32), epochs=2, callbacks=[training.WarmUp(0.3, 3), keep])
        np.testing.assert_allclose(rates, [0.1, 0.2] + 6 * [0.3], rtol=1e-6)

    def test_a_plateau_is_remembered_over_an_interruption(self):
        # No rate and no moving statistics: no epoch is better than the first.
        def run(folder, epochs):
            model = _model(small.vector_flow(norm=None), keras.optimizers.SGD(1e-30))
            plateau = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=3, min_lr=0.0)
            events = small.vectors(32)
            _train(model, events, events, epochs=epochs, output_dir=folder, callbacks=[plateau])
            return float(model.optimizer.learning_rate) / 1e-30

        with tempfile.TemporaryDirectory() as folder:
            rates = [run(folder, epochs) for epochs in (1, 2, 3, 4)]
        np.testing.assert_allclose(rates, [1, 1, 1, 0.5], rtol=1e-5)


class AccumulationTest(absltest.TestCase):
    def test_batches_are_parts_of_a_step(self):
        calls, recorder = [], _Recorder()
        model = _model(small.vector_flow())
        events = small.vectors(32)[:28]  # Batches of 7, of which three make a step and one is left over.
        training.train(model, _batches(events, calls), epochs=2, accumulation_steps=3, callbacks=[recorder], verbose=0)
        self.assertEqual(int(model.optimizer.iterations), 2)
        self.assertEqual(recorder.params["steps"], 1)
        self.assertEqual(recorder.told.count("batch 0"), 2)
        self.assertEqual(calls, [(0, 0), (0, 0), (1, 0)])


class MetricsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def _lines(self):
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]

    def _train(self, epochs, **kwargs):
        kwargs = {"output_dir": self.folder, "log_every": 2, **kwargs}
        return _train(_model(small.vector_flow()), small.vectors(32), small.vectors(8), epochs=epochs, **kwargs)

    def test_lines(self):
        history = self._train(2)
        lines = self._lines()
        self.assertEqual([line["step"] for line in lines], [2, 4, 6, 8])
        self.assertEqual([line["epoch"] for line in lines], [0, 0, 1, 1])
        self.assertEqual([line["loss"] for line in lines if "val_loss" in line], history["loss"])
        self.assertEqual([line["val_loss"] for line in lines if "val_loss" in line], history["val_loss"])
        for line in lines:
            self.assertAlmostEqual(line["learning_rate"], 0.01)
            self.assertGreater(line["gradient_norm"], 0)
            self.assertEqual(line["skipped_steps"], 0)
            self.assertBetween(line["waiting_for_data"], 0, 1)
            # Eight vectors a step.
            self.assertAlmostEqual(line["examples_per_second"] / line["steps_per_second"], 8)

    def test_lines_are_curves_in_tensorboard(self):
        model = _model(small.vector_flow())
        _train(model, small.vectors(32), small.vectors(8), epochs=2, output_dir=self.folder, log_every=2)
        lines = self._lines()
        train, validation = (summaries.read(self.folder / "tensorboard" / run) for run in ("train", "validation"))
        for name in ("loss", "learning_rate", "gradient_norm", "steps_per_second"):
            expected = {line["step"]: np.float32(line[name]) for line in lines}
            self.assertEqual({step: value for step, tag, value in train if tag == name}, expected, name)
        expected = [(line["step"], "loss", np.float32(line["val_loss"])) for line in lines if "val_loss" in line]
        self.assertEqual(validation, expected)

    def test_a_run_that_goes_on_leaves_no_line_twice(self):
        class Interrupt(Exception):
            pass

        def interrupt(model):
            raise Interrupt

        with self.assertRaises(Interrupt):
            self._train(2, callbacks=[_at(6, interrupt)])
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write('{"step": 7, "los')
        self._train(2)
        self.assertEqual([line["step"] for line in self._lines()], [2, 4, 6, 8])


def _log_scales(value):
    """What gives every log-scale of a model's second coupling that value."""

    def breaks(model):
        coupling = model.distribution.flow.bijectors[3]
        dense = coupling.conditioner.dense_out
        dense.kernel.assign(tf.zeros_like(dense.kernel))
        dense.bias.assign([0.0, 0.0, 9.0, 9.0])  # tanh(9) is 1.
        coupling.transformer.gain.assign(value)

    return breaks


class NonFiniteTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enter_context(tempfile.TemporaryDirectory())

    def _error(self, message):
        return self.assertRaisesRegex(training.NonFiniteError, message)

    def _assert_last_good_is_kept(self, make, error, steps):
        """What is restored is finite, of a step before the failed one, and named in the message."""
        path = tf.train.latest_checkpoint(os.path.join(self.folder, "checkpoints", "last"))
        self.assertEndsWith(str(error), f"; the last good checkpoint is {path}")
        distribution = make()
        training.restore(distribution, training.best_checkpoint(self.folder))
        for variable in distribution.variables:
            self.assertTrue(np.all(np.isfinite(variable)), variable.name)
        model = _model(make())
        recorder = _Recorder()
        _train(model, small.vectors(32), output_dir=self.folder, callbacks=[recorder])
        self.assertEqual(recorder.told[2], f"batch {steps}")

    def test_a_weight(self):
        broken = []

        def breaks(model):
            coupling = next(m for m in model.distribution.submodules if m.name == "channels")
            weight = coupling.conditioner.convs_1[0].direction
            value = weight.numpy()
            value[0, 0, 0, 0] = np.nan
            weight.assign(value)
            broken.append(weight)

        model = _model(small.two_couplings())
        with self._error(r"^step 3: not finite: the variable .*; no checkpoint was written yet$") as caught:
            _train(model, small.images(32), callbacks=[_at(3, breaks)])
        self.assertIn(f"the variable {broken[0].path} (1 of 36 entries);", str(caught.exception))
        self.assertIn("channels", str(caught.exception))

    def test_the_output_of_a_layer(self):
        # exp(s) is infinite.
        self._assert_stops_at(_log_scales(1e4), r"the output of coupling_1 \(16 of 32 entries\)")

    def test_a_log_det(self):
        # exp(s) is 0, so that the output is finite, and the sum of two s is not.
        self._assert_stops_at(_log_scales(-3e38), r"the log-det of coupling_1 \(8 of 8 entries\)")

    def test_some_may_be_skipped(self):
        events = small.vectors(32)
        events[3, 2] = np.nan
        model = _model(small.vector_flow())
        with self.assertLogs(level="WARNING") as logs:
            history = _train(model, events, epochs=2, max_skipped_steps=2, output_dir=self.folder)
        self.assertRegex("\n".join(logs.output), r"step \d: not finite, skipped \(1 of at most 2\)")
        self.assertTrue(np.all(np.isfinite(history["loss"])))
        self.assertEqual(int(model.skipped_steps), 2)
        # What was skipped before counts in a run that goes on.
        with self._error(r"^step \d+: not finite: the batch \(1 of 32 entries\); the last good checkpoint is "):
            _train(_model(small.vector_flow()), events, epochs=3, max_skipped_steps=2, output_dir=self.folder)

    def test_an_epoch_whose_steps_were_all_skipped_is_not_the_best(self):
        events = np.full_like(small.vectors(8), np.nan)
        given = dict(max_skipped_steps=9, output_dir=self.folder, epochs=1)
        with self.assertLogs(level="WARNING"):
            history = _train(_model(small.vector_flow()), events, small.vectors(8), **given)
        self.assertTrue(np.isnan(history["loss"][0]))
        self.assertTrue(np.isfinite(history["val_loss"][0]))
        self.assertEqual(_checkpoints(self.folder, "best"), [])
        line = json.loads(pathlib.Path(self.folder, "metrics.jsonl").read_text(), parse_constant=self.fail)
        self.assertEqual((line["loss"], line["gradient_norm"], line["skipped_steps"]), (None, None, 4))
        curves = {name for _, name, _ in summaries.read(pathlib.Path(self.folder, "tensorboard", "train"))}
        self.assertIn("skipped_steps", curves)
        self.assertNoCommonElements(curves, {"loss", "gradient_norm"})

    def test_a_batch(self):
        events = small.vectors(32)
        events[:, 2] = np.inf
        with self._error(r"^step 0: not finite: the batch \(8 of 32 entries\); no checkpoint was written yet$"):
            _train(_model(small.vector_flow()), events, output_dir=self.folder)

    def test_a_gradient(self):
        # The square of such an entry is no float32, so that the gradient's norm is infinite and the loss is not.
        with self._error("^step 0: not finite: .*gradient"):
            _train(_model(small.vector_flow(norm=None)), small.vectors(32) * np.float32(1e12))

    def test_a_flow_that_is_no_chain(self):
        network = nvp.conditioners.MLP(outputs=4, hidden_units=(3,))
        network.build((None, 2))
        coupling = nvb.Coupling(nvp.transformers.Affine(), network, nvb.Alternating(0), name="alone")
        coupling.transformer.gain.assign(np.nan)
        with self._error("^step 0: not finite: the variable alone_gain"):
            _train(_model(nvp.FlowDistribution(coupling, (4,))), small.vectors(32))
        coupling.transformer.gain.assign(1e4)
        network.dense_out.bias.assign([0.0, 0.0, 9.0, 9.0])
        with self._error("^step 0: not finite: the output of alone "):
            _train(_model(nvp.FlowDistribution(coupling, (4,))), small.vectors(32))

    def test_a_coupling_within_a_split(self):
        model = _model(small.image_flow(scales=2, blocks=0))
        coupling = next(m for m in model.distribution.submodules if m.name == "scale_1_checkerboard_2")
        events = tf.constant(small.images(4))
        weight = coupling.conditioner.conv_out.bias
        start = weight.numpy()
        weight.assign([0.0, 0.0, 9.0, 9.0])
        coupling.transformer.gain.assign(1e4)
        self.assertStartsWith(
            non_finite.first_non_finite(model, events, model.noise_seed(0)), "the output of scale_1_checkerboard_2 "
        )
        # Also a variable's name says of which coupling it is.
        weight.assign(np.where(np.arange(4) == 2, np.nan, start))
        self.assertRegex(
            non_finite.first_non_finite(model, events, model.noise_seed(0)),
            r"the variable \S*scale_1_checkerboard_2\S*/conv_out/bias \(1 of 4 entries\)",
        )

    def _assert_stops_at(self, breaks, culprit):
        make = small.vector_flow
        recorder = _Recorder()
        with self._error(f"^step 3: not finite: {culprit}; ") as caught:
            _train(
                _model(make()),
                small.vectors(32),
                output_dir=self.folder,
                checkpoint_every=2,
                callbacks=[_at(3, breaks), recorder],
            )
        self.assertEqual(recorder.told[-1], "batch 3")
        self._assert_last_good_is_kept(make, caught.exception, steps=2)


if __name__ == "__main__":
    absltest.main()
