"""Opens a trained model: a run's best checkpoint, or an exported model."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

import tfp_realnvp as nvp
from launch import arguments, data_flags, run, terminal
from tfp_realnvp import data, evaluation, serving
from tfp_realnvp.columns import Columns
from tfp_realnvp.flows import Dequantizer, FlowDistribution

SAVED_MODEL = arguments.DEFINE_path(
    "saved_model",
    None,
    "An exported model, NAME/VERSION, or NAME for its highest version, instead of a run's folder; or a released model: "
    f"{', '.join(serving.released())}.",
)

# Number of images to choose examples from, since a set may have a million.
_EXAMPLES = 10_000
# Number of images decoded at a time, small enough for a moving progress bar.
DECODED = 25
# Number of images that get learned noise at a time.
_NOISED = 100


@dataclasses.dataclass(frozen=True)
class Source:
    """A trained model and its data.

    Attributes:
      distribution: the flow, with its weights.
      dataset: the name of the data, as in `--dataset`, or None if an export does not record it.
      dequantizer: the learned noise of integer images, or None for uniform noise.
      levels: number of levels of a pixel, or None for vectors.
      classes: number of classes of a conditional model, or None.
      files: identification of a folder of images or a table in training; None for other data.
      columns: names of the columns of vectors, in order, or None if the table had none.
      types: what the columns of a table are, where they are not all real numbers.
      class_names: names of the classes, in order, or None if they are not known.
      image_size: the side to which images were resized and cropped, or None.
      flatten_alpha: the background of transparent images, or None.
      shuffle_buffer: rows in the shuffle buffer in training, or None if the data were in memory.
      folder: folder for its pictures: `--output_dir`, the run's folder, or the working directory for an exported model.
    """

    distribution: FlowDistribution
    dequantizer: Dequantizer | None
    dataset: str | None
    levels: int | None
    classes: int | None
    files: str | None
    columns: tuple[str, ...] | None
    types: Columns | None
    class_names: tuple[str, ...] | None
    image_size: int | None
    flatten_alpha: str | None
    shuffle_buffer: int | None
    folder: pathlib.Path

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.distribution.event_shape.as_list())


class ImageModel(Source):
    """A trained model of images, whose pixels have levels."""

    levels: int


class TableModel(Source):
    """A trained model of a table whose columns are not all real numbers."""

    types: Columns


def open_model() -> Source:
    """The model that `--saved_model` or `--output_dir` names, an `ImageModel` or a `TableModel` if it is one."""
    if SAVED_MODEL.value is None:
        preset = run.trained_preset()
        dequantizer = preset.build_dequantizer()
        distribution = run.trained_distribution(preset, dequantizer)
        decided = dict(dataset=preset.dataset, levels=run.levels_of(preset), classes=preset.classes)
        return _model({**run.trained_config()["model"], **decided}, distribution, dequantizer, run.output_dir())
    if run.PRESET.present:
        raise run.UsageError("expected --preset with a run's --output_dir, got it with --saved_model")
    try:
        version = serving.version_path(SAVED_MODEL.value)
        about = serving.describe(version)
        print(f"Reading {version}", flush=True)
        distribution, dequantizer = serving.load(version), serving.load_dequantizer(version)
    except (FileNotFoundError, serving.ExportError) as error:
        raise run.UsageError(str(error)) from error
    if distribution.event_shape.rank == 3 and about["levels"] is None:
        raise run.UsageError(f"expected a model of pixels with levels, got a model of real-valued images in {version}")
    return _model(about, distribution, dequantizer, pathlib.Path(run.OUTPUT_DIR.value or "."))


def _model(
    about: Mapping[str, Any], distribution: FlowDistribution, dequantizer: Dequantizer | None, folder: pathlib.Path
) -> Source:
    given = {name: about.get(name) for name in ("dataset", "levels", "classes", "files", "columns", *data_flags.KEPT)}
    if (types := about.get("column_types")) is not None:
        return TableModel(distribution, dequantizer, **given, types=Columns.of_json(types), folder=folder)
    kind = ImageModel if distribution.event_shape.rank == 3 else Source
    return kind(distribution, dequantizer, **given, types=None, folder=folder)


def open_image_model() -> ImageModel:
    """The same, which must be a model of images."""
    model = open_model()
    if not isinstance(model, ImageModel):
        raise run.UsageError(f"expected a model of images, got a model of vectors of shape {model.shape}")
    return model


def open_data(source: Source, labels: bool | None = None) -> data.Events:
    """The model's own data, or `--dataset`, checked to fit its event shape.

    Args:
      source: the model.
      labels: whether to return events with labels; by default for conditional models only.
    """
    name = run.DATASET.value or source.dataset
    if name is None:
        raise run.UsageError(f"expected a --dataset, since {SAVED_MODEL.value} does not name its training data")
    classes = source.classes if labels is None or labels else None
    typing = None if source.types is None else data.Typing(columns=source.types)
    shape = source.shape if source.types is None else (source.types.size,)
    made = {name: getattr(source, name) for name in data_flags.KEPT}
    events = run.load_data(name, shape, source.levels, classes, source.columns, typing, **made)
    run.warn_of_other_files(events, source.dataset, source.files)
    return events


def some_examples(
    source: Source, split: str, count: int, label: str | int | None = None, *, at_most: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Images of a split, drawn with `--seed`, and their classes.

    Args:
      source: the model; without a conditional model all classes are -1.
      split: "train", "validation" or "test".
      count: number of images.
      label: the class of all images, for a conditional model; see `class_number`.
      at_most: whether to accept fewer images if the split has fewer.

    Returns:
      uint8 `[count, height, width, channels]` and integers `[count]`.
    """
    number = class_number(source, label)
    images = open_data(source)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    seen = 0
    for batch in images.evaluation_batches(split, 1000):
        part, classes = map(np.asarray, batch if source.classes is not None else (batch, np.full(len(batch), -1)))
        # A conditional model can only take images whose class is known.
        fit = classes == number if number is not None else (classes >= 0) | (source.classes is None)
        parts.append((part[fit], classes[fit]))
        seen += len(part)
        if seen >= _EXAMPLES and sum(len(labels) for _, labels in parts) >= count:
            break
    pixels, labels = map(np.concatenate, zip(*parts, strict=True))
    if len(pixels) < count and not at_most:
        of_label = "" if label is None else f" of label {label}"
        raise run.UsageError(f"expected {count} images{of_label} in {split}, found {len(pixels)} among {seen}")
    chosen = np.random.default_rng(run.SEED.value).choice(len(pixels), min(count, len(pixels)), replace=False)
    return pixels[chosen], labels[chosen]


def encode(source: Source, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The latents of integer images, with dequantisation noise from `--seed`."""
    return evaluation.encode(
        source.distribution, dequantized(source, pixels), one_hot(source, labels), jit_compile=run.jit_compile()
    )


def decode(
    source: Source,
    z: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int = DECODED,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """The events of latents; an unconditional model ignores the labels."""
    try:
        return evaluation.decode(
            source.distribution,
            z,
            one_hot(source, labels),
            batch_size=batch_size,
            jit_compile=run.jit_compile(),
            progress=progress,
        )
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        if z.shape[1:] == source.shape:
            raise
        height, width = z.shape[1:3]
        raise run.UsageError(
            f"expected latents whose height and width the flow can halve at each scale, got {height}x{width}"
        ) from error


def check_normal(source: Source, what: str) -> None:
    """Refuses a model whose latents are not standard normal, for what only makes sense if they are."""
    if not source.distribution.has_default_base:
        raise run.UsageError(f"expected a model of standard normal latents for {what}, got one with another base")


def class_number(source: Source, label: str | int | None) -> int | None:
    """The number of a class, from its name or the number; None of None."""
    if label is None:
        return None
    if source.classes is None:
        raise run.UsageError("expected a conditional model for --label")
    names = names_of_classes(source)
    if label in names:
        return names.index(label)
    if not str(label).isdecimal() or int(label) >= len(names):
        named = "" if all(map(str.isdecimal, names)) else f" or a name such as {', '.join(names[:3])}"
        raise run.UsageError(f"expected a label in 0 ... {len(names) - 1}{named}, got {label}")
    return int(label)


def names_of_classes(source: Source) -> list[str]:
    """The names of the classes of a conditional model, or their numbers."""
    return list(source.class_names or map(str, range(source.classes or 0)))


def labels_in_turn(source: Source, count: int, label: str | int | None, period: int | None = None) -> np.ndarray:
    """The requested class, or all classes in turn, restarting after each `period`."""
    number = class_number(source, label)
    if number is not None:
        return np.full(count, number)
    return np.arange(count) % (period or count) % (source.classes or 1)


def dequantized(source: Source, events: np.ndarray) -> np.ndarray:
    """Events for the flow: integer images with the model's noise, from `--seed`, vectors unchanged."""
    if source.levels is None:
        return events
    if source.dequantizer is not None:
        noise = source.dequantizer.latent_noise(events, seed=(run.SEED.value, 0))
        # Its networks take half a megabyte for an image of CIFAR-10, and this may be a whole split.
        parts = [slice(start, start + _NOISED) for start in range(0, max(len(events), 1), _NOISED)]
        found = [source.dequantizer.dequantize(tf.constant(events[part]), noise[part])[0] for part in parts]
        return np.concatenate(found)
    return nvp.dequantize(events, seed=(run.SEED.value, 0), levels=source.levels).numpy()


def flow_events(source: Source, events: np.ndarray, labels: np.ndarray) -> tuple[Any, Any]:
    """Events as the flow takes them, with the noise of `--seed`, and their context or None.

    Args:
      source: the model.
      events: events of its data.
      labels: their classes; not used by an unconditional model.
    """
    if source.types is None:
        return dequantized(source, events), one_hot(source, labels)
    rows = tf.constant(events)
    x, context, _ = source.types.dequantize(rows, source.types.noise(rows, seed=(run.SEED.value, 0)))
    return x, context


def one_hot(source: Source, labels: np.ndarray) -> np.ndarray | None:
    """The context of these classes; None for an unconditional model."""
    return None if source.classes is None else np.eye(source.classes, dtype=np.float32)[labels]


def progress(total: int, unit: str = "event") -> Callable[[int], None]:
    """A function to call with the number of finished events; it shows a bar after two seconds."""
    started = time.monotonic()
    bars: list[Any] = []

    def update(done: int) -> None:
        if not bars and time.monotonic() - started > 2 and done < total:
            bars.append(terminal.bar(total, unit))
        if bars:
            bars[0].update(done)

    return update


def variant(stem: str, suffix: str, *named: str) -> str:
    """A file name that includes the exported model and the program's own flags with non-default values.

    Args:
      stem: the start of the name.
      suffix: the end of the name.
      *named: flags that the stem already includes.
    """
    parts = [stem]
    if SAVED_MODEL.value is not None:
        parts += serving.version_path(SAVED_MODEL.value).absolute().parts[-2:]
    own = {flag.name: flag for flag in flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])}
    for name, flag in sorted({**own, "dataset": flags.FLAGS["dataset"], "seed": flags.FLAGS["seed"]}.items()):
        if name not in named and flag.value != flag.default:
            value = ",".join(map(str, flag.value)) if isinstance(flag.value, list) else str(flag.value)
            parts += [name, value.rpartition("/")[2]]
    return re.sub(r"[^\w.,+-]", "_", "-".join(parts)) + suffix


def wrote(path: pathlib.Path) -> None:
    print(f"Wrote {path}", flush=True)
