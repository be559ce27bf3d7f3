"""Scores batches of rows or images, a bad row with its reason."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_realnvp import novelty as novelty_room
from tfp_realnvp.columns import Column, ColumnError, Columns, Real
from tfp_realnvp.columns.columns import by_name, check_lengths
from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.novelty.gradient import log_prob_and_gradient_norm
from tfp_realnvp.serving.description import describe
from tfp_realnvp.serving.load import load, load_dequantizer, version_path
from tfp_realnvp.serving.row_noise import dequantize_rows, noise_of_rows
from tfp_realnvp.serving.settings import Settings


class Fault(NamedTuple):
    """Why an event has no score.

    Attributes:
      column: the name of the column whose value is wrong; None where it is not one value.
      reason: what was expected and what came.
    """

    column: str | None
    reason: str

    def __str__(self) -> str:
        return self.reason if self.column is None else f"column {self.column!r}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of n events.

    Attributes:
      log_prob: float64 `[n]`, nats; NaN where there is none.
      latents: float32 `[n, entries]`, or None.
      faults: the reason why an event has no score, by its number from 0.
      novelty: statistics by the names of `tfp_realnvp.novelty.TAILS`, `[n]`; NaN where there is no score.
    """

    log_prob: np.ndarray
    latents: np.ndarray | None
    faults: Mapping[int, Fault]
    novelty: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Scorer:
    """Log-densities of rows of a table, or of integer images, batch by batch.

        log p(x)                                              exact columns, vectors
        log (1/K) sum_k p(v_k) / q(v_k | x),  v_k ~ q(. | x)  bounds: images, and columns that need noise

    The noise is a function of the event alone, as in the signatures of an export. So is the score: neither the other
    events nor their number change it.

    Args:
      distribution: a flow, trained or loaded.
      columns: column types of a table; None for vectors and images.
      names: names of the columns of vectors, in the order of an event; None for images.
      levels: number of levels of a pixel; None for tables and vectors.
      dequantizer: the learned noise of images; None for uniform noise.
      classes: number of classes of a conditional model of images.
      noise_seed: the setting of an export, see `tfp_realnvp.serving.Settings`.
      importance_samples: K. The first is the noise of the signatures.
      latents: whether to return latents, of the first noise sample.
      novelty: names of the statistics of `tfp_realnvp.novelty.TAILS` to compute, with one noise sample. "complexity" is
        of images; "gradient" costs a backward pass, and is with respect to the flow's own event: dequantised pixels, or
        the entries of encoded rows.
      codec: the codec of "complexity".
      batch_size: number of events that the model sees at a time.
      jit_compile: whether to compile with XLA.

    Raises:
      ValueError: for an unknown statistic, "complexity" for events that are not images, statistics with more than one
        noise sample, no noise sample or event at a time, a noise seed of more than 32 bits, or columns with levels,
        classes or a flow of another shape.

    ```python
    scorer = Scorer(nvp.load("digits"), levels=17)
    images = np.stack([*data.load("digits").examples("test").take(3)])
    scorer.score(images).log_prob  # [3]
    ```
    """

    def __init__(
        self,
        distribution: FlowDistribution,
        *,
        columns: Columns | None = None,
        names: Sequence[str] | None = None,
        levels: int | None = None,
        dequantizer: Dequantizer | None = None,
        classes: int | None = None,
        noise_seed: int = 0,
        importance_samples: int = 1,
        latents: bool = False,
        novelty: Sequence[str] = (),
        codec: str = "png",
        batch_size: int = 4096,
        jit_compile: bool = False,
    ):
        if importance_samples < 1 or batch_size < 1:
            raise ValueError(
                f"expected importance_samples and a batch_size of 1 or more, got {importance_samples} and {batch_size}"
            )
        if columns is not None:
            columns.check_flow(distribution, classes)
            if levels is not None:
                raise ValueError(f"expected columns of a table or levels of a pixel, got both, {levels} levels")
        # A weight does not change a density.
        self.columns = None if columns is None else dataclasses.replace(columns, weight=None)
        self.names = tuple(names) if names is not None else None if self.columns is None else self.columns.names
        self.shape = tuple(distribution.event_shape.as_list())
        self.levels, self.classes = levels, classes
        self.is_exact = levels is None and (columns is None or columns.is_exact)
        self._distribution, self._dequantizer = distribution, dequantizer
        if dequantizer is not None:
            dequantizer.check_flow(distribution, levels)
        self._samples, self._batch_size = importance_samples, batch_size
        self._seed, self._has_latents = Settings(noise_seed=noise_seed).noise_seed, latents
        self.novelty, self.codec = self._checked(novelty), codec
        example = self._example()
        event = tf.TensorSpec([batch_size, *example.shape], tf.as_dtype(example.dtype))
        condition = [] if classes is None else [tf.TensorSpec([batch_size], tf.int32)]
        self._dequantize = tf.function(
            self._dequantized, input_signature=[event, tf.TensorSpec([], tf.int32), *condition], autograph=False
        )
        # XLA has no kernel for the hash that the noise is made of.
        self._densities = tf.function(self._densities_of, jit_compile=jit_compile, autograph=False)

    @classmethod
    def of_export(cls, path: str | os.PathLike[str], **options: object) -> "Scorer":
        """The scorer of an export; `options` are the arguments from `importance_samples` on.

        Raises:
          FileNotFoundError: if there is no export.
          ExportError: if it is damaged.
        """
        version = version_path(path)
        about = describe(version)
        types = about.get("column_types")
        return cls(
            load(version),
            columns=None if types is None else Columns.of_json(types),
            names=about.get("columns") if types is None else None,
            levels=about["levels"],
            dequantizer=load_dequantizer(version),
            classes=about["classes"],
            noise_seed=about.get("noise_seed", 0),
            **options,  # type: ignore[arg-type]
        )

    @property
    def text(self) -> tuple[str, ...]:
        """Names of columns that are text, though they may look like numbers."""
        return () if self.columns is None else self.columns.text

    def missing(self, names: Sequence[str]) -> list[str]:
        """Columns that a table of these names lacks; a model of rows with missing values needs its context's only."""
        if self.columns is not None and self.columns.is_partial:
            return [column.name for column in self.columns.context if column.name not in names]
        return [name for name in self.names or () if name not in names]

    def score_table(self, table: Mapping[str, np.ndarray], faults: Mapping[int, Fault] | None = None) -> Scores:
        """Scores the rows of a table by its columns: numbers, NaN where missing, or text, None where missing.

        Args:
          table: columns by name. Other names than the model's are ignored, if the model knows names.
          faults: what is already known to be wrong with a row, by its number from 0.

        Raises:
          ValueError: for columns of different lengths or of the same name, or another number of columns of vectors.
        """
        table = {name: np.asarray(values) for name, values in by_name(table).items()}
        count = check_lengths(table)
        found = dict(faults or {})
        if self.columns is None:
            names = self.names or tuple(table)
            if len(names) != self.shape[0]:
                raise ValueError(f"expected {self.shape[0]} columns, got {len(names)}: {', '.join(names)}")
            encoded = [_encoded(Real(name, 0.0, 1.0), table[name], found) for name in names]
        else:
            nothing = np.full(count, np.nan)
            both = (*self.columns.columns, *self.columns.context)
            encoded = [_encoded(column, table.get(column.name, nothing), found) for column in both]
            names = self.columns.names
        rows = np.stack(encoded, -1).astype(np.float32)
        if self.columns is None or not self.columns.is_partial:
            for row, place in np.argwhere(np.isnan(rows)).tolist():
                found.setdefault(row, Fault(names[place], "expected a value, got none"))
        else:
            for row in np.flatnonzero(np.all(np.isnan(rows[:, : len(self.columns.columns)]), axis=1)).tolist():
                found.setdefault(row, Fault(None, "expected a value in some column, got none"))
        return self.score(rows, found)

    def score(
        self, events: np.ndarray, faults: Mapping[int, Fault] | None = None, labels: np.ndarray | None = None
    ) -> Scores:
        """Scores encoded rows `[n, size]`, or integer images `[n, height, width, channels]`.

        Args:
          events: rows of numbers, which are rounded to float32, or uint8 images.
          faults: events that have no score, and why; what `events` has in their place is ignored.
          labels: class of each image, for a conditional model.

        Raises:
          TypeError: for events or labels of another dtype.
          ValueError: for another shape, without labels for a conditional model, or with labels for another.
        """
        found, events = dict(faults or {}), self._checked_events(events)
        labels = self._checked_labels(labels, len(events), found)
        if self.levels is not None:
            highest = events.reshape([len(events), math.prod(self.shape)]).max(-1, initial=0)
            for row in np.flatnonzero(highest >= self.levels).tolist():
                found.setdefault(row, Fault(None, f"expected pixels in 0 ... {self.levels - 1}, got {highest[row]}"))
        if found:
            events = events.copy()
            events[list(found)] = self._example()
        given = [events] if labels is None else [events, labels]
        starts = range(0, len(events), self._batch_size)
        parts = [self._of_part(*(part[i : i + self._batch_size] for part in given)) for i in starts]
        log_prob = np.concatenate([np.zeros(0), *(part["log_prob"] for part in parts)])
        latents = np.concatenate([part["latents"] for part in parts]) if self._has_latents and parts else None
        for row in np.flatnonzero(~np.isfinite(log_prob)).tolist():
            found.setdefault(row, Fault(None, f"expected an event with a density, got a log_prob of {log_prob[row]}"))
        statistics = {name: np.zeros(0) for name in self.novelty}
        if "typicality" in statistics:
            statistics["typicality"] = log_prob.copy()
        if "complexity" in statistics and len(events):
            statistics["complexity"] = novelty_room.input_complexity(events, log_prob, codec=self.codec)
        if "gradient" in statistics:
            norms = np.concatenate([np.zeros(0), *(part["gradient"] for part in parts)])
            for row in np.flatnonzero(~np.isfinite(norms)).tolist():
                found.setdefault(row, Fault(None, f"expected an event with a gradient, got a norm of {norms[row]}"))
            statistics["gradient"] = norms
        for values in (log_prob, *([] if latents is None else [latents]), *statistics.values()):
            values[list(found)] = np.nan
        return Scores(log_prob, latents, found, statistics)

    def _checked_events(self, events: np.ndarray) -> np.ndarray:
        """Events in the dtype that the model's functions take."""
        events, example = np.asarray(events), self._example()
        if self.levels is not None:
            is_fit, expected = events.dtype == np.uint8, "uint8 images"
        elif self.columns is not None:
            is_fit, expected = events.dtype.kind in "fiu", "rows of numbers"
        else:  # Integers would have no noise.
            is_fit, expected = events.dtype.kind == "f", "events of floats"
        if not is_fit:
            raise TypeError(f"expected {expected}, got {events.dtype}")
        if events.shape[1:] != example.shape:
            shape = ", ".join(map(str, example.shape))
            raise ValueError(f"expected events of shape [n, {shape}], got {list(events.shape)}")
        with np.errstate(over="ignore"):  # What float32 cannot hold becomes infinite, and has no density.
            return events.astype(example.dtype, copy=False)

    def _checked_labels(self, labels: np.ndarray | None, count: int, found: dict[int, Fault]) -> np.ndarray | None:
        """Labels as int32; adds events whose label is no class to `found`."""
        if self.classes is None:
            if labels is not None:
                raise ValueError("expected no labels for a model without classes, got some")
            return None
        if labels is None:
            raise ValueError(f"expected labels of {self.classes} classes, got none")
        labels = np.asarray(labels)
        if labels.shape != (count,) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"expected an integer label for each of {count} images, got {labels.dtype} of shape "
                f"{list(labels.shape)}"
            )
        is_class = (labels >= 0) & (labels < self.classes)
        for row in np.flatnonzero(~is_class).tolist():
            found.setdefault(row, Fault(None, f"expected a label in 0 ... {self.classes - 1}, got {labels[row]}"))
        return np.where(is_class, labels, 0).astype(np.int32)

    def _checked(self, novelty: Sequence[str]) -> tuple[str, ...]:
        for name in novelty:
            if name not in novelty_room.TAILS:
                raise ValueError(f"expected novelty of {', '.join(novelty_room.TAILS)}, got {name!r}")
        if "complexity" in novelty and self.levels is None:
            raise ValueError(f"expected images for the novelty score complexity, got events of shape {self.shape}")
        if novelty and self._samples > 1:
            raise ValueError(f"expected one noise sample for novelty, got {self._samples}")
        return tuple(novelty)

    def _of_part(self, *given: np.ndarray) -> dict[str, np.ndarray]:
        """The answers for up to a batch, which is filled up, since another size would round otherwise."""
        count = len(given[0])
        if count < self._batch_size:
            given = tuple(np.concatenate([part, np.repeat(part[:1], self._batch_size - count, 0)]) for part in given)
        events, *condition = map(tf.constant, given)
        total, others = np.zeros(count), {}
        for k in range(self._samples):
            seed = np.int64(self._seed + k).astype(np.int32)  # Goes on from the least after the greatest.
            answers = self._densities(*self._dequantize(events, tf.constant(seed), *condition))
            nats = answers.pop("log_prob").numpy()[:count].astype(np.float64)
            total = nats if k == 0 else np.logaddexp(total, nats)
            if k == 0:
                others = {name: values.numpy()[:count] for name, values in answers.items()}
        return {"log_prob": total - math.log(self._samples), **others}

    def _dequantized(self, events: tf.Tensor, seed: tf.Tensor, *labels: tf.Tensor) -> list[tf.Tensor]:
        """`log q`, the flow's events, and their context if it has one."""
        v, context, log_q = events, None, tf.zeros([], tf.float32)
        if self.columns is not None:
            v, context, log_q = self.columns.dequantize(events, noise_of_rows(events, self.columns.noises, seed))
        elif self.levels is not None:
            v, log_q = dequantize_rows(events, levels=self.levels, seed=seed, dequantizer=self._dequantizer)
        if self.classes is not None:
            context = tf.one_hot(labels[0], self.classes)
        dtype = self._distribution.dtype
        return [tf.cast(log_q, tf.float32), *(tf.cast(part, dtype) for part in (v, context) if part is not None)]

    def _densities_of(self, log_q: tf.Tensor, v: tf.Tensor, *context: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = {}
        if "gradient" in self.novelty:
            nats, norm = log_prob_and_gradient_norm(self._distribution, v, *context)
            answers["gradient"] = tf.cast(norm, tf.float32)
        else:
            nats = self._distribution.log_prob(v, **dict(zip(("context",), context)))
        answers["log_prob"] = tf.cast(nats, tf.float32) - log_q
        if self._has_latents:
            z, _ = self._distribution.flow.forward_and_log_det(v, *context)
            answers["latents"] = tf.reshape(tf.cast(z, tf.float32), [self._batch_size, -1])
        return answers

    def _example(self) -> np.ndarray:
        """An event that stands in for one that has no score."""
        if self.columns is not None:
            return self.columns.example()[0]
        return np.zeros(self.shape, np.float32 if self.levels is None else np.uint8)


def _encoded(column: Column, values: np.ndarray, faults: dict[int, Fault]) -> np.ndarray:
    """The numbers of a column, NaN where a value is missing or cannot be one of the column's."""
    try:
        return column.encode(values)
    except ValueError:  # One value or more: each by itself, to keep the others.
        numbers = np.full(len(values), np.nan)
        for row in range(len(values)):
            try:
                numbers[row] = column.encode(values[row : row + 1])[0]
            except ColumnError as error:
                faults.setdefault(row, Fault(column.name, error.reason))
            except ValueError:
                faults.setdefault(row, Fault(column.name, f"expected a number, got {values[row]!r}"))
        return numbers
