"""Conformal p-values of novelty statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_realnvp.novelty.complexity import CODECS

# Which values of a statistic are unusual: those on both sides of the calibration's, or the greater ones alone.
TAILS = {"typicality": "both", "complexity": "upper", "gradient": "both"}
# By that share statistics of equal events may differ: rounding depends on the batch, the compiler and folded norms.
_ROUNDING = 1e-4


def p_values(
    statistic: np.ndarray, calibration: np.ndarray, *, tail: str = "both", tolerance: float = 0.0
) -> np.ndarray:
    """Conformal p-values of new events: the rank of a statistic among those of n calibration events.

        p_upper = (1 + #{i: s_i >= s}) / (n + 1)
        p_lower = (1 + #{i: s_i <= s}) / (n + 1)
        p_both  = min(1, 2 min(p_lower, p_upper))

    If the new event and the calibration events are exchangeable, for example independent draws of one distribution,
    then P(p <= a) <= a for every a in [0, 1] and every n: the p-value is super-uniform, for any model and any
    statistic. The probability is over the calibration events, too: given one calibration, the rate of false alarms at
    a varies with a standard deviation of about sqrt(a (1 - a) / n).

    With tail="both" and the statistic log p(x), it is a two-sided test of typicality: it finds events whose density is
    too high as well as those whose density is too low. Each side is ranked by itself, since densities are skewed.

    It fails where the statistic of novel events has the same distribution: another kind of images may have densities in
    the usual range. It cannot answer less than 2 / (n + 1), or 1 / (n + 1) with tail="upper". It is no longer valid if
    the model was trained on the calibration events, or if they differ from the regular events of today.

    Args:
      statistic: one number for each new event, of any shape.
      calibration: the statistic of the calibration events, `[n]`, in any order.
      tail: "both", or "upper" where only great values are unusual.
      tolerance: numbers at most that far from `statistic` count as equal to it, which can only raise p-values.

    Returns:
      float64 of the shape of `statistic`.

    Raises:
      ValueError: for another tail, no calibration events, a negative tolerance, or NaN.

    ```python
    random = np.random.default_rng(0)
    nvp.novelty.p_values(np.array([0.0, -4.0, 4.0]), random.normal(size=999))  # [3]
    ```

    Bates, Candes, Lei, Romano, Sesia. Testing for outliers with conformal p-values. Annals of Statistics 2023.
    arXiv 2104.08279.
    """
    ascending, statistic = np.sort(np.ravel(calibration)), np.asarray(statistic)
    if tail not in ("both", "upper"):
        raise ValueError(f"expected tail to be both or upper, got {tail!r}")
    if not len(ascending):
        raise ValueError("expected at least one calibration event, got none")
    if np.any(np.isnan(ascending)) or np.any(np.isnan(statistic)):
        raise ValueError("expected numbers, got NaN: leave out events that have no score")
    if not tolerance >= 0:
        raise ValueError(f"expected a tolerance of 0 or more, got {tolerance}")
    upper = len(ascending) - np.searchsorted(ascending, statistic - tolerance, side="left")
    if tail == "upper":
        return (1 + upper) / (len(ascending) + 1)
    lower = np.searchsorted(ascending, statistic + tolerance, side="right")
    return np.minimum(1.0, 2 * (1 + np.minimum(lower, upper)) / (len(ascending) + 1))


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Statistics of regular events that a model was not trained on, by the names of `TAILS`.

        "typicality"   log p(x), nats        tails: both
        "complexity"   `input_complexity`           upper
        "gradient"     `gradient_norm`              both

    `tfp_realnvp.serving.Scorer` computes them. An export that was saved with a calibration serves `p_value`. Numbers
    that differ by at most 1e-4 of the statistic's median size count as equal: the float32 rounding of an event's
    log-density depends on the batch and the compiler, and events that occur repeatedly, such as rows of categories,
    should tie.

    Attributes:
      statistics: by name, float32 `[n]`, sorted; the n is one for all.
      codec: the codec of "complexity", of `CODECS`; not used without it.
      source: the calibration events in words, such as "validation images of mnist".

    Raises:
      ValueError: for other names or another codec, no events, different numbers of them, or numbers that are not
        finite.

    ```python
    images = np.stack([*data.load("digits").examples("validation").take(60)])
    scorer = serving.Scorer(nvp.load("digits"), levels=17, novelty=("typicality", "gradient"))
    calibration = nvp.novelty.Calibration(scorer.score(images[:50]).novelty)
    calibration.p_values(scorer.score(images[50:]).novelty)["typicality"]  # [10]
    ```
    """

    statistics: Mapping[str, np.ndarray]
    codec: str = "png"
    source: str = ""

    def __post_init__(self) -> None:
        given = {name: np.sort(np.asarray(values, np.float32)) for name, values in self.statistics.items()}
        object.__setattr__(self, "statistics", given)
        if "complexity" in given and self.codec not in CODECS:
            raise ValueError(f"expected a codec of {', '.join(CODECS)}, got {self.codec!r}")
        unknown = [name for name in given if name not in TAILS]
        if unknown or not given:
            raise ValueError(f"expected statistics of {', '.join(TAILS)}, got {', '.join(unknown) or 'none'}")
        counts = {values.shape for values in given.values()}
        if len(counts) > 1 or counts == {(0,)} or any(len(shape) != 1 for shape in counts):
            shapes = ", ".join(f"{[*values.shape]} of {name}" for name, values in given.items())
            raise ValueError(f"expected one number of each statistic for each of 1 event or more, got {shapes}")
        for name, values in given.items():
            if not np.all(np.isfinite(values)):
                raise ValueError(f"expected finite statistics, got {values[~np.isfinite(values)][0]} of {name}")

    @property
    def count(self) -> int:
        """The number of calibration events."""
        return len(next(iter(self.statistics.values())))

    def p_values(self, statistics: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The p-values of new events, by name; see the function `p_values`.

        Args:
          statistics: by name, `[m]`, of names that the calibration has.

        Raises:
          ValueError: for a name that the calibration lacks, or NaN.
        """
        missing = [name for name in statistics if name not in self.statistics]
        if missing:
            raise ValueError(f"expected statistics of {', '.join(self.statistics)}, got {missing[0]}")
        found = {}
        for name, values in statistics.items():
            calibration, values = self.statistics[name], np.asarray(values, np.float32)
            found[name] = p_values(values, calibration, tail=TAILS[name], tolerance=_tolerance(calibration))
        return found

    def to_json(self) -> dict[str, Any]:
        """The calibration as JSON's types."""
        statistics = {name: values.tolist() for name, values in self.statistics.items()}
        return {"source": self.source, "codec": self.codec, "statistics": statistics}

    @classmethod
    def of_json(cls, given: Mapping[str, Any]) -> Calibration:
        """The calibration of `to_json`.

        Raises:
          KeyError, TypeError, ValueError: if it is none.
        """
        return cls(given["statistics"], codec=given["codec"], source=given["source"])


def two_sided_p_values(statistic: tf.Tensor, ascending: np.ndarray) -> tf.Tensor:
    """`Calibration.p_values` of a two-sided statistic, float32 `[m]`, given sorted calibration statistics `[n]`."""
    count, tolerance = len(ascending), _tolerance(ascending)
    upper = count - tf.searchsorted(ascending, statistic - tolerance, side="left")
    lower = tf.searchsorted(ascending, statistic + tolerance, side="right")
    ranks = tf.cast(2 * (1 + tf.minimum(lower, upper)), tf.float32)
    return tf.minimum(ranks / (count + 1), 1.0)


def _tolerance(calibration: np.ndarray) -> float:
    return _ROUNDING * float(np.median(np.abs(calibration)))
