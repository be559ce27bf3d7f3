"""Flags and functions that the programs share: model, data and folder."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import tfp_realnvp as nvp
from launch import arguments, data_flags, signals, terminal
from tfp_realnvp import data, extras, paths, presets, storage, training
from tfp_realnvp.flows import Dequantizer, FlowDistribution

PRESET = flags.DEFINE_enum(
    "preset", "digits", presets.NAMES, "Data set, architecture and training recipe, see tfp_realnvp.presets."
)
DATASET = flags.DEFINE_string(
    "dataset",
    None,
    f"Data to use instead of the preset's: {', '.join(data.names())}, or any other TFDS image set by name; "
    "folder:PATH, a folder of image files; npz:FILE[:NAME], npy:FILE, uint8 arrays [n, height, width(, channels)]; or "
    f"vectors: csv:FILE, parquet:FILES, arrow:FILES, npz:FILE[:SET], npy:FILE, {', '.join(data.table_names())}.",
)
DATA_DIR = arguments.DEFINE_path(
    "data_dir",
    None,
    "Folder of prepared TFDS sets; by default TFDS's own. digits needs none.",
    paths.local_or_remote,
)
HEADER = flags.DEFINE_enum(
    "header",
    "auto",
    data.HEADERS,
    "Whether the first line of a csv: file is a header. auto: if it contains anything but numbers.",
)
OUTPUT_DIR = arguments.DEFINE_path(
    "output_dir", None, "Folder of the run, for settings, checkpoints, logs and pictures. By default runs/PRESET."
)
SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of all random draws: weights, order of the data, noise, samples.", lower_bound=0
)
JIT_COMPILE = flags.DEFINE_bool(
    "jit_compile",
    None,
    "Whether to compile with XLA. By default only on accelerators, since a graph is faster on a CPU.",
)


def jit_compile() -> bool:
    return training.compiles_by_default() if JIT_COMPILE.value is None else JIT_COMPILE.value


def command_line(argv: Sequence[str]) -> str:
    """A program's call for another user, without this machine's folders."""
    with_values = re.compile(r"(?<![^\0])(--?(?:output_dir|data_dir|init_from|dataset))\0")  # --flag VALUE
    argv = with_values.sub(r"\1=", "\0".join(argv)).split("\0")
    flags = [re.sub("^--?data_dir=.*", "--data_dir=DIR", flag) for flag in argv[1:] if "output_dir=" not in flag]
    flags = [re.sub("^(--?init_from=)(?:.*/)?(.+?)/?$", r"\1\2", flag) for flag in flags]
    flags = [re.sub("^(--?dataset=)(.*)", lambda found: found[1] + without_folder(found[2]), flag) for flag in flags]
    return arguments.typed([argv[0], *flags])


def without_folder(dataset: str) -> str:
    """The name of a data set without the folder that its file or folder is in."""
    return re.sub("^((?:csv|parquet|arrow|npz|npy|folder):)(?:.*/)?(.+?/?)$", r"\1\2", dataset)


class UsageError(ValueError):
    """A user's error, as one sentence. The exit status is 2."""


class FailedError(RuntimeError):
    """What was asked for did not come about, as a sentence for the one who asked. The exit status is 1."""


def output_dir() -> pathlib.Path:
    return pathlib.Path(OUTPUT_DIR.value or f"runs/{PRESET.value}")


def trained_config() -> dict[str, Any]:
    """The config of the run in `--output_dir`."""
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
        raise UsageError(f"expected a run's config.json in {folder}, got another file: {error}") from error


def trained_distribution(preset: presets.Preset, dequantizer: Dequantizer | None = None) -> FlowDistribution:
    """The distribution of the run in `--output_dir` with the weights of its best checkpoint.

    Args:
      preset: the settings of the run.
      dequantizer: the result of `preset.build_dequantizer()`, which also gets its weights.
    """
    path = training.best_checkpoint(output_dir())
    distribution = build(preset)
    training.restore(distribution, path, dequantizer)
    print(f"Read {path}")
    return distribution


@functools.cache  # Reads a folder or a file only once per program.
def open_data(
    name: str,
    labels: bool | tuple[str, ...] = False,
    columns: tuple[str, ...] | None = None,
    typing: data.Typing | None = None,
    image_size: int | None = None,
    flatten_alpha: str | None = None,
    shuffle_buffer: int | None = None,
) -> data.Events:
    """The data of that name, from `--data_dir`: images, with or without labels; vectors, with columns in that order.

    The flags of `data_flags` override the last three arguments, which are those of a trained model.
    """
    if HEADER.present and not name.startswith("csv:"):
        raise UsageError(f"expected a CSV file, --dataset=csv:FILE, for --header, got {name}")
    if name.startswith("folder:"):
        print(f"Reading every image of {name}", flush=True)
    else:
        flatten_alpha = None  # Only the files of a folder may be transparent.
    if not name.startswith(("csv:", "parquet:", "arrow:")):
        shuffle_buffer = None  # Only these can be streamed.
    try:
        events = data.load(
            name,
            DATA_DIR.value,
            image_size=data_flags.IMAGE_SIZE.value or image_size,
            flatten_alpha=data_flags.FLATTEN_ALPHA.value or flatten_alpha,
            shuffle_buffer=data_flags.SHUFFLE_BUFFER.value or shuffle_buffer,
            labels=labels,
            header=HEADER.value,
            columns=columns,
            typing=typing,
        )
    except (ValueError, ModuleNotFoundError) as error:
        raise UsageError(str(error)) from error
    terminal.show(events.describe())
    return events


def identity(given: data.Events) -> dict[str, Any]:
    """The identification of data in a config or export, and how they were read."""
    kept = {name: getattr(given, name) for name in data_flags.KEPT if getattr(given, name) is not None}
    return kept if given.files is None else {"files": given.files, "columns": given.columns, **kept}


def typing_of(preset: presets.Preset) -> data.Typing | None:
    """How a trained model reads a table: as it was in training; None where all columns were real numbers."""
    return None if preset.columns is None else data.Typing(columns=preset.columns)


def build(preset: presets.Preset, given: data.Events | None = None, **kwargs: Any) -> FlowDistribution:
    """The preset's flow, untrained; keywords go to `Preset.build`.

    Args:
      preset: the settings.
      given: the training data, which determine the standardisation of vectors.
      **kwargs: passed to the factory.
    """
    distribution = built(lambda: preset.build(**kwargs), f"{preset.flow}: ")
    if len(preset.event_shape) == 1 and preset.column_types is None:
        # A checkpoint that is read next has its own standardisation.
        size = preset.event_shape[0]
        mean, std = np.zeros(size), np.ones(size)
        if given is not None and given.mean is not None and given.std is not None:
            mean, std = given.mean, given.std
        distribution = nvp.standardized(distribution, mean, std)
    return distribution


def built(build: Callable[[], Any], prefix: str = "") -> Any:
    """Calls a function that builds from settings; its `ValueError` becomes a user's error."""
    try:
        return build()
    except ValueError as error:
        raise UsageError(f"{prefix}{error}") from error


def levels_of(preset: presets.Preset) -> int | None:
    """The levels of a preset's pixels; None for vectors."""
    return preset.levels if len(preset.event_shape) == 3 else None


def load_data(
    name: str,
    shape: Sequence[int],
    levels: int | None,
    classes: int | None,
    columns: Sequence[str] | None = None,
    typing: data.Typing | None = None,
    *,
    class_names: Sequence[str] | None = None,
    **made: Any,
) -> data.Events:
    """The data of that name, or of `--dataset`, checked to fit the model.

    Args:
      name: name of the model's own data.
      shape: event shape.
      levels: number of levels of a pixel; None for vectors.
      classes: the number of classes, for events with labels; None without.
      columns: names of the columns of vectors, in order, if the model has them.
      typing: what the columns are, where the model knows it.
      class_names: names of the classes, in order, where the model knows them.
      **made: the last three arguments of `open_data`.
    """
    labels = classes is not None and (class_names is None or tuple(class_names))
    events = open_data(DATASET.value or name, labels, columns and tuple(columns), typing, **made)
    if events.classes != classes:
        raise UsageError(f"expected labels of {classes} classes, got {events.name} of {events.classes}")
    if (events.shape, events.levels) != (tuple(shape), levels):
        expected, got = _kind(tuple(shape), levels), _kind(events.shape, events.levels)
        raise UsageError(f"expected {expected}, got {events.name}: {got}")
    return events


def _kind(shape: tuple[int, ...], levels: int | None) -> str:
    return f"vectors of shape {shape}" if levels is None else f"images of shape {shape} and {levels} levels"


def contexts(preset: presets.Preset, count: int) -> dict[str, tf.Tensor]:
    """The arguments to `sample` from a conditional flow: all classes in turn."""
    if preset.classes is None:
        return {}
    return {"context": tf.one_hot(tf.range(count) % preset.classes, preset.classes)}


def warn_of_other_files(given: data.Events, name: str | None, files: str | None) -> None:
    """Warns if a folder or a table has changed since training.

    Args:
      given: the data.
      name: name of the training data; other data are not compared.
      files: identification of the data in training; None for a run that did not store it.
    """
    if given.name == name and files is not None and given.files != files:
        print(
            f"Warning: {name} has changed since training, from {files} to {given.files}: training data "
            "may be in the test split",
            file=sys.stderr,
        )


def start(main: Callable[[], None]) -> None:
    """Runs a program: parses flags, seeds everything, and reports a user's errors and signals in one line."""

    def checked(argv: Sequence[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # TensorFlow logs every file it writes.
        keras.utils.set_random_seed(SEED.value)
        try:
            main()
        except training.InterruptedTraining as interruption:
            with contextlib.suppress(OSError):  # The terminal may be closed.
                print(f"{interruption}; to resume: {arguments.typed(sys.argv)}", file=sys.stderr)
            sys.exit(128 + interruption.signal)
        except (UsageError, data.DataNotFoundError, data.BadImageError, data.BadTableError) as error:
            logging.debug("The error's origin:", exc_info=True)
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except (FailedError, training.CheckpointError, training.NonFiniteError, extras.MissingExtraError) as error:
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
