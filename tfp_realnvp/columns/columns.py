"""A table's columns of any types as the vectors whose density a flow learns."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.dequantized_logit import noise_of_part
from tfp_realnvp.columns.categorical import Categorical
from tfp_realnvp.columns.column import FLOAT32, Column, ColumnError, inner_noise, normal_log_prob
from tfp_realnvp.columns.integers import Boolean, Integer, Ordinal
from tfp_realnvp.columns.numbers import Bounded, Circular, Real
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.transformers.probit import ndtri

TYPES: dict[str, type[Column]] = {
    column.type: column for column in (Real, Bounded, Circular, Integer, Ordinal, Boolean, Categorical)
}


@dataclasses.dataclass(frozen=True)
class Columns:
    """Rows of columns of different types as vectors of real numbers, with a density in the units of the rows.

        log p(row) >= E[log p(v) - log q(v | row)],    v = (g_1(x_1, u_1), ..., g_n(x_n, u_n))

    `v` is the event of a flow; `Column` defines `g` and `q`. With `context`, the density is p(columns | context). It is
    exact if all types are exact. `encode` converts a table to float32 rows `[n, size]`, in which text is numbers, and
    `decode` converts rows to a table.

    With `is_partial`, the flow learns `p(some columns | some others)` for random choices of both, which are inputs of
    its networks. This gives densities of rows with missing values, marginal and conditional densities, and `impute`.
    Entries of all other columns are standard normal noise, whose density is subtracted.

    Attributes:
      columns: the columns whose density is learned.
      context: the columns that it is conditioned on.
      is_partial: whether values may be missing.
      weight: name of the column of sample weights, and their mean over the training rows, by which they are divided;
        None without weights.

    ```python
    table = {"height": np.array([1.7, 1.6, 1.8, 1.5]), "eyes": np.array(["blue", "brown", "blue", "brown"])}
    columns = nvp.columns.infer(table)
    distribution = nvp.coupling_flow(event_shape=(columns.entries,), couplings=2, hidden_units=(8,))
    model = nvp.FlowModel(distribution, columns=columns)
    columns.decode(columns.quantize(distribution.sample(3, seed=1)))  # {"height": ..., "eyes": ...}
    ```
    """

    columns: tuple[Column, ...]
    context: tuple[Column, ...] = ()
    is_partial: bool = False
    weight: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("expected columns whose density is to be learned, got none")
        if len(set(self.names)) < self.size:
            raise ValueError(f"expected different names, got {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the order of a row: columns, context, weights."""
        own = tuple(column.name for column in (*self.columns, *self.context))
        return own if self.weight is None else (*own, self.weight[0])

    @property
    def text(self) -> tuple[str, ...]:
        """Names of the columns of text, though their values may look like numbers."""
        return tuple(column.name for column in (*self.columns, *self.context) if column.is_text)

    @property
    def size(self) -> int:
        """Number of entries of a row."""
        return len(self.names)

    @property
    def entries(self) -> int:
        """Number of entries of an event of the flow."""
        return sum(column.entries for column in self.columns)

    @property
    def is_exact(self) -> bool:
        """Whether the density is exact, and not a lower bound."""
        return not self.is_partial and all(column.is_exact for column in self.columns)

    @property
    def context_size(self) -> int | None:
        """The size of the flow's context, or None without context."""
        of_context = sum(column.feature_count + self.is_partial for column in self.context)
        of_columns = sum(column.feature_count + 2 for column in self.columns) if self.is_partial else 0
        return of_context + of_columns or None

    @property
    def noises(self) -> int:
        """Number of noise entries for a row."""
        own = sum(column.noises for column in self.columns)
        return own + (self.entries + 2 * len(self.columns) + 3 if self.is_partial else 0)

    def noise(self, rows: tf.Tensor, *, seed: Any, part: tuple[int | tf.Tensor, int] = (0, 1)) -> tf.Tensor:
        """Uniform noise for `dequantize`; for `part` see `tfp_realnvp.dequantize`."""
        like = tf.zeros([tf.shape(rows)[0], self.noises], rows.dtype)
        like = tf.ensure_shape(like, [rows.shape[0], self.noises])
        return noise_of_part(functools.partial(tf.random.stateless_uniform, dtype=rows.dtype), like, seed, part)

    def dequantize(
        self, rows: tf.Tensor, noise: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]:
        """Events, their context and `log q`, of rows `[n, size]` and their `noise`.

        Args:
          rows: as returned by `encode`. A missing value is NaN; without `is_partial`, such a row has density 0.
          noise: as returned by `noise`.
          training: whether a partial density is p(some columns | some others) for a random choice, as in training, or
            the density of all values that are not missing.

        Returns:
          `v` `[n, entries]`, the context `[n, context_size]` or None, and `log q` `[n]`.
        """
        rows = rows[:, : len(self.columns) + len(self.context)]
        values = tf.unstack(rows, axis=-1)
        own = np.cumsum([0, *(column.noises for column in self.columns)])
        parts = [
            column.dequantize(x, noise[:, first:last])
            for column, x, first, last in zip(self.columns, values, own[:-1], own[1:])
        ]
        log_q = [of_column for _, of_column in parts]
        v = tf.concat([entries for entries, _ in parts], -1)
        if not self.is_partial:
            features = [column.features(x) for column, x in zip(self.context, values[len(self.columns) :])]
            return v, tf.concat(features, -1) if features else None, tf.add_n(log_q)
        is_there = ~tf.math.is_nan(rows)
        target, given = self._chosen(is_there, noise[:, own[-1] + self.entries :], training)
        filler = ndtri(inner_noise(noise[:, own[-1] : own[-1] + self.entries]))
        is_target = tf.repeat(target, [column.entries for column in self.columns], axis=-1)
        v = tf.where(is_target, v, filler)
        zero = tf.zeros([], v.dtype)
        of_filler = tf.reduce_sum(tf.where(is_target, zero, normal_log_prob(filler)), -1)
        of_targets = tf.reduce_sum(tf.where(target, tf.stack(log_q, -1), zero), -1)
        return v, self.partial_context(rows, target, given), of_targets + of_filler

    def log_prob(
        self, distribution: FlowDistribution, rows: tf.Tensor, noise: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """`log p(v) - log q(v | row)` `[n]` in nats, for one draw of the noise."""
        v, context, log_q = self.dequantize(rows, noise, training)
        given = {} if context is None else {"context": tf.cast(context, distribution.dtype)}
        return distribution.log_prob(tf.cast(v, distribution.dtype), **given) - tf.cast(log_q, distribution.dtype)

    def weights_of(self, rows: tf.Tensor) -> tf.Tensor | None:
        """The weights `[n]` of rows `[n, size]`, whose mean over the training rows is 1; None without weights."""
        return None if self.weight is None else rows[:, -1] / self.weight[1]

    def check_rows(self, rows: tf.Tensor) -> tf.Tensor:
        """Rows whose size is `size`: in others a value would be taken for another column's, or for a weight."""
        is_fit = rows.shape.rank is None or rows.shape.rank == 2 and rows.shape[1] in (None, self.size)
        if not (is_fit and rows.dtype.is_floating):
            raise ValueError(
                f"expected rows of floats [n, {self.size}], as `encode` returns, of {', '.join(self.names)}, got "
                f"{rows.dtype.name} of shape {rows.shape}"
            )
        return tf.ensure_shape(rows, [None, self.size])

    def check_flow(self, distribution: FlowDistribution, classes: int | None = None) -> None:
        """Raises a ValueError unless the flow's events have the shape that `dequantize` returns.

        Labels of `classes` are refused: the flow's context is that of the columns.
        """
        if classes is not None:
            raise ValueError(f"expected columns or classes, got both, {classes} classes: make the label a column")
        if distribution.event_shape != (self.entries,):
            raise ValueError(
                f"expected a flow over ({self.entries},), the entries of the columns {', '.join(self.names)}, got one "
                f"over {distribution.event_shape}"
            )

    def quantize(self, v: tf.Tensor) -> tf.Tensor:
        """The rows `[n, columns]` of events `[n, entries]`, without the context's columns."""
        if v.shape[-1] not in (None, self.entries):
            raise ValueError(f"expected events [n, {self.entries}] of {', '.join(self.names)}, got shape {v.shape}")
        parts = tf.split(v, [column.entries for column in self.columns], axis=-1)
        return tf.stack([column.quantize(part) for column, part in zip(self.columns, parts)], -1)

    def context_of(self, rows: tf.Tensor) -> tf.Tensor | None:
        """The flow's context for samples of all columns, given rows `[n, len(context)]` of the context's columns."""
        if not self.is_partial:
            values = tf.unstack(rows, len(self.context), axis=-1)
            features = [column.features(x) for column, x in zip(self.context, values)]
            return tf.concat(features, -1) if features else None
        nothing = tf.fill([tf.shape(rows)[0], len(self.columns)], tf.constant(np.nan, rows.dtype))
        target = tf.ones_like(nothing, tf.bool)
        return self.partial_context(tf.concat([nothing, rows], -1), target, ~target)

    def partial_context(self, rows: tf.Tensor, target: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        """The flow's context for the density p(target | given).

        Args:
          rows: `[n, size]`, with or without weights; values that are not given have no effect.
          target: booleans `[n, len(columns)]`.
          given: booleans of the same shape. The context's columns are given unless they are missing.
        """
        values = tf.unstack(rows[:, : len(self.columns) + len(self.context)], axis=-1)
        is_given = [*tf.unstack(given, axis=-1), *(~tf.math.is_nan(x) for x in values[len(self.columns) :])]
        parts = []
        for column, x, known in zip((*self.columns, *self.context), values, is_given):
            known = known[:, tf.newaxis]
            features = column.features(tf.where(tf.math.is_nan(x), tf.zeros_like(x), x))
            parts += [tf.where(known, features, tf.zeros_like(features)), tf.cast(known, rows.dtype)]
        return tf.concat([*parts, tf.cast(~(target | given), rows.dtype)], -1)

    def _chosen(self, is_there: tf.Tensor, noise: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Which columns are targets, and which are given."""
        size = len(self.columns)
        is_there = is_there[:, :size]
        if not training:
            return is_there, tf.zeros_like(is_there)
        # In half of the rows some columns are given, in a quarter some are left out; how many is uniform.
        for_given, for_absent, rates = tf.split(noise, [size, size, 3], axis=-1)
        kind, rate_given, rate_absent = tf.split(rates, 3, axis=-1)
        given = is_there & (kind < 0.5) & (for_given < rate_given)
        absent = (kind > 0.25) & (kind < 0.5) & (for_absent < rate_absent)
        return is_there & ~given & ~absent, given

    def example(self) -> np.ndarray:
        """A row `[1, size]` inside the support: the median or likeliest value of each column."""
        both = (*self.columns, *self.context)
        values = [column.quantize(tf.zeros([1, column.entries])).numpy() for column in both]
        return np.stack(values + [np.ones(1)] * (self.weight is not None), -1).astype(np.float32)

    def encode(self, table: Mapping[str, np.ndarray]) -> np.ndarray:
        """The rows of a table, float32 `[n, size]`; NaN for a missing value.

        Raises:
          KeyError: if a column is missing.
          ColumnError: for a value outside the support of its column, or a number beyond float32's range.
          ValueError: for columns of different lengths, or of the same name.
        """
        table = by_name(table)
        if missing := [name for name in self.names if name not in table]:
            raise KeyError(f"expected columns {', '.join(self.names)}, got none named {', '.join(missing)}")
        check_lengths({name: table[name] for name in self.names})
        both = (*self.columns, *self.context)
        numbers = [column.encode(np.asarray(table[column.name])) for column in both]
        if self.weight is not None:
            name = self.weight[0]
            numbers.append(np.asarray(table[name], np.float64))
            is_bad = ~((numbers[-1] >= 0) & (numbers[-1] <= FLOAT32.max))
            if np.any(is_bad):
                index = int(np.argmax(is_bad))
                weight = numbers[-1][index]
                raise ColumnError(name, index, f"expected a weight of 0 or more that float32 can hold, got {weight:g}")
        return np.stack(numbers, -1).astype(np.float32)

    def decode(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The table of rows `[n, size]`, or of rows with only the first columns; a NaN is a missing value.

        Raises:
          ValueError: for rows of another shape.
        """
        rows = np.asarray(rows)
        if rows.ndim != 2 or rows.shape[1] > self.size:
            raise ValueError(f"expected rows [n, {self.size}] of {', '.join(self.names)}, got shape {list(rows.shape)}")
        both = (*self.columns, *self.context)[: rows.shape[-1]]
        return {column.name: column.decode(rows[:, place]) for place, column in enumerate(both)}

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `of_json` reads."""
        parts = {name: [column.to_json() for column in getattr(self, name)] for name in ("columns", "context")}
        return parts | {"is_partial": self.is_partial, "weight": self.weight}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> "Columns":
        """The columns that `to_json` has written."""

        def column(of_one: Mapping[str, Any]) -> Column:
            fields: dict[str, Any] = {
                name: tuple(v) if isinstance(v, list) else v for name, v in of_one.items() if name != "type"
            }
            return TYPES[of_one["type"]](**fields)

        own, context = (tuple(map(column, values[name])) for name in ("columns", "context"))
        weight = values["weight"]
        return cls(own, context, values["is_partial"], None if weight is None else (weight[0], weight[1]))


def by_name(table: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns of a table by their names as text: a frame of pandas without names numbers them.

    Raises:
      ValueError: if two columns have the same name.
    """
    found: dict[str, Any] = {}
    for given in getattr(table, "columns", table):  # A frame has repeated names there alone.
        name = str(given)
        if name in found:
            raise ValueError(f"expected different names of columns, got {name!r} twice")
        found[name] = table[given]
    return found


def check_lengths(table: Mapping[str, Any]) -> int:
    """The number of values in each column; raises a ValueError unless it is the same for all."""
    arrays = {name: np.asarray(values) for name, values in table.items()}
    for name, array in arrays.items():
        if array.ndim != 1:
            raise ValueError(f"{name}: expected numbers or text [n], got {array.dtype} of shape {array.shape}")
    counts = {name: len(array) for name, array in arrays.items()}
    for name, count in counts.items():
        if count != (first := next(iter(counts.values()))):
            raise ValueError(f"{name}: expected {first} values, as in {next(iter(counts))}, got {count}")
    return next(iter(counts.values()), 0)
