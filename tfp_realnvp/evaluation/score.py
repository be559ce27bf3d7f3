"""What an evaluation comes to, of images and of vectors alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

BITS_PER_DIM, NATS = UNITS = ("bits/dim", "nats")
# The key of the mean in JSON, as of a step's figure in `metrics.jsonl`.
_KEYS = {BITS_PER_DIM: "bits_per_dim", NATS: "nats"}


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a model explains a set of events.

    Attributes:
      mean: over the events.
      standard_error: of that mean, s / sqrt(count), where s^2 is the variance over events divided by count - 1. It
        predicts how far another test set of this size may lead, and nothing about another training run. NaN for a
        single event.
      count: number of events.
      unit: "bits/dim", where less is better, or "nats", a log-likelihood, where more is better.
      bound: the noise of integer events, whose probability is bounded, such as "uniform dequantisation, 1 sample"; None
        where the figure is exact.
    """

    mean: float
    standard_error: float
    count: int
    unit: str
    bound: str | None = None

    @classmethod
    def of(cls, figures: np.ndarray, unit: str, bound: str | None = None) -> Score:
        """The score that the figures of each event, `[count]`, sum up to, in float64.

        Raises:
          ValueError: when there is no event.
        """
        figures = np.asarray(figures, np.float64)
        if not len(figures):
            raise ValueError("expected at least one event to evaluate on, got none")
        with np.errstate(invalid="ignore"):  # An event outside the support: the error is NaN then.
            deviation = np.std(figures, ddof=1) if len(figures) > 1 else math.nan
        return cls(float(np.mean(figures)), float(deviation / math.sqrt(len(figures))), len(figures), unit, bound)

    def to_json(self) -> dict[str, Any]:
        """What `results.json` has: the fields, the mean under "bits_per_dim" or "nats"."""
        fields = dataclasses.asdict(self)
        return {_KEYS[self.unit]: fields.pop("mean"), **fields}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Score:
        """A score in a `results.json`, that of an earlier version too, where None stands for what is not finite.

        Raises:
          KeyError: when it is not a score.
        """
        unit = NATS if _KEYS[NATS] in row else BITS_PER_DIM
        if "unit" not in row:
            samples = row.get("importance_samples", 0)
            bound = bound_of(row.get("dequantization", "uniform"), samples) if samples else None
            row = {"count": row["num_examples"], "bound": bound} | dict(row)
        mean, error = (math.nan if row[name] is None else row[name] for name in (_KEYS[unit], "standard_error"))
        return cls(mean, error, count=row["count"], unit=unit, bound=row["bound"])

    def lead_over(self, other: Score) -> float:
        """By how much this score is better than another of the same unit."""
        return self.mean - other.mean if self.unit == NATS else other.mean - self.mean

    def __str__(self) -> str:
        events = f"{self.count:,} event{'s' * (self.count != 1)}"
        return f"{self.mean:.4f} +- {self.standard_error:.4f} {self.unit} ({self.bound or 'exact'}, {events})"


def bound_of(dequantization: str, samples: int) -> str:
    """The words for a bound by that noise, "uniform" or "variational", and so many samples of it for each event."""
    return f"{dequantization} dequantisation, {samples:,} sample{'s' * (samples != 1)}"
