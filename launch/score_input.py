"""The rows or images that a program scores, batch by batch, with the id of each."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfp_realnvp import data, paths
from tfp_realnvp.data.image_errors import UnusableFileError
from tfp_realnvp.data.image_file import Decoder
from tfp_realnvp.serving import Fault, Scorer, Scores

TABLES = ("csv", "parquet", "arrow", "npz", "npy", "tfrecord")
# Rows of a table, and images, that are in memory at a time.
ROWS, IMAGES = 2**14, 256
# Stands for a whole number that a TFRecord lacks.
_NO_NUMBER = np.iinfo(np.int64).min
_NAMED = 10  # files that are left out
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class Batch:
    """Events to be scored.

    Attributes:
      ids: an id for each: numbers, or text.
      events: columns by name, or an array of images or vectors.
      start: number of events before the first one.
      label: what messages call the file.
      faults: what is already known to be wrong, by the number of the event in the batch.
      labels: class of each image, or None.
      table: the table that the columns are of, or None.
    """

    ids: np.ndarray
    events: Mapping[str, np.ndarray] | np.ndarray
    start: int
    label: str
    faults: Mapping[int, Fault] = dataclasses.field(default_factory=dict)
    labels: np.ndarray | None = None
    table: data.ColumnTable | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def scored(self, scorer: Scorer) -> Scores:
        if isinstance(self.events, np.ndarray):
            return scorer.score(self.events, self.faults, self.labels)
        return scorer.score_table(self.events, self.faults)

    def where(self, row: int, fault: Fault) -> str:
        """The place and the reason: "wine.csv, line 12, column 3 ('sugar'): expected a number, got 'x'"."""
        if self.table is not None and fault.column is not None:
            return f"{self.table.where(row, fault.column)}: {fault.reason}"
        name = self.ids[row] if self.ids.dtype == object else f"row {self.start + row}"
        return f"{self.label}, {name}: {fault}"


def named(source: str) -> str:
    """A file or a folder with its kind, as in `csv:PATH`; the name of a set as it is."""
    kind, _, path = source.partition(":")
    if kind in (*TABLES, "folder") and path:
        return source
    local = paths.local(source)
    if local.is_dir():
        return f"folder:{source}"
    kinds = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".npy": "npy", ".npz": "npz"}
    kinds |= {".tfrecord": "tfrecord", ".tfrecords": "tfrecord"}
    if local.exists() or "." in local.name:
        return f"{kinds.get(local.suffix.lower(), 'csv')}:{source}"
    return source


def tables(
    source: str,
    scorer: Scorer,
    *,
    header: str = "auto",
    id_column: str | None = None,
    on_error: str = "keep",
    rows: int = ROWS,
) -> Iterator[Batch]:
    """The rows of a table, in batches. Only the columns that the model needs are read.

    Args:
      source: of `data.stream_columns`, or `tfrecord:PATH`.
      scorer: which will score them.
      header: of a CSV file.
      id_column: column of the ids; by default they are the rows' numbers.
      on_error: of `data.stream_columns`.
      rows: of a batch.

    Raises:
      BadTableError: for a file that is no table, or lacks a column.
    """
    only = None if scorer.names is None else [*scorer.names, *filter(None, [id_column])]
    text = list(scorer.text)
    if id_column is not None and id_column not in (scorer.names or ()):
        text.append(id_column)
    kind, _, path = source.partition(":")
    if kind == "tfrecord":
        parts = _records(path, rows, only or (), text)
    else:
        parts = data.stream_columns(
            source, rows, header=header, names=scorer.names, text=text, only=only, on_error=on_error
        )
    for table in parts:
        columns = dict(table.columns)
        wanted = [*scorer.missing([*columns]), *([id_column] if id_column and id_column not in columns else [])]
        if wanted:
            raise data.BadTableError(f"{table.label}: expected a column {wanted[0]!r}, got none of this name")
        ids = np.arange(table.start, table.start + len(table))
        if id_column is not None:
            values = columns.pop(id_column) if id_column not in (scorer.names or ()) else columns[id_column]
            ids = values if values.dtype == object else np.array([_in_digits(value) for value in values], object)
        if scorer.names is None and len(columns) != scorer.shape[0]:
            raise data.BadTableError(f"{table.label}: expected {scorer.shape[0]} columns, got {len(columns)}")
        faults = {row: Fault(None, reason) for row, reason in table.faults.items()}
        yield Batch(ids, columns, table.start, table.label, faults, table=table)


def folder(path: str, shape: tuple[int, ...], decoder: Decoder) -> Iterator[Batch]:
    """The images in a folder and the folders in it, by name; their id is the path in the folder.

    Args:
      path: of the folder.
      shape: of each image.
      decoder: which makes the images as those of the model's training were made.
    """
    root = paths.local(path)
    if not root.is_dir():
        raise data.DataNotFoundError(f"there is no folder {root}")
    found = sorted(file for file in root.rglob("*") if file.is_file())
    files = [file for file in found if file.suffix.lower() in _IMAGE_SUFFIXES]
    if others := [str(file.relative_to(root)) for file in found if file.suffix.lower() not in _IMAGE_SUFFIXES]:
        named = ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
        expected = f"expected image files ({', '.join(_IMAGE_SUFFIXES)})"
        print(f"Warning: {expected}, left out {len(others):,} other(s): {named}", file=sys.stderr)
    if not files:
        raise data.BadImageError(f"{root}: expected image files ({', '.join(_IMAGE_SUFFIXES)}), got none")
    for start in range(0, len(files), IMAGES):
        part = files[start : start + IMAGES]
        images, faults = np.zeros([len(part), *shape], np.uint8), {}
        for i, file in enumerate(part):
            try:
                images[i] = _pixels(file, shape, decoder)
            except ValueError as error:
                faults[i] = Fault(None, str(error))
        yield Batch(np.array([str(file.relative_to(root)) for file in part], object), images, start, str(root), faults)


def arrays(path: str, scorer: Scorer) -> Iterator[Batch]:
    """The images of an array uint8 `[n, height, width(, channels)]` in an .npy file, which is read as it is needed."""
    file = paths.local(path)
    if not file.is_file():
        raise data.DataNotFoundError(f"there is no file {file}")
    try:
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise data.BadImageError(f"{file}: expected an array of NumPy, but NumPy says: {error}") from None
    images = images[..., np.newaxis] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.shape[1:] != scorer.shape:
        raise data.BadImageError(
            f"{file}: expected uint8 [n, {', '.join(map(str, scorer.shape))}], got {images.dtype} {[*images.shape]}"
        )
    for start in range(0, len(images), IMAGES):
        part = np.array(images[start : start + IMAGES])
        yield Batch(np.arange(start, start + len(part)), part, start, str(file))


def events(given: data.Events) -> Iterator[Batch]:
    """The events of a set, split by split; the id of one is its split and its number in it, such as `test/5`."""
    start = 0
    for split in ("train", "validation", "test"):
        of_split = 0
        for batch in given.evaluation_batches(split, IMAGES if given.levels is not None else ROWS):
            part, *labels = (np.asarray(tensor) for tensor in tf.nest.flatten(batch))
            ids = np.array([f"{split}/{of_split + i}" for i in range(len(part))], object)
            yield Batch(ids, part, start, given.name, labels=labels[0] if labels else None)
            start, of_split = start + len(part), of_split + len(part)


def _pixels(file: pathlib.Path, shape: tuple[int, ...], decoder: Decoder) -> np.ndarray:
    try:
        image = decoder.decode(file.read_bytes(), file.name)
    except (UnusableFileError, OSError) as error:
        raise ValueError(f"expected an image, got a file that is {error}") from None
    if image.shape[-1] == 1 and shape[-1] == 3:
        image = np.repeat(image, 3, axis=-1)
    if image.shape != shape:
        raise ValueError(f"expected pixels of shape {list(shape)}, got {[*image.shape]}")
    return image


def _in_digits(value: float) -> str:
    """A number with all its digits; one that is a float32 with the nine that tell it apart."""
    if value.is_integer():
        return f"{value:.0f}"
    return f"{value:.9g}" if value == np.float32(value) or math.isnan(value) else repr(float(value))


def _records(path: str, rows: int, wanted: Sequence[str], text: Sequence[str]) -> Iterator[data.ColumnTable]:
    """The rows of a TFRecord file of `tf.train.Example`s. Each feature has at most one value.

    An example need not have a feature whose value is missing. Whole numbers of the columns `text` become text: float64
    does not hold all digits of an id.
    """
    file = paths.local(path)
    if not file.is_file():
        raise data.DataNotFoundError(f"there is no file {file}")
    records = tf.data.TFRecordDataset(str(file), "GZIP" if file.suffix == ".gz" else "")
    specs, start = _specs(file, records, wanted), 0

    def place(row: int, name: str) -> str:
        return f"{file}, row {row}, column {name!r}"

    for batch in records.batch(rows):
        try:
            parsed = tf.io.parse_example(batch, specs)
            columns = {name: _column(part.numpy(), is_text=name in text) for name, part in parsed.items()}
        except tf.errors.InvalidArgumentError as error:
            raise data.BadTableError(
                f"{file}: expected examples like the first, but TensorFlow says: {error}"
            ) from None
        yield data.ColumnTable(columns, str(file), True, (), {}, start, place)
        start += len(batch)


def _specs(file: pathlib.Path, records: tf.data.Dataset, wanted: Sequence[str]) -> dict[str, tf.io.FixedLenFeature]:
    """What the features are: of the first example, and of later ones until all wanted features have been met."""
    kinds = {"float_list": (tf.float32, np.nan), "int64_list": (tf.int64, _NO_NUMBER), "bytes_list": (tf.string, "")}
    specs: dict[str, tf.io.FixedLenFeature] = {}
    is_empty = True
    for record in records.as_numpy_iterator():
        is_empty = False
        try:
            features = tf.train.Example.FromString(record).features.feature
        except Exception:
            raise data.BadTableError(f"{file}: expected records of tf.train.Example, got others") from None
        for name, feature in features.items():
            if name not in specs and (kind := feature.WhichOneof("kind")) is not None:
                dtype, default = kinds[kind]
                specs[name] = tf.io.FixedLenFeature([], dtype, default)
        if specs.keys() >= {*wanted}:
            break
    if is_empty:
        raise data.BadTableError(f"{file}: expected rows, got none")
    return specs


def _column(values: np.ndarray, *, is_text: bool) -> np.ndarray:
    if values.dtype == np.int64:
        if is_text:
            return np.array([None if value == _NO_NUMBER else str(value) for value in values.tolist()], object)
        return np.where(values == _NO_NUMBER, np.nan, values.astype(np.float64))
    if values.dtype == object:
        return np.array([value.decode("utf-8", "replace") or None for value in values], object)
    return values.astype(np.float64)
