"""What the programs share: the flags that name a model, its data and its folder."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import app, flags, logging

import tfp_realnvp as nvp
from launch import arguments, signals
from tfp_realnvp import data, paths, presets, storage, training
from tfp_realnvp.flows import Dequantizer, FlowDistribution

PRESET = flags.DEFINE_enum(
    "preset", "digits", presets.NAMES, "Data set, architecture and training recipe, see tfp_realnvp.presets."
)
DATASET = flags.DEFINE_string(
    "dataset",
    None,
    f"Data to use instead of the preset's: {', '.join(data.names())}, or any other TFDS image set by its name; "
    "folder:PATH, a folder of PNG files; or "
    f"vectors: csv:FILE, npz:FILE[:SET], npy:FILE, {', '.join(data.table_names())}.",
)
DATA_DIR = arguments.DEFINE_path(
    "data_dir",
    None,
    "Folder of prepared TFDS sets. By default TFDS's own; digits needs none.",
    paths.local_or_remote,
)
HEADER = flags.DEFINE_enum(
    "header",
    "auto",
    data.HEADERS,
    "Whether the first line of a csv: file names the columns. auto: if it has anything but numbers.",
)
OUTPUT_DIR = arguments.DEFINE_path(
    "output_dir", None, "The run's folder: settings, checkpoints, logs and pictures. By default runs/PRESET."
)
SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of every random draw: weights, order of the data, noise, samples.", lower_bound=0
)
JIT_COMPILE = flags.DEFINE_bool(
    "jit_compile", None, "Whether to compile with XLA. By default on accelerators only: on a CPU a graph is faster."
)


def jit_compile() -> bool:
    return training.compiles_by_default() if JIT_COMPILE.value is None else JIT_COMPILE.value


def command_line(argv: Sequence[str]) -> str:
    """A program's call as another would type it, without the folders of this machine."""
    with_values = re.compile(r"(?<![^\0])(--?(?:output_dir|data_dir|init_from|dataset))\0")  # --flag VALUE
    argv = with_values.sub(r"\1=", "\0".join(argv)).split("\0")
    flags = [re.sub("^--?data_dir=.*", "--data_dir=DIR", flag) for flag in argv[1:] if "output_dir=" not in flag]
    flags = [re.sub("^(--?init_from=)(?:.*/)?(.+?)/?$", r"\1\2", flag) for flag in flags]
    flags = [re.sub("^(--?dataset=(?:csv|npz|npy|folder):)(?:.*/)?(.+?/?)$", r"\1\2", flag) for flag in flags]
    return arguments.typed([argv[0], *flags])


class UsageError(ValueError):
    """What was asked for cannot be had, as a sentence for the one who asked."""


def output_dir() -> pathlib.Path:
    return pathlib.Path(OUTPUT_DIR.value or f"runs/{PRESET.value}")


def trained_config() -> dict[str, Any]:
    """What the run in `--output_dir` wrote of itself."""
    return training.read_config(output_dir())


def trained_preset() -> presets.Preset:
    """The settings of the run in `--output_dir`."""
    config = trained_config()
    if flags.FLAGS["preset"].present and config["preset"] != PRESET.value:
        raise UsageError(f"expected a run of preset {PRESET.value} in {output_dir()}, got one of {config['preset']}")
    return preset_of(config, output_dir())


def preset_of(config: Mapping[str, Any], folder: str | pathlib.Path) -> presets.Preset:
    """The settings in the config of a run in a folder."""
    try:
        presets.get(config["preset"])
        return presets.of_settings(config["model"])
    except ValueError as error:
        raise UsageError(f"expected a run's config.json in {folder}, got another: {error}") from error


def trained_distribution(preset: presets.Preset, dequantizer: Dequantizer | None = None) -> FlowDistribution:
    """The distribution of the run in `--output_dir`, with the weights of its best checkpoint.

    Args:
      preset: the settings of the run.
      dequantizer: of `preset.build_dequantizer()`, which gets its weights, too.
    """
    path = training.best_checkpoint(output_dir())
    distribution = build(preset)
    training.restore(distribution, path, dequantizer)
    print(f"Read {path}")
    return distribution


@functools.cache  # A folder is looked through once, though several parts of a program want it.
def open_images(name: str, labels: bool = False) -> data.ImageData:
    """The image set of that name, in `--data_dir`, with labels or without."""
    _check_header(name)
    if name.startswith("folder:"):
        print(f"Looking at every image of {name}", flush=True)
    try:
        images = data.load(name, DATA_DIR.value, labels=labels)
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(images.describe(), flush=True)
    return images


def open_table(name: str, columns: Sequence[str] | None = None) -> data.VectorData:
    """The vectors of that name, those of a published set in `--data_dir`; columns in the order of the given names."""
    _check_header(name)
    try:
        table = data.load_table(name, DATA_DIR.value, header=HEADER.value, columns=columns)
    except (ValueError, ModuleNotFoundError) as error:
        raise UsageError(str(error)) from error
    print(table.describe(), flush=True)
    return table


def _check_header(name: str) -> None:
    if HEADER.present and not name.startswith("csv:"):
        raise UsageError(f"expected a CSV file, --dataset=csv:FILE, for --header, got {name}")


def identity(given: data.ImageData | data.VectorData) -> dict[str, Any]:
    """What a config and an export keep of a folder or a table, whose name does not say what is in it."""
    if isinstance(given, data.ImageData):
        return {} if given.files is None else {"files": given.files}
    return {} if given.files is None else {"files": given.files, "columns": given.columns}


def build(
    preset: presets.Preset, given: data.ImageData | data.VectorData | None = None, **kwargs: Any
) -> FlowDistribution:
    """The preset's flow, untrained; keywords go to `Preset.build`.

    Args:
      preset: the settings.
      given: what it is to be trained on; vectors say how they are standardised.
      **kwargs: of the factory.
    """
    distribution = built(lambda: preset.build(**kwargs), f"{preset.flow}: ")
    if len(preset.event_shape) == 1:
        # Where a checkpoint is read next, it brings its own.
        size = preset.event_shape[0]
        mean, std = ([0.0] * size, [1.0] * size) if given is None else (given.mean, given.std)
        distribution = nvp.standardized(distribution, mean, std)
    return distribution


def built(build: Callable[[], Any], prefix: str = "") -> Any:
    """What a function builds of settings; what it refuses is a user's error."""
    try:
        return build()
    except ValueError as error:
        raise UsageError(f"{prefix}{error}") from error


def load_data(preset: presets.Preset, columns: Sequence[str] | None = None) -> data.ImageData | data.VectorData:
    """What the preset names, or `--dataset`, of the shape and with the columns that the model takes."""
    name = DATASET.value or preset.dataset
    if not data.is_table(name):
        return load_images(preset.dataset, preset.event_shape, preset.levels, preset.classes)
    table = open_table(name, columns)
    if table.shape != tuple(preset.event_shape):
        raise UsageError(f"expected vectors of shape {tuple(preset.event_shape)}, got {table.name} of {table.shape}")
    return table


def contexts(preset: presets.Preset, count: int) -> dict[str, tf.Tensor]:
    """What `sample` is given of a conditional flow: all classes in turn."""
    if preset.classes is None:
        return {}
    return {"context": tf.one_hot(tf.range(count) % preset.classes, preset.classes)}


def load_images(name: str, shape: Sequence[int], levels: int, classes: int | None = None) -> data.ImageData:
    """The images of that name, or those of `--dataset`, of the shape that the model takes; with classes, labelled."""
    images = open_images(DATASET.value or name, labels=classes is not None)
    if classes is not None and images.classes != classes:
        raise UsageError(f"expected labels of {classes} classes, got {images.name} of {images.classes}")
    if images.shape != tuple(shape) or images.levels != levels:
        raise UsageError(
            f"expected images of shape {tuple(shape)} and {levels} levels, got {images.name} of shape "
            f"{images.shape} and {images.levels} levels"
        )
    return images


def warn_of_other_files(given: data.ImageData | data.VectorData, name: str | None, files: str | None) -> None:
    """Warns where a folder or a table has changed since training.

    Args:
      given: the data.
      name: of the data in training; of another set there is nothing to say.
      files: what the data were in training; None of a run that did not keep it.
    """
    if given.name == name and files is not None and given.files != files:
        print(
            f"Warning: {name} has changed since training, from {files} to {given.files}: what the model was trained on "
            "may be in its test split",
            file=sys.stderr,
        )


def start(main: Callable[[], None]) -> None:
    """Runs a program: parses flags, seeds everything, and reports a user's errors and signals in one line."""

    def checked(argv: Sequence[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # TensorFlow tells of every file it writes.
        keras.utils.set_random_seed(SEED.value)
        try:
            main()
        except training.InterruptedTraining as interruption:
            with contextlib.suppress(OSError):  # The terminal may be closed.
                print(f"{interruption}; to go on: {arguments.typed(sys.argv)}", file=sys.stderr)
            sys.exit(128 + interruption.signal)
        except (UsageError, training.CheckpointError, data.DataNotFoundError, training.NonFiniteError) as error:
            logging.debug("The error's origin:", exc_info=True)
            sys.exit(f"error: {error}")
        except (OSError, tf.errors.OpError) as error:
            if (failure := storage.failure(error)) is None:
                raise
            logging.debug("The error's origin:", exc_info=True)
            sys.exit(f"error: {failure}")

    signals.heed()
    try:
        app.run(checked, flags_parser=arguments.parse)
    finally:
        signals.leave_to_system()
