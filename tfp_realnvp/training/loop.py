"""The training loop: epochs, callbacks, checkpoints, resuming."""

import contextlib
import itertools
import math
import pathlib
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf
from absl import logging

from tfp_realnvp import paths
from tfp_realnvp.training.batches import as_tuple
from tfp_realnvp.training.checkpoint import CheckpointError
from tfp_realnvp.training.curves import Curves
from tfp_realnvp.training.folder import exclusive
from tfp_realnvp.training.metrics_log import MetricsLog, Pace
from tfp_realnvp.training.model import FlowModel
from tfp_realnvp.training.non_finite import NonFiniteError, first_non_finite
from tfp_realnvp.training.signals import InterruptedTraining, noted
from tfp_realnvp.training.state import TrainingState
from tfp_realnvp.training.strategies import is_chief, leave_together, mean_over_workers, number_of_workers


def train(
    model: FlowModel,
    training_batches: Callable[[int, int], tf.data.Dataset],
    *,
    epochs: int,
    validation_batches: tf.data.Dataset | None = None,
    output_dir: str | pathlib.Path | None = None,
    checkpoint_every: int = 500,
    log_every: int = 50,
    accumulation_steps: int = 1,
    max_skipped_steps: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> dict[str, list[float]]:
    """Trains a compiled model, resuming from the last checkpoint if there is one.

    The `tf.distribute` strategy in whose scope the model was created splits each batch among its replicas. The state is
    saved every `checkpoint_every` steps and after each epoch, see `TrainingState`. A resumed run repeats nothing and
    ends with bit-identical weights (with TensorFlow's op determinism); a killed run loses at most `checkpoint_every`
    steps. SIGTERM, SIGINT (Ctrl-C) or SIGHUP to any worker stops all workers after the current step, saves, and raises
    `InterruptedTraining`; further signals do not interrupt the save.

    If the model averages its weights, validation and therefore the best checkpoint use the averaged weights.

    Args:
      model: a compiled `FlowModel`.
      training_batches: maps an epoch and a number of batches to skip to the remaining batches of that epoch. With
        `accumulation_steps`, these batches are the parts of a step.
      epochs: total number of epochs, including epochs before an interruption.
      validation_batches: batches to evaluate after each epoch.
      output_dir: folder for checkpoints, metrics.jsonl and its curves in tensorboard/, or None.
        All workers must see it. No other process may train in it at the same time.
      checkpoint_every: steps between two checkpoints; each epoch also ends with one.
      log_every: steps between two lines in metrics.jsonl; each epoch also ends with one. A line contains the logs, the
        learning rate, the gradient norm, the number of skipped steps, and, since the start of the epoch, steps and
        examples per second and the fraction of time spent waiting for data.
      accumulation_steps: number of batches per step; leftover batches at the end of an epoch are dropped.
      max_skipped_steps: how many steps in total may be skipped because their loss or gradient is not finite.
      callbacks: Keras callbacks; logs hold `loss`, `bits_per_dim` and the same with the prefix `val_`. Checkpoints
        include the state of Keras' `EarlyStopping` and `ReduceLROnPlateau`.
      verbose: 0 silent, 1 a progress bar, 2 one line per epoch.

    Returns:
      The logs of each epoch of this call, as `keras.callbacks.History` keeps them.

    Raises:
      NonFiniteError: if more than `max_skipped_steps` steps were skipped, or the weights to save are not finite; names
        the step and the tensor. The last good checkpoint is kept.
      CheckpointError: if a checkpoint cannot be read or written, another process is using `output_dir`, or its
        metrics.jsonl was not written by a run.
      InterruptedTraining: after one of the signals above.
    """
    strategy = model.distribute_strategy
    state = TrainingState(model, output_dir, callbacks)
    if accumulation_steps > 1:
        with strategy.scope():
            model.build_accumulators()
    history = keras.callbacks.History()
    steps = training_batches(0, 0).cardinality().numpy() // accumulation_steps
    callback_list = keras.callbacks.CallbackList(
        [*callbacks, history],
        add_progbar=verbose != 0 and is_chief(strategy),
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=steps if steps > 0 else None,
    )
    step = _Step(model, accumulation_steps)
    # Only the chief writes.
    is_alone = contextlib.nullcontext() if output_dir is None or not is_chief(strategy) else exclusive(output_dir)
    with is_alone, noted() as signals:
        model.reset_metrics()
        callback_list.on_train_begin()
        state.resume()  # After `on_train_begin`, in which some callbacks reset their state.
        model.stop_training = _stopped_early(callbacks)
        _check_workers_agree(model)
        write = _writing(model, output_dir)
        pace = Pace()
        for epoch in range(int(state.epoch), epochs):
            if model.stop_training:
                break
            if not state.batch:
                model.reset_metrics()
            callback_list.on_epoch_begin(epoch)
            pace.reset()
            first = int(state.batch)
            batches = strategy.experimental_distribute_dataset(training_batches(epoch, first * accumulation_steps))
            for batch, parts in enumerate(_grouped(pace.waiting(batches), accumulation_steps), start=first):
                callback_list.on_train_batch_begin(batch)
                logs = step.train(parts)
                number = int(model.optimizer.iterations.numpy())
                _check_finite(model, parts, number - 1, max_skipped_steps, state)
                state.batch.assign_add(1)
                pace.count(step.examples(parts))
                if number % log_every == 0:
                    write(number, **_figures(model, epoch, logs | pace.figures()))
                callback_list.on_train_batch_end(batch, logs)
                if mean_over_workers(strategy, float(bool(signals))) > 0:
                    state.save()
                    _leave(strategy, signals, f"in epoch {epoch + 1}, after {batch + 1} batches; {state.last_good()}")
                if number % checkpoint_every == 0:
                    state.save()
            logs = _metrics(model)
            figures = _figures(model, epoch, pace.figures())
            state.epoch.assign(epoch + 1)
            state.batch.assign(0)
            if validation_batches is not None:
                state.check_weights()
                with contextlib.nullcontext() if model.average is None else model.average.lent():
                    model.reset_metrics()
                    for events in strategy.experimental_distribute_dataset(validation_batches):
                        step.test(events)
                    of_data = {name: value for name, value in _metrics(model).items() if name != "skipped_steps"}
                    validation = {f"val_{name}": value for name, value in of_data.items()}
                    if math.isfinite(logs["loss"]):  # Otherwise every step was skipped.
                        state.save_if_best(validation["val_loss"])
                logs |= validation
            model.reset_metrics()
            write(int(model.optimizer.iterations.numpy()), **(logs | figures))
            callback_list.on_epoch_end(epoch, logs)
            state.save()  # Last, since a callback may have lowered the learning rate.
            if mean_over_workers(strategy, float(bool(signals))) > 0:
                _leave(strategy, signals, f"after epoch {epoch + 1}; {state.last_good()}")
    callback_list.on_train_end()
    leave_together(strategy)
    return history.history


class _Step:
    """The model's steps as graphs that run on all replicas."""

    def __init__(self, model: FlowModel, accumulation_steps: int):
        self._strategy = strategy = model.distribute_strategy
        self._parts = accumulation_steps

        def on_replicas(function: Callable[..., Any]) -> Callable[..., Any]:
            # XLA compiles the function that each replica runs. No layer has Python control flow, so AutoGraph is off.
            graph = dict(reduce_retracing=True, autograph=False)
            if model.jit_compile:
                function = tf.function(function, jit_compile=True, **graph)
            return tf.function(lambda *args: strategy.run(function, args=args), **graph)

        self._train = on_replicas(lambda events: model.train_step(events, self._parts))
        self._accumulate = on_replicas(lambda events, part: model.accumulate_step(events, part, self._parts))
        self.test = on_replicas(model.test_step)

    def train(self, parts: Sequence[Any]) -> dict[str, float]:
        """One step on a batch given in parts; returns the running means."""
        *others, last = parts
        for i, events in enumerate(others):
            self._accumulate(events, tf.constant(i))
        logs = self._train(last)
        return {name: float(self._local(value)[0]) for name, value in logs.items()}  # All replicas have the same value.

    def examples(self, parts: Sequence[Any]) -> int:
        """The number of examples in a batch over all workers."""
        local = sum(len(events) for part in parts for events in self._local(as_tuple(part)[0]))
        return local * number_of_workers(self._strategy)

    def _local(self, value: Any) -> tuple[tf.Tensor, ...]:
        return self._strategy.experimental_local_results(value)


def _stopped_early(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    """Whether the run had stopped early and would stop again; with more patience it continues."""
    stops = (callback for callback in callbacks if isinstance(callback, keras.callbacks.EarlyStopping))
    return any(stop.stopped_epoch and stop.wait >= stop.patience for stop in stops)


def _grouped(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` batches; leftover batches are dropped."""
    iterator = iter(batches)
    while len(group := list(itertools.islice(iterator, size))) == size:
        yield group


def _check_workers_agree(model: FlowModel) -> None:
    iterations = int(model.optimizer.iterations.numpy())
    mean = mean_over_workers(model.distribute_strategy, iterations)
    if mean != iterations:
        leave_together(model.distribute_strategy)
        raise CheckpointError(
            f"expected all workers to resume from one checkpoint, got step {iterations} here and a mean of {mean:g}: "
            "every worker must see the run's folder"
        )


def _check_finite(
    model: FlowModel, parts: Sequence[Any], step: int, max_skipped_steps: int, state: TrainingState
) -> None:
    """Warns about a skipped step; raises an error if there were too many."""
    if model.last_step_finite.numpy():
        return
    model.last_gradient_norm.assign(float("nan"))  # It may be finite although the loss is not.
    skipped = int(model.skipped_steps.numpy())
    if skipped == state.skipped_steps:
        return
    state.skipped_steps = skipped
    if skipped <= max_skipped_steps:
        logging.warning("step %d: not finite, skipped (%d of at most %d)", step, skipped, max_skipped_steps)
        return
    local = model.distribute_strategy.experimental_local_results
    culprits = (first_non_finite(model, _first(local, events), model.noise_seed(step)) for events in parts)
    culprit = next(culprits)
    leave_together(model.distribute_strategy)
    raise NonFiniteError(f"step {step}: not finite: {culprit}; {state.last_good()}")


def _first(local: Callable[[Any], tuple[Any, ...]], batch: Any) -> tuple[tf.Tensor, ...]:
    """The first local replica's part of a batch."""
    return tuple(local(part)[0] for part in as_tuple(batch))


def _leave(strategy: tf.distribute.Strategy, signals: Sequence[signal.Signals], where: str) -> NoReturn:
    leave_together(strategy)
    by = signals[0] if signals else signal.SIGTERM  # Otherwise another worker received the signal.
    raise InterruptedTraining(f"stopped by {by.name} {where}", by)


def _metrics(model: FlowModel) -> dict[str, float]:
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _writing(model: FlowModel, output_dir: str | pathlib.Path | None) -> Callable[..., None]:
    """A function that writes the figures of a step, on the chief; elsewhere it does nothing."""
    if output_dir is None or not is_chief(model.distribute_strategy):
        return lambda step, **figures: None
    folder = paths.local(output_dir)
    log = MetricsLog(folder / "metrics.jsonl", int(model.optimizer.iterations.numpy()))
    curves = Curves(folder / "tensorboard")

    def write(step: int, **figures: float) -> None:
        log.write(step, **figures)
        curves.write(step, **figures)

    return write


def _figures(model: FlowModel, epoch: int, logs: dict[str, float]) -> dict[str, float]:
    """A line of metrics.jsonl."""
    return {
        "epoch": epoch,
        **logs,
        "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
        "gradient_norm": float(model.last_gradient_norm.numpy()),
        "skipped_steps": int(model.skipped_steps.numpy()),
    }
