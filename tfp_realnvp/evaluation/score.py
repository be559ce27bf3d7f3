"""The result of an evaluation."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

BITS_PER_DIM, NATS = UNITS = ("bits/dim", "nats")
# The key of the mean in JSON, the same as in `metrics.jsonl`.
_KEYS = {BITS_PER_DIM: "bits_per_dim", NATS: "nats"}


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a model explains a set of events.

    Attributes:
      mean: mean over the events.
      standard_error: standard error of the mean, s / sqrt(count), where s^2 is the sample variance over events (divided
        by count - 1). It describes the variation between test sets of this size, not between training runs. NaN for a
        single event.
      count: number of events.
      unit: "bits/dim", where lower is better, or "nats", a log-likelihood, where higher is better.
      bound: the noise behind the bound for integer events, for example "uniform dequantisation, 1 sample"; None if the
        figure is exact.
    """

    mean: float
    standard_error: float
    count: int
    unit: str
    bound: str | None = None

    @classmethod
    def of(cls, figures: np.ndarray, unit: str, bound: str | None = None, weights: np.ndarray | None = None) -> Score:
        """The score from the figures of the events, `[count]`, summed in float64, and their weights if they have any.

        An event without weight does not count, even if it is impossible.

        Raises:
          ValueError: if there is no event, or none with a weight.
        """
        figures = np.asarray(figures, np.float64)
        if not len(figures):
            raise ValueError("expected at least one event to evaluate on, got none")
        if weights is not None:
            weights = np.asarray(weights, np.float64)
            if not np.any(weights > 0):
                raise ValueError("expected at least one event with a weight above 0 to evaluate on, got none")
            figures = np.where(weights > 0, figures, 0.0) * weights / np.mean(weights)
        with np.errstate(invalid="ignore"):  # For an event outside the support the error is NaN.
            deviation = np.std(figures, ddof=1) if len(figures) > 1 else math.nan
        return cls(float(np.mean(figures)), float(deviation / math.sqrt(len(figures))), len(figures), unit, bound)

    def to_json(self) -> dict[str, Any]:
        """The fields as in `results.json`, with the mean under "bits_per_dim" or "nats"."""
        fields = dataclasses.asdict(self)
        return {_KEYS[self.unit]: fields.pop("mean"), **fields}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Score:
        """Reads a score from `results.json`, also of earlier versions, in which None stands for a non-finite number.

        Raises:
          KeyError: if it is not a score.
        """
        unit = NATS if _KEYS[NATS] in row else BITS_PER_DIM
        if "unit" not in row:
            samples = row.get("importance_samples", 0)
            bound = bound_of(row.get("dequantization", "uniform"), samples) if samples else None
            row = {"count": row["num_examples"], "bound": bound} | dict(row)
        mean, error = (math.nan if row[name] is None else row[name] for name in (_KEYS[unit], "standard_error"))
        return cls(mean, error, count=row["count"], unit=unit, bound=row["bound"])

    def lead_over(self, other: Score) -> float:
        """The improvement of this score over another one in the same unit."""
        return self.mean - other.mean if self.unit == NATS else other.mean - self.mean

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The confidence interval of the mean over the population of events, by the normal approximation."""
        width = statistics.NormalDist().inv_cdf((1 + level) / 2) * self.standard_error
        return self.mean - width, self.mean + width

    def __str__(self) -> str:
        events = f"{self.count:,} event{'s' * (self.count != 1)}"
        return f"{self.mean:.4f} +- {self.standard_error:.4f} {self.unit} ({self.bound or 'exact'}, {events})"


def bound_of(dequantization: str, samples: int) -> str:
    """The description of a bound with "uniform" or "variational" noise and that many samples per event."""
    return f"{dequantization} dequantisation, {samples:,} sample{'s' * (samples != 1)}"
