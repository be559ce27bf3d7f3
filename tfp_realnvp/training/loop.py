"""The training loop: epochs, callbacks, checkpoints, resuming."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfp_realnvp.training.checkpoint import of_another_architecture
from tfp_realnvp.training.model import FlowModel
from tfp_realnvp.training.non_finite import NonFiniteError, first_non_finite


def train(
    model: FlowModel,
    training_batches: Callable[[int, int], tf.data.Dataset],
    *,
    epochs: int,
    validation_batches: tf.data.Dataset | None = None,
    output_dir: str | pathlib.Path | None = None,
    checkpoint_every: int = 500,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> dict[str, list[float]]:
    """Trains a compiled model, going on from the last checkpoint if there is one.

    In `output_dir/checkpoints`, `last` holds the newest two states and `best` the one of the lowest validation loss.
    A state is the distribution, the optimizer, and the place in the data: an interrupted run repeats nothing and
    loses at most `checkpoint_every` steps.

    Args:
      model: a compiled `FlowModel`.
      training_batches: from an epoch and a number of batches to skip, to the batches of the rest of that epoch.
      epochs: how many to train in all, those of earlier runs included.
      validation_batches: evaluated after each epoch.
      output_dir: where to keep checkpoints; None for nowhere.
      checkpoint_every: steps between two checkpoints; one is written after each epoch anyway.
      callbacks: Keras callbacks; logs hold `loss`, `bits_per_dim` and these with `val_` before.
      verbose: 0 silent, 1 a progress bar, 2 a line for each epoch.

    Returns:
      The logs of each epoch of this call, as `keras.callbacks.History` keeps them.

    Raises:
      NonFiniteError: when a loss or gradient is not finite; it names the step and the tensor. The last good
        checkpoint stays.
    """
    state = _State(model, output_dir)
    state.resume()
    history = keras.callbacks.History()
    steps = training_batches(0, 0).cardinality().numpy()
    callback_list = keras.callbacks.CallbackList(
        [*callbacks, history],
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=steps if steps > 0 else None,
    )
    train_step = tf.function(model.train_step, jit_compile=model.jit_compile, reduce_retracing=True)
    test_step = tf.function(model.test_step, jit_compile=model.jit_compile, reduce_retracing=True)
    model.stop_training = False
    callback_list.on_train_begin()
    for epoch in range(int(state.epoch), epochs):
        model.reset_metrics()
        callback_list.on_epoch_begin(epoch)
        skipped = int(state.batch)
        for batch, events in enumerate(training_batches(epoch, skipped), start=skipped):
            callback_list.on_train_batch_begin(batch)
            logs = train_step(events)
            if not model.last_step_finite.value:
                step = int(model.optimizer.iterations) - 1
                culprit = first_non_finite(model, events, model.noise_seed(step))
                raise NonFiniteError(f"step {step}: not finite: {culprit}; {state.last_good()}")
            state.batch.assign_add(1)
            callback_list.on_train_batch_end(batch, {name: float(value) for name, value in logs.items()})
            if int(model.optimizer.iterations) % checkpoint_every == 0:
                state.save()
        epoch_logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        state.epoch.assign(epoch + 1)
        state.batch.assign(0)
        if validation_batches is not None:
            model.reset_metrics()
            for events in validation_batches:
                test_step(events)
            validation = {f"val_{name}": float(value) for name, value in model.get_metrics_result().items()}
            epoch_logs.update(validation)
            state.save_if_best(validation["val_loss"])
        callback_list.on_epoch_end(epoch, epoch_logs)
        state.save()  # Last, for a callback may have lowered the learning rate.
        if model.stop_training:
            break
    callback_list.on_train_end()
    return history.history


class _State:
    """All that a run needs to go on where it stopped, and where it is kept."""

    def __init__(self, model: FlowModel, output_dir: str | pathlib.Path | None):
        model.optimizer.build(model.trainable_variables)
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.batch = tf.Variable(0, dtype=tf.int64)
        self.best_loss = tf.Variable(float("inf"))
        self._distribution = model.distribution
        self._last = self._best = None
        if output_dir is not None:
            checkpoint = tf.train.Checkpoint(
                distribution=model.distribution,
                optimizer=model.optimizer,
                epoch=self.epoch,
                batch=self.batch,
                best_loss=self.best_loss,
            )
            folder = pathlib.Path(output_dir) / "checkpoints"
            self._last = tf.train.CheckpointManager(checkpoint, str(folder / "last"), max_to_keep=2)
            weights = tf.train.Checkpoint(distribution=model.distribution)
            self._best = tf.train.CheckpointManager(weights, str(folder / "best"), max_to_keep=1)

    def resume(self) -> None:
        if self._last is not None and self._last.latest_checkpoint:
            path = self._last.latest_checkpoint
            try:
                self._last.checkpoint.restore(path).assert_consumed()
            except (AssertionError, ValueError) as error:
                raise of_another_architecture(path, self._distribution) from error

    def save(self) -> None:
        if self._last is not None:
            self._last.save()

    def save_if_best(self, loss: float) -> None:
        if loss < float(self.best_loss):
            self.best_loss.assign(loss)
            if self._best is not None:
                self._best.save()

    def last_good(self) -> str:
        path = self._last and self._last.latest_checkpoint
        return f"the last good checkpoint is {path}" if path else "no checkpoint was written yet"
