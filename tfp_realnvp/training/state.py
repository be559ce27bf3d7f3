"""The state that a run needs to resume, and its checkpoints."""

import contextlib
import json
import math
import pathlib
import shutil
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp import paths, storage
from tfp_realnvp.training.checkpoint import CheckpointError, newest_whole, of_another_architecture, tidy
from tfp_realnvp.training.manager import Manager
from tfp_realnvp.training.model import FlowModel
from tfp_realnvp.training.non_finite import NonFiniteError
from tfp_realnvp.training.strategies import is_chief, leave_together

# The state of Keras callbacks that monitor the validation loss.
_REMEMBERED = ("best", "wait", "cooldown_counter", "best_epoch", "stopped_epoch")
_GRADIENT_NORM = "gradient_norm"


class TrainingState:
    """Model, optimizer, averages, position in the data and callbacks' state, with their checkpoints.

    In `output_dir/checkpoints`, `last` holds the newest two states. `best` holds the distribution and its dequantizer
    at the lowest validation loss, with averaged weights if the model averages them. Of several workers only the chief
    writes; all of them read.

    Args:
      model: a compiled `FlowModel`.
      output_dir: the run's folder, visible to all workers; None saves nothing.
      callbacks: the run's callbacks.
    """

    def __init__(
        self,
        model: FlowModel,
        output_dir: str | pathlib.Path | None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.batch = tf.Variable(0, dtype=tf.int64)
        self.best_loss = tf.Variable(float("inf"))
        self.skipped_steps = 0  # Skipped steps that the loop has reported.
        # A metric's variables are spread over the replicas, and all workers must read them together.
        self._loss_sums = [tf.Variable(v.numpy()) for v in model.loss_metric.variables]
        self._model = model
        self._folder: pathlib.Path | None = None
        self._last: Manager | None = None
        self._best: Manager | None = None
        if output_dir is None:
            return
        self._folder = paths.local(output_dir) / "checkpoints"
        self._learned = learned = dict(distribution=model.distribution)
        if model.dequantizer is not None:
            learned["dequantizer"] = model.dequantizer
        parts = dict(
            **learned,
            optimizer=model.optimizer,
            counters=[variable.value for variable in model.counters],
            loss_sums=self._loss_sums,
            epoch=self.epoch,
            batch=self.batch,
            best_loss=self.best_loss,
            callbacks=_Memory(callbacks, model.last_gradient_norm),
        )
        if model.average is not None:
            parts["average"] = model.average
        self._everything = tf.train.Checkpoint(**parts)

    def resume(self) -> None:
        """Reads the newest whole checkpoint, if there is one; all workers must call this once.

        Raises:
          CheckpointError: if there are checkpoints but none is whole, or the checkpoint belongs to another model.
        """
        self._model.last_gradient_norm.assign(float("nan"))  # For checkpoints without it.
        path = None if self._folder is None else newest_whole(self._folder / "last")
        if path is not None:
            try:
                with paths.plain(path) as plain:
                    self._everything.restore(plain).assert_consumed()
            except (AssertionError, ValueError) as error:
                raise of_another_architecture(path, self._learned) from error
        self.skipped_steps = int(self._model.skipped_steps.numpy())
        for variable, value in zip(self._model.loss_metric.variables, self._loss_sums):
            variable.assign(value)  # A strategy distributes the value of a sum evenly over its replicas.
        if self._folder is not None and is_chief(self._model.distribute_strategy):
            self._last = _manager(self._everything, self._folder / "last", path, max_to_keep=2)
            best = None
            with contextlib.suppress(CheckpointError):
                best = newest_whole(self._folder / "best")
            self._best = _manager(tf.train.Checkpoint(**self._learned), self._folder / "best", best, max_to_keep=1)

    def save(self) -> None:
        """Writes the state; all workers must call this.

        Raises:
          NonFiniteError: if the weights are not finite. Nothing is written in that case.
          CheckpointError: if it cannot be written. Earlier checkpoints are kept.
        """
        self.check_weights()
        for variable, value in zip(self._loss_sums, self._model.loss_metric.variables):
            variable.assign(value.value)
        self._write(self._last)

    def save_if_best(self, loss: float) -> None:
        """Writes the current distribution if `loss` is finite and the lowest so far."""
        if -math.inf < loss < float(self.best_loss):
            self.best_loss.assign(loss)
            # Numbered by step: a new process would otherwise restart the count and overwrite the only checkpoint.
            self._write(self._best, int(self._model.optimizer.iterations.numpy()))

    def check_weights(self) -> None:
        """Raises an error if a weight or its average is not finite; all workers have the same weights.

        Raises:
          NonFiniteError: names the first such variable.
        """
        parts = (self._model.distribution, self._model.dequantizer, self._model.average)
        for variable in (variable for part in parts if part is not None for variable in part.variables):
            if variable.dtype.is_floating and not np.all(np.isfinite(value := variable.numpy())):
                leave_together(self._model.distribute_strategy)
                count = np.sum(~np.isfinite(value))
                step = int(self._model.optimizer.iterations.numpy())
                raise NonFiniteError(
                    f"after step {step}: the weights are not finite: {variable.name} ({count} of {value.size} "
                    f"entries); {self.last_good()}"
                )

    def last_good(self) -> str:
        """A phrase that names the newest checkpoint."""
        if self._folder is not None and self._last is None:
            return f"the chief keeps the checkpoints in {self._folder}"
        path = self._last and self._last.latest_checkpoint
        return f"the last good checkpoint is {path}" if path else "no checkpoint was written yet"

    def _write(self, manager: Manager | None, number: int | None = None) -> None:
        if manager is None:
            return
        try:
            manager.save(number)
        except (tf.errors.OpError, OSError) as error:
            for part in manager.directory.glob("*_temp"):
                shutil.rmtree(part, ignore_errors=True)
            raise CheckpointError(
                f"no checkpoint can be written to {manager.directory}: {_reason(error)}; {self.last_good()}"
            ) from error


class _Memory(tf.train.experimental.PythonState):
    """The callbacks' state and the last gradient norm, as JSON in a checkpoint."""

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], gradient_norm: tf.Variable):
        self._callbacks = callbacks
        self._gradient_norm = gradient_norm

    def serialize(self) -> str:
        def remembered(callback: keras.callbacks.Callback) -> dict[str, float]:
            return {name: value for name, value in vars(callback).items() if name in _REMEMBERED and value is not None}

        all_remembered = [(type(callback).__name__, remembered(callback)) for callback in self._callbacks]
        all_remembered.append((_GRADIENT_NORM, {"last": self._gradient_norm.numpy()}))
        return json.dumps([pair for pair in all_remembered if pair[1]], default=float)

    def deserialize(self, string: str) -> None:
        # Matched by name: not every worker has all callbacks, and a run may resume with others.
        remembered = json.loads(string)
        for callback in self._callbacks:
            of_callback = [pair for pair in remembered if pair[0] == type(callback).__name__]
            if of_callback:
                vars(callback).update(of_callback[0][1])
                remembered.remove(of_callback[0])
        for name, values in remembered:
            if name == _GRADIENT_NORM:
                self._gradient_norm.assign(values["last"])


def _manager(checkpoint: tf.train.Checkpoint, folder: pathlib.Path, whole: str | None, max_to_keep: int) -> Manager:
    try:
        tidy(folder, whole, max_to_keep)
        return Manager(checkpoint, folder, max_to_keep)
    except (tf.errors.OpError, OSError) as error:
        raise CheckpointError(f"no checkpoint can be written to {folder}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """An error's first line, without TensorFlow's details."""
    message = storage.reason(error) or getattr(error, "message", None) or str(error)
    return message.splitlines()[0].split(" [Op:")[0]
