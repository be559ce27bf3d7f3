"""Train a flow on images or vectors and say its bits/dim or its log-likelihood.

With no flags, trains on the digits that come with the package:

    python -m launch.train

Any setting of a preset may be overridden, on the command line or in a file:

    python -m launch.train --flagfile=launch/flagfiles/cifar10.flags --data_dir=DIR --output_dir=OUT
    python -m launch.train --preset=mnist --width=8 --epochs=3 --data_dir=DIR
    python -m launch.train --preset=imagenet64 --describe

Images of your own, in a folder of PNG files (docs/own_images.md):

    python -m launch.train --dataset=folder:PATH --output_dir=OUT

Other flows, and vectors (docs/vectors.md), whose standardisation is kept with the model:

    python -m launch.train --flow=glow --preset=mnist --data_dir=DIR
    python -m launch.train --flow=maf --dataset=csv:FILE --output_dir=OUT

Larger models, on more devices, in less memory (docs/training.md, docs/distributed.md):

    python -m launch.train --preset=cifar10 --dtype_policy=mixed_bfloat16 --backprop=remat --strategy=mirrored

Begin with the weights of another run, to train it further on other data or by another recipe:

    python -m launch.train --preset=cifar10_cpu --dataset=folder:PATH --init_from=runs/cifar10_cpu --output_dir=OUT

A run that was interrupted goes on where it stopped when started again with the same flags: Ctrl-C, SIGTERM and SIGHUP
save first, and after SIGKILL at most --checkpoint_every steps are made again. OUT must be new, empty or this run's, and
one process at a time trains in it. It holds config.json, metrics.jsonl, checkpoints/, tensorboard/, and at the end
samples.png, results.json and saved_model/.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from typing import Any

import keras
import tensorflow as tf
from absl import flags

import tfp_realnvp as nvp
from launch import init_from, machine, results, run, workers
from tfp_realnvp import data, evaluation, presets, training

_OVERRIDES = {
    "epochs": flags.DEFINE_integer(
        "epochs", None, "Passes over the data in all, those of an interrupted run included.", lower_bound=1
    ),
    "batch_size": flags.DEFINE_integer(
        "batch_size", None, "Images in a step, those of all devices together.", lower_bound=1
    ),
    "learning_rate": flags.DEFINE_float("learning_rate", None, "Learning rate of Adam.", lower_bound=0),
    "l2": flags.DEFINE_float("l2", None, "Weight of the L2 term on weight-norm magnitudes and gains.", lower_bound=0),
    "clip_norm": flags.DEFINE_float("clip_norm", None, "Largest global norm of the gradient.", lower_bound=0),
    "flip": flags.DEFINE_bool("flip", None, "Whether to flip training images at random."),
    "scales": flags.DEFINE_integer("scales", None, "Number of scales.", lower_bound=1),
    "width": flags.DEFINE_integer("width", None, "Channels of the networks at the first scale.", lower_bound=1),
    "blocks": flags.DEFINE_integer("blocks", None, "Residual blocks of each network.", lower_bound=0),
    "flow": flags.DEFINE_enum(
        "flow", None, list(presets.FLOWS), "The flow. Images: real_nvp, glow, flowpp. Vectors: any."
    ),
    "layers": flags.DEFINE_integer("layers", None, "Layers of maf, iaf, naf, planar, radial.", lower_bound=1),
    "couplings": flags.DEFINE_integer("couplings", None, "Couplings of a flow over vectors.", lower_bound=1),
    "steps": flags.DEFINE_integer("steps", None, "Steps of glow at each scale.", lower_bound=1),
    "hidden_units": flags.DEFINE_list("hidden_units", None, "Hidden layers of the networks of vectors, as 256,256."),
    "components": flags.DEFINE_integer("components", None, "Components of flowpp's and naf's mixtures.", lower_bound=1),
    "bins": flags.DEFINE_integer("bins", None, "Bins of the splines of nsf.", lower_bound=2),
    "rho": flags.DEFINE_float("rho", None, "Running average of the flow's batch norm, for small batches.", 0, 1),
    "dtype_policy": flags.DEFINE_enum(
        "dtype_policy", None, presets.DTYPE_POLICIES, "Of the networks in training steps; all else is float32."
    ),
    "schedule": flags.DEFINE_enum(
        "schedule",
        None,
        presets.SCHEDULES,
        "Of the learning rate: constant; cosine, down to 0 at the last step; or plateau, halved after 5 epochs without "
        "a better validation loss.",
    ),
    "warmup_steps": flags.DEFINE_integer(
        "warmup_steps", None, "Steps in which the learning rate rises from 0.", lower_bound=0
    ),
    "ema": flags.DEFINE_float(
        "ema", None, "Decay of a moving average of the weights, such as 0.999, for evaluation and export.", 0, 1
    ),
    "dequantization": flags.DEFINE_enum(
        "dequantization",
        None,
        presets.DEQUANTIZATIONS,
        "The noise that makes real numbers of integer pixels: uniform, or variational, of a flow that learns beside "
        "the model and tightens the bound.",
    ),
    "accumulation_steps": flags.DEFINE_integer(
        "accumulation_steps",
        None,
        "Parts of a batch whose gradients are taken one after the other, which takes less memory. Batch norm takes its "
        "moments from each part.",
        lower_bound=1,
    ),
}
_CONDITIONAL = flags.DEFINE_bool(
    "conditional", False, "Tell every network the class of an image, of sets that have labels: p(image | label)."
)
_DESCRIBE = flags.DEFINE_bool("describe", False, "Print the architecture and leave.")
_STRATEGY = flags.DEFINE_enum(
    "strategy", "auto", training.STRATEGIES, "Which devices share the work, see docs/distributed.md."
)
_BACKPROP = flags.DEFINE_enum(
    "backprop",
    "store",
    ["store", "remat", "invert"],
    "What the backward pass has of the forward pass: store keeps everything, remat keeps each layer's input, invert "
    "keeps the latent and computes back from it, so that memory does not grow with depth. The gradients are the same.",
)
_MAX_SKIPPED_STEPS = flags.DEFINE_integer(
    "max_skipped_steps", 0, "Steps with a loss or gradient that is not finite to skip before giving up.", lower_bound=0
)
_LOG_EVERY = flags.DEFINE_integer("log_every", 50, "Steps between two lines in metrics.jsonl.", lower_bound=1)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic",
    False,
    "TensorFlow's op determinism: a run, interrupted or not, ends bit for bit as another on the same machine.",
)
_PROFILE = flags.DEFINE_bool("profile", False, "Run TensorFlow's profiler over steps 10 to 20, into tensorboard/.")
_CHECKPOINT_EVERY = flags.DEFINE_integer("checkpoint_every", 500, "Steps between two checkpoints.", lower_bound=1)
_SAMPLE_EVERY = flags.DEFINE_integer("sample_every", 1, "Epochs between two pictures in TensorBoard.", lower_bound=1)
_PATIENCE = flags.DEFINE_integer(
    "patience", None, "Stop after this many epochs without a better validation loss. By default never.", lower_bound=1
)
_REQUIRE_MARGIN = flags.DEFINE_float(
    "require_margin",
    None,
    "Fail unless the test bits/dim is this much under both baselines, or the nats of vectors over the Gaussian's.",
)
_VERBOSE = flags.DEFINE_integer("verbose", 1, "0: silent, 1: a progress bar, 2: a line for each epoch.", 0, 2)
# What a run may change when it resumes, and all its workers must share.
_SHARED = (run.JIT_COMPILE, _DETERMINISTIC, _MAX_SKIPPED_STEPS, _LOG_EVERY, _CHECKPOINT_EVERY, _PATIENCE)


def main() -> None:
    if _DESCRIBE.value:
        _describe(_preset_and_images()[0])
        return
    if _DETERMINISTIC.value:
        tf.config.experimental.enable_op_determinism()
    # First, since workers can only be connected before TensorFlow runs anything, and data are read with TensorFlow.
    strategy = workers.connected(_STRATEGY.value)
    with workers.one_line_if_lost(strategy):
        _train_and_evaluate(strategy)


def _train_and_evaluate(strategy: tf.distribute.Strategy) -> None:
    with workers.ending_together(strategy):
        preset, images = _preset_and_images()
        images = images or run.load_data(preset)
        _check_batch(preset, images, strategy)
    config = _config(preset, images)
    workers.check_same(strategy, config, {flag.name: flag.value for flag in _SHARED})
    with strategy.scope():
        # What all flows do, and not all have as an option.
        given = {} if _BACKPROP.value == "store" else {"backprop": _BACKPROP.value}
        distribution = run.build(preset, images, **given)
        model = _model(preset, images, distribution)
    folder, is_chief = run.output_dir(), training.is_chief(strategy)
    if is_chief:
        print(nvp.summary(distribution), flush=True)
        if model.dequantizer is not None:
            print(f"\nDequantisation:\n{nvp.summary(model.dequantizer)}", flush=True)
    with contextlib.ExitStack() as stack:
        with workers.ending_together(strategy):
            if is_chief:
                # A run that did not keep what its data were is taken at its word.
                known = presets.DEFAULTS | run.identity(images)
                stack.enter_context(training.open_run(folder, config, known))
        started = time.monotonic()
        _train(preset, model, images, folder, is_chief)
        print(f"Trained for {time.monotonic() - started:.0f} s")
        # The others wait, since workers that were done would not come back if the chief had to begin again.
        with workers.ending_together(strategy):
            if is_chief:
                _evaluate(preset, images, folder)
    training.leave_together(strategy)


def _evaluate(preset: presets.Preset, images: data.ImageData, folder: pathlib.Path) -> None:
    margin, what = results.write(preset, images, folder)
    if margin is not None:
        print(f"{margin:.3f} {what}")
    if _REQUIRE_MARGIN.value is not None and not (margin is not None and margin >= _REQUIRE_MARGIN.value):
        got = "no baseline to compare with" if margin is None else f"{margin:.3f}"
        raise run.UsageError(f"expected a margin of {_REQUIRE_MARGIN.value} {what.split()[0]}, got {got}")


def _describe(preset: presets.Preset) -> None:
    print(nvp.summary(run.build(preset)))
    if (dequantizer := preset.build_dequantizer()) is not None:
        print(f"\nDequantisation:\n{nvp.summary(dequantizer)}")


def _preset_and_images() -> tuple[presets.Preset, data.ImageData | None]:
    """The preset with what the flags override; another data set brings its own shape and levels."""
    given = {name: flag.value for name, flag in _OVERRIDES.items() if flag.value is not None}
    if "hidden_units" in given:
        try:
            given["hidden_units"] = tuple(int(size) for size in given["hidden_units"])
        except ValueError:
            sizes = given["hidden_units"]
            raise run.UsageError(f"expected --hidden_units to be sizes such as 256,256, got {sizes}") from None
    preset = presets.get(run.PRESET.value)
    if given.get("flow", preset.flow) != preset.flow:
        given.setdefault("scales", None)  # Of another flow they mean other things: its default.
    preset = dataclasses.replace(preset, **given)
    if data.is_table(run.DATASET.value or preset.dataset):
        if _CONDITIONAL.value:
            raise run.UsageError("expected an image set with labels for --conditional, got a table")
        if preset.dequantization != "uniform":
            raise run.UsageError("expected images for --dequantization=variational, got a table, which has no noise")
        if run.DATASET.value in (None, preset.dataset):
            return preset, None
        try:
            table = run.open_table(run.DATASET.value, init_from.before().get("columns"))
        except run.UsageError:
            if not (run.output_dir() / "config.json").exists():
                raise
            table = run.open_table(run.DATASET.value)  # `open_run` refuses other columns, and says what to do.
        given.setdefault("flip", False)
        return dataclasses.replace(preset, dataset=table.name, event_shape=table.shape, **given), table
    if run.DATASET.value in (None, preset.dataset) and not _CONDITIONAL.value:
        return preset, None
    images = run.open_images(run.DATASET.value or preset.dataset, labels=_CONDITIONAL.value)
    # Another set's mirror images may be none of it.
    flip = preset.flip if images.name == preset.dataset else given.get("flip", False)
    preset = dataclasses.replace(preset, classes=images.classes, flip=flip)
    return dataclasses.replace(preset, dataset=images.name, event_shape=images.shape, levels=images.levels), images


def _check_batch(preset: presets.Preset, images: data.ImageData, strategy: tf.distribute.Strategy) -> None:
    replicas, parts = strategy.num_replicas_in_sync, preset.accumulation_steps
    if preset.batch_size % (replicas * parts):
        raise run.UsageError(
            f"expected a batch_size that {replicas} devices times {parts} accumulation_steps divide, "
            f"got {preset.batch_size}"
        )
    try:
        _training_batches(preset, images, epoch=0, skip=0)
    except ValueError as error:
        raise run.UsageError(str(error)) from error


def _config(preset: presets.Preset, given: data.ImageData | data.VectorData) -> dict[str, Any]:
    """What makes a run: what it shares with its continuation, and where it came from."""
    settings = dataclasses.asdict(preset) | run.identity(given) | init_from.settings()
    free = {name: settings.pop(name) for name in ("epochs", "notes", "published_bits_per_dim", "published_nats")}
    return {
        "preset": run.PRESET.value,
        "model": {**settings, "seed": run.SEED.value},
        "epochs": free["epochs"],
        "strategy": _STRATEGY.value,
        "backprop": _BACKPROP.value,
        **machine.provenance(),
        **init_from.origin(),
    }


def _model(
    preset: presets.Preset, images: data.ImageData, distribution: nvp.FlowDistribution
) -> training.FlowModel:
    """The model, compiled."""
    dequantizer = preset.build_dequantizer()
    init_from.read_weights(images, distribution, dequantizer)  # Before the model takes its first average.
    model = training.FlowModel(
        distribution,
        levels=preset.levels,
        classes=preset.classes,
        dequantizer=dequantizer,
        l2=preset.l2,
        clip_norm=preset.clip_norm,
        average_decay=preset.ema,
        seed=run.SEED.value,
    )
    rate = preset.learning_rate
    if preset.schedule == "cosine":
        steps = preset.epochs * (images.num_examples("train") // preset.batch_size)
        warmup = dict(initial_learning_rate=0.0, warmup_target=rate, warmup_steps=preset.warmup_steps)
        rate = keras.optimizers.schedules.CosineDecay(
            decay_steps=max(steps - preset.warmup_steps, 1),
            **(warmup if preset.warmup_steps else dict(initial_learning_rate=rate)),
        )
    model.compile(training.Adam(rate), jit_compile=run.jit_compile())
    return model


def _train(
    preset: presets.Preset, model: training.FlowModel, images: data.ImageData, folder: pathlib.Path, is_chief: bool
) -> None:
    validation = images.evaluation_batches("validation", results.BATCH_SIZE)
    training.train(
        model,
        lambda epoch, skip: _training_batches(preset, images, epoch, skip),
        epochs=preset.epochs,
        validation_batches=validation,
        output_dir=folder,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        log_every=_LOG_EVERY.value,
        accumulation_steps=preset.accumulation_steps,
        max_skipped_steps=_MAX_SKIPPED_STEPS.value,
        callbacks=_callbacks(preset) + (_writing_callbacks(preset, validation, folder) if is_chief else []),
        verbose=_VERBOSE.value,
    )


def _callbacks(preset: presets.Preset) -> list[keras.callbacks.Callback]:
    """Those that steer, on every worker."""
    callbacks = []
    if preset.warmup_steps and preset.schedule != "cosine":
        callbacks.append(training.WarmUp(preset.learning_rate, preset.warmup_steps))
    if preset.schedule == "plateau":
        callbacks.append(keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=5))
    if _PATIENCE.value is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=_PATIENCE.value))
    return callbacks


def _writing_callbacks(
    preset: presets.Preset, validation: tf.data.Dataset, folder: pathlib.Path
) -> list[keras.callbacks.Callback]:
    seed = run.SEED.value
    tensorboard = keras.callbacks.TensorBoard(
        str(folder / "tensorboard"), write_graph=False, profile_batch=(10, 20) if _PROFILE.value else 0
    )
    if len(preset.event_shape) == 1:
        return [tensorboard]
    some = next(iter(results.images_alone(preset, validation)))[:16]
    some = nvp.dequantize(some, seed=(seed, 0), levels=preset.levels)
    return [
        tensorboard,
        evaluation.SampleGrid(
            folder / "tensorboard",
            some,
            levels=preset.levels,
            every=_SAMPLE_EVERY.value,
            seed=seed,
            **run.contexts(preset, 64),
        ),
    ]


def _training_batches(preset: presets.Preset, images: data.ImageData, epoch: int, skip: int) -> tf.data.Dataset:
    """The batches, or the parts of batches, of an epoch."""
    size = preset.batch_size // preset.accumulation_steps
    return images.training_batches(size, seed=run.SEED.value, epoch=epoch, flip=preset.flip, skip=skip)


if __name__ == "__main__":
    run.start(main)
