"""The figures of a run as lines of JSON, and how fast it goes."""

from __future__ import annotations

import json
import os
import pathlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tfp_realnvp.training.checkpoint import CheckpointError

_T = TypeVar("_T")


class MetricsLog:
    """A file of one JSON object a line, each with a `step`.

    A run that goes on from a step repeats what came after it, so that lines of later steps are dropped at the start.

    Args:
      path: the file; None for none.
      step: the step from which the run goes on.
    """

    def __init__(self, path: pathlib.Path | None, step: int):
        self._path = path
        if path is not None and path.exists():
            lines = path.read_text().splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            if kept != lines:
                aside = path.with_suffix(".part")
                aside.write_text("".join(f"{line}\n" for line in kept))
                os.replace(aside, path)

    def write(self, step: int, **figures: Any) -> None:
        """Adds a line.

        Raises:
          CheckpointError: when it cannot be written.
        """
        if self._path is None:
            return
        try:
            with self._path.open("a") as file:
                file.write(json.dumps({"step": step, "time": round(time.time(), 3), **figures}) + "\n")
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be written: {error.strerror}") from error


def _step_of(line: str) -> float:
    """The step of a line; infinite for one that was cut short."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")


class Pace:
    """How fast steps go, and how much of the time they wait for data.

    The first step of a process is not counted, for it is traced and compiled.
    """

    def __init__(self):
        self._traced = False
        self.reset()

    def reset(self) -> None:
        """Begins anew to count."""
        self._started = time.perf_counter()
        self._steps = self._examples = 0
        self._waited = 0.0

    def waiting(self, batches: Iterable[_T]) -> Iterator[_T]:
        """The same batches; the time it takes to get them counts as waiting."""
        iterator = iter(batches)
        while True:
            started = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - started
            yield batch

    def count(self, examples: int) -> None:
        """Counts a step that is done."""
        if not self._traced:
            self._traced = True
            self.reset()
            return
        self._steps += 1
        self._examples += examples

    def figures(self) -> dict[str, float]:
        """Steps and examples a second, and the share of the time spent waiting; nothing where no step was counted."""
        seconds = time.perf_counter() - self._started
        if not self._steps:
            return {}
        return {
            "steps_per_second": self._steps / seconds,
            "examples_per_second": self._examples / seconds,
            "waiting_for_data": self._waited / seconds,
        }
