"""Draw images or vectors from a trained model.

    python -m launch.sample --output_dir=runs/digits --count=100 --seed=1
    python -m launch.sample --output_dir=runs/pets --label=cat
    python -m launch.sample --saved_model=mnist --temperature=0.5,0.7,0.85,1
    python -m launch.sample --saved_model=mnist --neighbours=3 --data_dir=DIR
    python -m launch.sample --saved_model=mnist --latents=FILE.npz

Writes samples-SEED.png, or .csv for vectors, into the run's folder. The name also includes an exported model and all
flags with non-default values, as in samples-0-mnist-1-label-3.png. The same seed and batch size draw the same images.

With several temperatures, each row shows the same draws scaled by one temperature. With --neighbours, the nearest
training images are shown below each sample, to reveal memorised images. --latents is a file with an array `latents` [n,
height, width, channels] to decode instead of draws, as written by `encode`; a conditional model decodes them with the
array `labels` beside it, unless --label names another class.
"""

from __future__ import annotations

import pathlib
import zipfile

import numpy as np
from absl import flags

from launch import arguments, pictures, run, source, tables
from tfp_realnvp import data, evaluation

_COUNT = flags.DEFINE_integer(
    "count", None, "Number of images; by default 100, or 10 per row with several temperatures or neighbours.", 1
)
_COLUMNS = flags.DEFINE_integer(
    "columns", None, "Number of images per row; by default the picture is about square.", lower_bound=1
)
_LABEL = arguments.DEFINE_label("Class of the images, of a model trained with --conditional; by default all in turn.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Number of images per batch.", lower_bound=1)
_TEMPERATURE = flags.DEFINE_list("temperature", ["1"], "Scales of the latents, such as 0.5,0.7,1: one row each.")
_NEIGHBOURS = flags.DEFINE_integer(
    "neighbours", 0, "Number of training images below each sample, the nearest in pixels first.", lower_bound=0
)
_GIVEN = arguments.DEFINE_path(
    "given",
    None,
    "A CSV file with the columns that a table's samples are conditioned on: a sample for each row, --count times. Of a "
    "model trained with --missing=keep, any of its columns; others and missing values are drawn.",
)
_LATENTS = arguments.DEFINE_path("latents", None, "An .npz or .npy file of latents to decode instead of draws.")


def main() -> None:
    temperatures = _temperatures()
    model = source.open_model()
    if temperatures != [1]:
        source.check_normal(model, "--temperature")
    if isinstance(model, source.TableModel):
        _sample_table(model, temperatures)
        return
    if _GIVEN.value is not None:
        raise run.UsageError("expected a model of a table with a context or --missing=keep for --given, got another")
    in_rows, is_table = len(temperatures) > 1 or _NEIGHBOURS.value > 0, model.levels is None
    if in_rows and is_table:
        raise run.UsageError(f"expected a model of images for rows, got a model of vectors of shape {model.shape}")
    if len(temperatures) > 1 and _NEIGHBOURS.value:
        raise run.UsageError("expected several temperatures or --neighbours, got both")
    if _COLUMNS.value is not None and (in_rows or is_table):
        raise run.UsageError("expected one temperature and no neighbours for --columns")
    training = _training_images(model) if _NEIGHBOURS.value else None
    count, file = _COUNT.value or (10 if in_rows else 100), _LATENTS.value
    suffix, inputs = ".csv" if is_table else ".png", [file and f"npz:{file}"]
    path = pictures.path(model, f"samples-{run.SEED.value}", suffix, "seed", inputs=inputs)
    z = _draws(model, count) if file is None else _given(model, pathlib.Path(file))
    labels = None if file is None or _LABEL.value is not None else _given_labels(model, pathlib.Path(file))
    everything = np.concatenate([temperature * z for temperature in temperatures])
    if labels is None:
        labels = source.labels_in_turn(model, len(z), _LABEL.value, period=_BATCH_SIZE.value)
    decoded = source.decode(
        model,
        everything,
        np.tile(labels, len(temperatures)),
        batch_size=_BATCH_SIZE.value if is_table else min(_BATCH_SIZE.value, source.DECODED),
        progress=source.progress(len(everything)),
    )
    samples = np.split(decoded, len(temperatures))
    if not isinstance(model, source.ImageModel):
        data.write_csv(path, samples[0], model.columns)
        source.wrote(path)
        return
    if in_rows:
        names = [f"T = {temperature:g}" for temperature in temperatures]
        if training is not None:
            samples, names = _with_neighbours(model.levels, samples[0], training)
        evaluation.save_picture(path, evaluation.labelled_grid(samples, names, levels=model.levels))
    else:
        evaluation.save_image_grid(path, samples[0], _COLUMNS.value, levels=model.levels)
    source.wrote(path)


def _sample_table(model: source.TableModel, temperatures: list[float]) -> None:
    """Draws rows of columns of several types."""
    if len(temperatures) > 1 or _NEIGHBOURS.value or _LATENTS.value is not None:
        raise run.UsageError("expected one temperature, no --neighbours and no --latents for a table's samples")
    if _LABEL.value is not None or _COLUMNS.value is not None:
        raise run.UsageError("expected no --label and no --columns for a table's samples, got one")
    columns = model.types
    count = _COUNT.value or (1 if _GIVEN.value is not None else 100)
    given: dict[str, np.ndarray] = {}
    wanted = _GIVEN.value and tables.table_name(_GIVEN.value)
    path = pictures.path(model, f"samples-{run.SEED.value}", ".csv", "seed", inputs=[wanted])
    if _GIVEN.value is not None:
        rows, given = tables.given_rows(model, _GIVEN.value)
        rows = np.repeat(rows, count, axis=0)
        given = {name: np.repeat(values, count) for name, values in given.items()}
    elif columns.context:
        raise run.UsageError(f"expected --given=FILE with {', '.join(c.name for c in columns.context)}, got none")
    else:
        rows = np.full([count, columns.size], np.nan, np.float32)
    z = temperatures[0] * _draws(model, len(rows))
    drawn = tables.completed(model, rows, z, _BATCH_SIZE.value)
    data.write_columns(path, tables.decoded(model, drawn, given))
    source.wrote(path)


def _temperatures() -> list[float]:
    try:
        temperatures = [float(temperature) for temperature in _TEMPERATURE.value]
    except ValueError:
        temperatures = []
    # The comparison is false for NaN, too.
    if not temperatures or not all(0 <= temperature < np.inf for temperature in temperatures):
        given = ",".join(_TEMPERATURE.value)
        raise run.UsageError(f"expected --temperature to be numbers of at least 0 such as 0.7,1, got {given}")
    return temperatures


def _draws(model: source.Source, count: int) -> np.ndarray:
    """Latents in batches, each with its own seed."""
    size = _BATCH_SIZE.value
    batches = -(-count // size)
    parts = [
        evaluation.draw_latents(model.distribution, size, seed=(run.SEED.value, batch)) for batch in range(batches)
    ]
    return np.concatenate(parts)[:count]


def _given(model: source.Source, path: pathlib.Path) -> np.ndarray:
    """The latents in `--latents`, of the model's shape or with another height and width."""
    try:
        (latents,) = data.read_arrays(path, "latents").values()
    except FileNotFoundError:
        raise run.UsageError(f"expected a file of latents, found none at {path}") from None
    except (OSError, ValueError) as error:
        raise run.UsageError(f"expected an .npz file with an array `latents`, got {error}") from error
    shape = model.shape
    fits = latents.ndim == len(shape) + 1 and latents.shape[-1] == shape[-1] and len(latents) > 0
    if not fits or not np.issubdtype(latents.dtype, np.floating) or not np.all(np.isfinite(latents)):
        raise run.UsageError(
            f"expected finite latents [n, {', '.join(map(str, shape))}], got {latents.dtype} {list(latents.shape)}"
        )
    if _NEIGHBOURS.value and latents.shape[1:] != shape:
        raise run.UsageError(f"expected latents of shape {shape} for --neighbours, got {latents.shape[1:]}")
    return latents[: _COUNT.value]


def _given_labels(model: source.Source, path: pathlib.Path) -> np.ndarray | None:
    """The labels of the latents in `--latents`, as many as are decoded; None without any."""
    if model.classes is None or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        if "labels.npy" not in archive.namelist():
            return None
    (latents,), (labels,) = (data.read_arrays(path, name).values() for name in ("latents", "labels"))
    is_whole = labels.shape == latents.shape[:1] and labels.dtype.kind in "iu"
    if not is_whole or not np.all((labels >= 0) & (labels < model.classes)):
        raise run.UsageError(
            f"expected {len(latents)} labels in 0 ... {model.classes - 1}, got {labels.dtype} {list(labels.shape)}"
        )
    return labels[: _COUNT.value]


def _training_images(model: source.Source) -> data.Events:
    images = source.open_data(model, labels=False)
    if _NEIGHBOURS.value > (count := images.num_examples("train")):
        raise run.UsageError(f"expected at most {count} --neighbours, the training images, got {_NEIGHBOURS.value}")
    return images


def _with_neighbours(levels: int, samples: np.ndarray, images: data.Events) -> tuple[list[np.ndarray], list[str]]:
    """Rows: the samples, the nearest training image of each, the second nearest, ..."""
    rounded = np.clip(np.floor(samples), 0, levels - 1)
    found, _ = evaluation.nearest_images(
        rounded,
        images.evaluation_batches("train", 1000),
        _NEIGHBOURS.value,
        progress=source.progress(images.num_examples("train")),
    )
    names = ["samples", *(f"neighbour {i + 1}" for i in range(_NEIGHBOURS.value))]
    return [samples, *found.swapaxes(0, 1)], names


if __name__ == "__main__":
    run.start(main)
