"""Flags and events by which the p-values of novelty scores are calibrated."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from absl import flags

from launch import run
from tfp_realnvp import data, novelty, serving

SPLIT = flags.DEFINE_enum(
    "calibration_split",
    None,
    ["validation", "test"],
    "Split of the model's data, or of --dataset, whose events calibrate p-values of novelty scores. The model must not "
    "have been trained on them.",
)
EVENTS = flags.DEFINE_integer(
    "calibration_events",
    2_000,
    "Number of events that calibrate, n, a random sample of the split: no two-sided p-value is below 2 / (n + 1).",
    lower_bound=1,
)
CODEC = flags.DEFINE_enum(
    "codec", "png", novelty.CODECS, "Codec of lossless files that the novelty score `complexity` compares images with."
)


def names_of(levels: int | None) -> tuple[str, ...]:
    """The novelty scores that events have: only images have the complexity of a file."""
    return tuple(name for name in novelty.TAILS if levels is not None or name != "complexity")


def of_split(scorer: serving.Scorer, events: data.Events, split: str) -> novelty.Calibration:
    """The calibration by `--calibration_events` events of a split, without those that have no score."""
    drawn, *labels = sample_of(events, split, EVENTS.value)
    if scorer.columns is not None:
        drawn = drawn[:, : scorer.columns.size]  # Without the weight.
    scores = scorer.score(drawn, labels=labels[0] if labels else None)
    found = {name: np.delete(values, list(scores.faults)) for name, values in scores.novelty.items()}
    if not len(found[scorer.novelty[0]]):
        raise run.UsageError(f"expected events that have a score in {split} of {events.name}, got none")
    kind = "rows" if scorer.levels is None else "images"
    calibration = novelty.Calibration(
        found, codec=scorer.codec, source=f"{split} {kind} of {run.without_folder(events.name)}"
    )
    print(f"Calibrated by {calibration.count:,} {calibration.source}", flush=True)
    return calibration


def sample_of(events: data.Events, split: str, count: int) -> list[np.ndarray]:
    """A random sample of a split, in its order and always the same: the events, and their labels if there are labels.

    The first events of a split may be of one class, or the oldest ones.
    """
    is_drawn = np.zeros(events.num_examples(split), bool)
    is_drawn[np.random.default_rng(0).permutation(len(is_drawn))[:count]] = True
    parts, start = [], 0
    for batch in events.evaluation_batches(split, 256):
        tensors = [np.asarray(tensor) for tensor in tf.nest.flatten(batch)]
        rows = is_drawn[start : start + len(tensors[0])]
        parts.append([tensor[rows] for tensor in tensors])
        start += len(rows)
    if not parts:
        raise run.UsageError(f"expected events in {split} of {events.name}, got none")
    return [np.concatenate(tensors) for tensors in zip(*parts)]
