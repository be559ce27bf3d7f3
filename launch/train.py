"""Train a flow on images or vectors and report its bits/dim or log-likelihood.

Without flags it trains on the digits that come with the package:

    python -m launch.train

Any setting of a preset can be overridden, on the command line or in a file:

    python -m launch.train --flagfile=cifar10 --data_dir=DIR --output_dir=OUT
    python -m launch.train --preset=mnist --width=8 --epochs=3 --data_dir=DIR
    python -m launch.train --preset=imagenet64 --describe

Your own images, in a folder, and with its subfolders as classes (docs/own_images.md):

    python -m launch.train --dataset=folder:PATH --image_size=32 \\
      --output_dir=OUT
    python -m launch.train --dataset=folder:PATH --image_size=32 --conditional \\
      --output_dir=OUT

Other flows, and vectors (docs/vectors.md), whose standardisation is saved with the model:

    python -m launch.train --flow=glow --preset=mnist --data_dir=DIR
    python -m launch.train --flow=maf --dataset=csv:FILE --output_dir=OUT

Larger models, more devices, less memory (docs/training.md, docs/distributed.md):

    python -m launch.train --preset=cifar10 --dtype_policy=mixed_bfloat16 \\
      --backprop=remat --strategy=mirrored

Start from the weights of another run, to train it further on other data or with another recipe:

    python -m launch.train --preset=cifar10_cpu --dataset=folder:PATH \\
      --init_from=runs/cifar10_cpu --output_dir=OUT

An interrupted run resumes when started again with the same flags. Ctrl-C, SIGTERM and SIGHUP save first; after SIGKILL
at most --checkpoint_every steps are repeated. OUT must be new, empty or this run's folder, and only one process at a
time may train in it. It contains config.json, metrics.jsonl, checkpoints/, tensorboard/, and at the end samples.png,
results.json and saved_model/.
"""

from __future__ import annotations

import contextlib
import pathlib
import time
from typing import Any

import keras
import tensorflow as tf
from absl import flags

import tfp_realnvp as nvp
from launch import init_from, machine, results, run, settings, terminal, workers
from tfp_realnvp import data, evaluation, paths, presets, training

_DESCRIBE = flags.DEFINE_bool("describe", False, "Print the architecture and exit.")
_STRATEGY = flags.DEFINE_enum(
    "strategy", "auto", training.STRATEGIES, "Devices that share the work, see docs/distributed.md."
)
_BACKPROP = flags.DEFINE_enum(
    "backprop",
    "store",
    ["store", "remat", "invert"],
    "What training stores for the backward pass: store keeps all activations, remat keeps each layer's input, invert "
    "keeps only the latent and recomputes from it, so that memory does not grow with depth. Gradients are the same.",
)
_MAX_SKIPPED_STEPS = flags.DEFINE_integer(
    "max_skipped_steps",
    0,
    "Number of steps with a non-finite loss or gradient to skip before giving up.",
    lower_bound=0,
)
_LOG_EVERY = flags.DEFINE_integer("log_every", 50, "Steps between two lines in metrics.jsonl.", lower_bound=1)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic",
    False,
    "Enable TensorFlow's op determinism: equal runs on the same machine, interrupted or not, end bit for bit equal.",
)
_PROFILE = flags.DEFINE_bool("profile", False, "Run TensorFlow's profiler in steps 10 to 20 and write to tensorboard/.")
_CHECKPOINT_EVERY = flags.DEFINE_integer("checkpoint_every", 500, "Steps between two checkpoints.", lower_bound=1)
_SAMPLE_EVERY = flags.DEFINE_integer("sample_every", 1, "Epochs between two pictures in TensorBoard.", lower_bound=1)
_PATIENCE = flags.DEFINE_integer(
    "patience", None, "Stop after this many epochs without a better validation loss. By default never.", lower_bound=1
)
_REQUIRE_MARGIN = flags.DEFINE_float(
    "require_margin",
    None,
    "Fail unless the test bits/dim are this far below both baselines, or the nats of vectors above the Gaussian's.",
)
_VERBOSE = flags.DEFINE_integer(
    "verbose", 1, "0: silent, 1: a progress bar on a terminal and one line per epoch elsewhere, 2: lines.", 0, 2
)
# Settings that may change when a run resumes, but that all its workers must share.
_SHARED = (run.JIT_COMPILE, _DETERMINISTIC, _MAX_SKIPPED_STEPS, _LOG_EVERY, _CHECKPOINT_EVERY, _PATIENCE)


def main() -> None:
    if _DESCRIBE.value:
        _describe(settings.preset_and_data()[0])
        return
    if _DETERMINISTIC.value:
        tf.config.experimental.enable_op_determinism()
    # First, since workers must be connected before TensorFlow runs any operation, and reading data runs some.
    strategy = workers.connected(_STRATEGY.value)
    with workers.one_line_if_lost(strategy):
        _train_and_evaluate(strategy)


def _train_and_evaluate(strategy: tf.distribute.Strategy) -> None:
    with workers.ending_together(strategy):
        _check_output_dir()
        preset, events = settings.preset_and_data()
        events = events or run.load_data(preset.dataset, preset.event_shape, run.levels_of(preset), preset.classes)
        _check_batch(preset, events, strategy)
    config = _config(preset, events)
    workers.check_same(strategy, config, {flag.name: flag.value for flag in _SHARED})
    with strategy.scope():
        # Supported by all flows, though not an option of each.
        given = {} if _BACKPROP.value == "store" else {"backprop": _BACKPROP.value}
        distribution = run.build(preset, events, **given)
        model, callbacks = _model(preset, events, distribution)
    folder, is_chief = run.output_dir(), training.is_chief(strategy)
    if is_chief:
        print(nvp.summary(distribution, terminal.COLUMNS), flush=True)
        if model.dequantizer is not None:
            print(f"\nDequantisation:\n{nvp.summary(model.dequantizer, terminal.COLUMNS)}", flush=True)
    with contextlib.ExitStack() as stack:
        with workers.ending_together(strategy):
            if is_chief:
                # A run that did not record its data's contents is not checked.
                own = training.open_run(folder, config, lambda model: run.identity(events) | presets.comparable(model))
                stack.enter_context(own)
        started = time.monotonic()
        has_trained = _train(preset, model, events, folder, callbacks)
        print(f"Trained for {time.monotonic() - started:.0f} s")
        # The others wait, since finished workers would not return if the chief had to restart.
        with workers.ending_together(strategy):
            if is_chief:
                if has_trained:  # Perhaps for another number of epochs than the start before.
                    training.update_config(folder, **{name: config[name] for name in ("epochs", "command")})
                _evaluate(preset, events, folder)
    training.leave_together(strategy)


def _evaluate(preset: presets.Preset, events: data.Events, folder: pathlib.Path) -> None:
    margin, unit = results.write(preset, events, folder)
    if _REQUIRE_MARGIN.value is not None and not (margin is not None and margin >= _REQUIRE_MARGIN.value):
        got = "no baseline to compare with" if margin is None else f"{margin:.3f}"
        raise run.FailedError(f"expected a margin of {_REQUIRE_MARGIN.value} {unit}, got {got}")


def _describe(preset: presets.Preset) -> None:
    print(nvp.summary(run.build(preset), terminal.COLUMNS))
    if (dequantizer := run.built(preset.build_dequantizer)) is not None:
        print(f"\nDequantisation:\n{nvp.summary(dequantizer, terminal.COLUMNS)}")


def _check_output_dir() -> None:
    """Raises a `UsageError` for a run inside of its folder of images, where its samples would become data."""
    kind, _, path = (run.DATASET.value or "").partition(":")
    if kind == "folder" and path and run.output_dir().resolve().is_relative_to(paths.local(path).resolve()):
        raise run.UsageError(f"expected an --output_dir outside of the images in {path}, got {run.output_dir()}")


def _check_batch(preset: presets.Preset, events: data.Events, strategy: tf.distribute.Strategy) -> None:
    replicas, parts = strategy.num_replicas_in_sync, preset.recipe.accumulation_steps
    if preset.recipe.batch_size % (replicas * parts):
        raise run.UsageError(
            f"expected a batch_size that {replicas} devices times {parts} accumulation_steps divide, "
            f"got {preset.recipe.batch_size}"
        )
    try:
        _training_batches(preset, events, epoch=0, skip=0)
    except ValueError as error:
        raise run.UsageError(str(error)) from error


def _config(preset: presets.Preset, given: data.Events) -> dict[str, Any]:
    """The config of a run: the settings that identify it, and its origin."""
    identity = run.identity(given) | init_from.settings()
    return {
        "preset": run.PRESET.value,
        "model": {**preset.settings(), **identity, "seed": run.SEED.value},
        "epochs": preset.recipe.epochs,
        "strategy": _STRATEGY.value,
        "backprop": _BACKPROP.value,
        **machine.provenance(),
        **init_from.origin(),
    }


def _model(
    preset: presets.Preset, events: data.Events, distribution: nvp.FlowDistribution
) -> tuple[training.FlowModel, list[keras.callbacks.Callback]]:
    """The compiled model and the callbacks of its schedule."""
    recipe = preset.recipe
    dequantizer = run.built(preset.build_dequantizer)
    init_from.read_weights(events, preset, distribution, dequantizer)  # Before the model initialises its average.
    model = training.FlowModel(
        distribution,
        levels=preset.levels,
        classes=preset.classes,
        dequantizer=dequantizer,
        columns=preset.columns,
        l2=recipe.l2,
        clip_norm=recipe.clip_norm,
        average_decay=recipe.ema,
        seed=run.SEED.value,
    )
    steps = recipe.epochs * (events.num_examples("train") // recipe.batch_size)
    try:
        rate, callbacks = training.schedule(
            recipe.schedule, recipe.learning_rate, steps=steps, warmup_steps=recipe.warmup_steps
        )
        optimizer = training.optimizer(recipe.optimizer, rate)
    except ValueError as error:
        raise run.UsageError(str(error)) from error
    model.compile(optimizer, jit_compile=run.jit_compile())
    return model, callbacks


def _train(
    preset: presets.Preset,
    model: training.FlowModel,
    events: data.Events,
    folder: pathlib.Path,
    callbacks: list[keras.callbacks.Callback],
) -> bool:
    """Trains, or resumes training; returns whether an epoch was finished."""
    validation = events.evaluation_batches("validation", results.BATCH_SIZE)
    if _PATIENCE.value is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=_PATIENCE.value))
    if training.is_chief(model.distribute_strategy):
        callbacks += _writing_callbacks(preset, validation, folder)
        if _VERBOSE.value:
            callbacks.append(terminal.Epochs(lines=_VERBOSE.value == 2))
    history = training.train(
        model,
        lambda epoch, skip: _training_batches(preset, events, epoch, skip),
        epochs=preset.recipe.epochs,
        validation_batches=validation,
        output_dir=folder,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        log_every=_LOG_EVERY.value,
        accumulation_steps=preset.recipe.accumulation_steps,
        max_skipped_steps=_MAX_SKIPPED_STEPS.value,
        callbacks=callbacks,
        verbose=0,
    )
    return bool(history)


def _writing_callbacks(
    preset: presets.Preset, validation: tf.data.Dataset, folder: pathlib.Path
) -> list[keras.callbacks.Callback]:
    """What goes to TensorBoard beside the curves of `training.train`."""
    seed, callbacks = run.SEED.value, []
    if _PROFILE.value:
        profile = keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False, profile_batch=(10, 20))
        callbacks.append(profile)
    if len(preset.event_shape) == 1:
        return callbacks
    some = next(iter(results.images_alone(preset, validation)))[:16]
    some = nvp.dequantize(some, seed=(seed, 0), levels=preset.levels)
    return [
        *callbacks,
        evaluation.SampleGrid(
            folder / "tensorboard",
            some,
            levels=preset.levels,
            every=_SAMPLE_EVERY.value,
            seed=seed,
            **run.contexts(preset, 64),
        ),
    ]


def _training_batches(preset: presets.Preset, events: data.Events, epoch: int, skip: int) -> tf.data.Dataset:
    """The batches, or parts of batches, of an epoch."""
    recipe = preset.recipe
    size = recipe.batch_size // recipe.accumulation_steps
    return events.training_batches(size, seed=run.SEED.value, epoch=epoch, flip=recipe.flip, skip=skip)


if __name__ == "__main__":
    run.start(main)
