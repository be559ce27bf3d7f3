"""A flow as a scikit-learn estimator."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_realnvp import training
from tfp_realnvp.columns import Columns, Real, Spec, infer_with_notes
from tfp_realnvp.data import BadTableError, read_columns
from tfp_realnvp.extras import extra
from tfp_realnvp.presets import FLOWS
from tfp_realnvp.serving.row_noise import noise_of_rows

with extra("data"):
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

_LOOKS = 20  # At the held-out rows.
# Rows in a batch of scores. Batches are filled up to this size, so that a score does not depend on the other rows.
_ROWS = 1024


class FlowEstimator(DensityMixin, BaseEstimator):
    """The density of a table's rows by a normalizing flow, as a scikit-learn estimator.

        log p(row) >= E[log p(v) - log q(v | row)]

    A layer over `FlowModel` and `tfp_realnvp.columns.Columns`. Arrays and frames of numbers have real columns; a frame
    with text, categories or truth values, or a `columns` specification, has columns of its types. `score_samples` is
    the log-density in nats, in the units of the table: exact if all columns are real or bounded, and otherwise the
    lower bound with one draw of noise, which is a function of the row.

    Args:
      flow: name of a flow, such as "coupling", "autoregressive" or "nsf".
      flow_options: keyword arguments of the flow's factory, such as `{"couplings": 4, "hidden_units": (64, 64)}`.
      columns: types of columns of a frame, such as "a:bounded(0,1),b:circular(360)"; "infer" infers all of them. By
        default, types are inferred only if a column is text, categories or truth values.
      max_steps: number of training steps.
      batch_size: rows in a batch; at most the number of training rows.
      learning_rate: initial learning rate of Adam, which decreases to 0 as a cosine.
      clip_norm: largest global norm of the gradient.
      average_decay: decay of the moving average of the weights; None uses the weights themselves.
      validation_fraction: share of the rows that is held out. The weights are kept that are best on them after one of
        the twentieths of the training; a flow that is trained on few rows for long gives other rows next to no
        density. None, or a share of less than one row, keeps the last weights.
      random_state: seed of the weights, the order of rows and the noise.
      verbose: 1 prints a line for each twentieth of the training.

    Attributes:
      columns_: the fitted `Columns`.
      distribution_: the fitted flow, over `columns_.dequantize(rows)`.
      n_features_in_: number of columns.
      feature_names_in_: their names, if the table has names.

    Raises:
      ValueError: from `fit`, for a setting out of range, fewer than 2 columns or rows, or a missing value.

    ```python
    from sklearn.datasets import load_iris
    iris = load_iris().data
    estimator = nvp.FlowEstimator(max_steps=200).fit(iris)
    estimator.score_samples(iris)  # [150], nats
    estimator.sample(3)            # [3, 4]
    ```
    """

    def __init__(
        self,
        flow: str = "coupling",
        *,
        flow_options: Mapping[str, Any] | None = None,
        columns: str | None = None,
        max_steps: int = 2_000,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        clip_norm: float = 10.0,
        average_decay: float | None = 0.99,
        validation_fraction: float | None = 0.1,
        random_state: Any = 0,
        verbose: int = 0,
    ):
        self.flow = flow
        self.flow_options = flow_options
        self.columns = columns
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        self.average_decay = average_decay
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> FlowEstimator:
        """Trains the flow.

        Args:
          X: rows: an array `[rows, columns]` of numbers, or a frame of pandas or polars.
          y: not used.
          sample_weight: weight of each row, `[rows]`.
        """
        if self.flow not in FLOWS:
            raise ValueError(f"expected flow to be one of {', '.join(FLOWS)}, got {self.flow!r}")
        if self.validation_fraction is not None and not 0 < self.validation_fraction < 1:
            raise ValueError(f"expected a validation_fraction between 0 and 1, or None, got {self.validation_fraction}")
        if self.max_steps < 1 or self.batch_size < 1:
            raise ValueError(
                f"expected max_steps and a batch_size of 1 or more, got {self.max_steps} and {self.batch_size}"
            )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        table = self._table(X, is_first=True)
        if len(table) < 2:
            raise ValueError(f"expected at least 2 features, got {len(table)} feature(s)")
        if (count := len(next(iter(table.values())))) < 2:
            raise ValueError(f"expected at least 2 rows, got n_samples = {count}")
        weight = None
        if sample_weight is not None:
            rows = next(iter(table.values()))[:, np.newaxis]
            weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
            # As though rows without a weight were not there: they decide no moment either.
            table = {name: values[weight > 0] for name, values in table.items()}
            weight = weight[weight > 0]
            if len(weight) < 2:
                raise ValueError(f"expected at least 2 rows with a weight above 0, got {len(weight)}")
            weight = weight / np.max(weight)  # Their scale does not matter, and may be one that float32 cannot hold.
            weight = (weight / np.mean(weight)).astype(np.float32)
        self.columns_ = self._fitted_columns(table, is_typed=_is_typed(X))
        rows = self.columns_.encode(table)
        if np.any(np.isnan(rows)):
            raise ValueError("expected a value in each row and column, got missing values (NaN)")
        keras.utils.set_random_seed(seed)
        # A copy of the fitted flow is built by these, though parameters may be set for another fit.
        self._made_of = self.flow, dict(self.flow_options or {})
        self._build()
        self._train(rows, weight, seed)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """The log-density of each row in nats, `[rows]`."""
        check_is_fitted(self)
        rows = self.columns_.encode(self._table(X, is_first=False))
        if np.any(np.isnan(rows)):
            raise ValueError("expected a value in each row and column, got missing values (NaN)")
        return self._scores(rows)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        padded = np.resize(rows, [-(-len(rows) // _ROWS) * _ROWS, rows.shape[1]])
        scores = [self._log_prob(tf.constant(padded[start : start + _ROWS])) for start in range(0, len(padded), _ROWS)]
        return np.concatenate([part.numpy() for part in scores])[: len(rows)].astype(np.float64)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-density of the rows, in nats."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Draws rows: an array `[n_samples, columns]`, or a pandas frame if the estimator was fitted to a frame.

        Args:
          n_samples: number of rows.
          random_state: seed; by default that of the estimator.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"expected n_samples of at least 1, got {n_samples}")
        state = check_random_state(self.random_state if random_state is None else random_state)
        seed = state.randint(2**31 - 1, size=2).astype(np.int32)
        table = self.columns_.decode(self.columns_.quantize(self.distribution_.sample(n_samples, seed=seed)).numpy())
        if not hasattr(self, "feature_names_in_"):
            return np.stack(list(table.values()), -1)
        with extra("data"):
            import pandas as pd
        return pd.DataFrame(table)

    def _table(self, X: Any, *, is_first: bool) -> dict[str, np.ndarray]:
        """The columns of `X` by name."""
        if hasattr(X, "columns"):
            validate_data(self, X, reset=is_first, skip_check_array=True)
            try:
                table = {str(name): values for name, values in read_columns(X).columns.items()}
            except BadTableError as error:
                raise ValueError(str(error)) from error
        else:
            array = validate_data(self, X, dtype=np.float64, reset=is_first)
            table = {f"column_{place}": array[:, place] for place in range(array.shape[1])}
        if is_first:
            self._names = tuple(table)
        # scikit-learn has compared names if both have them; columns without names are in their places.
        return dict(zip(self._names, table.values(), strict=True))

    def _fitted_columns(self, table: Mapping[str, np.ndarray], *, is_typed: bool) -> Columns:
        is_text = any(values.dtype == object for values in table.values())
        if self.columns is not None or is_text or is_typed:
            text = "" if self.columns is None or self.columns == "infer" else self.columns
            found = infer_with_notes(table, text)
            dropped = Spec.of_text(text).dropped
            if lost := [name for name in table if name not in (*found.columns.names, *dropped)]:
                note = next(note for note in found.notes if note.startswith(f"{lost[0]}  "))
                raise ValueError(f"expected columns of known types and no missing values, got {note}; drop it")
            return found.columns
        return Columns(tuple(Real.fit(name, values) for name, values in table.items()))

    def _build(self) -> None:
        """Builds the untrained flow."""
        name, options = self._made_of
        factory = FLOWS[name]
        given = {"flow_name": name} if "flow_name" in inspect.signature(factory).parameters else {}
        self.distribution_ = factory(event_shape=(self.columns_.entries,), **given, **options)
        rows = tf.TensorSpec([_ROWS, self.columns_.size], tf.float32)
        self._log_prob = tf.function(self._log_prob_of_rows, autograph=False).get_concrete_function(rows)

    def _log_prob_of_rows(self, rows: tf.Tensor) -> tf.Tensor:
        return self.columns_.log_prob(self.distribution_, rows, noise_of_rows(rows, self.columns_.noises, 0))

    def _train(self, rows: np.ndarray, weight: np.ndarray | None, seed: int) -> None:
        model = training.FlowModel(
            self.distribution_,
            columns=self.columns_,
            l2=0.0,
            clip_norm=self.clip_norm,
            average_decay=self.average_decay,
            seed=seed % 2**31,
        )
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, self.max_steps)
        model.compile(training.Adam(rate))
        held_out = int(len(rows) * (self.validation_fraction or 0.0))
        order = np.random.default_rng(seed).permutation(len(rows))
        rows, others = rows[order[held_out:]], rows[order[:held_out]]
        weight, of_others = (None, None) if weight is None else (weight[order[held_out:]], weight[order[:held_out]])
        size = min(self.batch_size, len(rows))
        events = (rows,) if weight is None else (rows, None, weight)
        places = (
            tf.data.Dataset.range(len(rows)).shuffle(len(rows), seed=seed).repeat().batch(size, drop_remainder=True)
        )
        batches = places.map(lambda place: _batch(events, place)).take(self.max_steps).prefetch(2)
        best = _BestWeights(lambda: np.average(self._scores(others), weights=of_others))
        looks = _LOOKS if self.max_steps >= _LOOKS else 1
        steps, rest = divmod(self.max_steps, looks)
        for epochs, steps_per_epoch, part in (
            (looks, steps, batches.take(looks * steps)),
            (1, rest, batches.skip(looks * steps)),
        ):
            if steps_per_epoch:
                model.fit(
                    part,
                    callbacks=[best] if held_out else [],
                    shuffle=False,  # Already shuffled.
                    epochs=epochs,
                    steps_per_epoch=steps_per_epoch,
                    verbose=2 if self.verbose else 0,
                )
        if held_out:
            best.restore()
        elif model.average is not None:
            model.average.copy_to_variables()
        self.n_iter_ = int(model.optimizer.iterations)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "distribution_" in state:
            del state["_log_prob"]
            state["distribution_"] = [variable.numpy() for variable in state["distribution_"].variables]
            state["columns_"] = self.columns_.to_json()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        weights = state.pop("distribution_", None)
        if weights is not None:
            state["columns_"] = Columns.of_json(state["columns_"])
        super().__setstate__(state)
        if weights is not None:
            self._build()
            for variable, value in zip(self.distribution_.variables, weights, strict=True):
                variable.assign(value)


class _BestWeights(keras.callbacks.Callback):
    """Keeps the weights, averaged if the model averages them, whose score was best after an epoch."""

    def __init__(self, score: Callable[[], float]):
        super().__init__()
        self._score = score
        self._best = -np.inf
        self._kept: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        with contextlib.nullcontext() if self.model.average is None else self.model.average.lent():
            score = self._score()
            # The first ones are kept in any case: a score may not be a number.
            if not self._kept or score > self._best:
                self._best = score if np.isfinite(score) else -np.inf
                self._kept = [variable.numpy() for variable in self.model.distribution.variables]

    def restore(self) -> None:
        """Assigns the kept weights."""
        for variable, value in zip(self.model.distribution.variables, self._kept):
            variable.assign(value)


def _is_typed(X: Any) -> bool:
    """Whether a frame of pandas or polars has columns of categories or truth values, which may be read as numbers."""
    kinds = ("bool", "categor", "enum")
    return any(str(dtype).lower().startswith(kinds) for dtype in (X.dtypes if hasattr(X, "columns") else ()))


def _batch(events: Sequence[np.ndarray | None], place: tf.Tensor) -> Any:
    rows, *rest = events
    if not rest:
        return tf.gather(rows, place)
    weight = tf.gather(rest[1], place)
    # The model removes an empty context. Without one, Keras would drop the weights.
    return tf.gather(rows, place), tf.zeros([tf.shape(place)[0], 0]), weight
