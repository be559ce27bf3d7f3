"""A run's metrics as JSON lines, and its speed."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tfp_realnvp import storage
from tfp_realnvp.training.checkpoint import CheckpointError

_T = TypeVar("_T")


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`, the last one for each step, without a line cut off by a kill."""
    return list({line["step"]: line for line in _read(path) if _is_ours(line)}.values())


def _read(path: pathlib.Path) -> Iterator[Any]:
    """The contents of a file's lines that are valid JSON."""
    for text in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(text)


def _is_ours(line: Any) -> bool:
    return isinstance(line, dict) and isinstance(line.get("step"), int) and isinstance(line.get("time"), float | int)


class MetricsLog:
    """A file with one JSON object per line, each with a distinct `step`.

    A run resumed from a step repeats the following steps, so lines of later steps are dropped at the start.

    Args:
      path: the file.
      step: the step from which the run resumes.

    Raises:
      CheckpointError: if it cannot be written, or contains lines that no run wrote.
    """

    def __init__(self, path: pathlib.Path, step: int):
        self._path = path
        self._step, self._start = None, 0  # Step and start position of the last line.
        if not path.exists():
            return
        if not all(map(_is_ours, _read(path))):
            raise CheckpointError(f"expected a run's metrics or no file at {path}, got another: choose another folder")
        lines = [line for line in read_metrics(path) if line["step"] <= step]
        texts = [f"{storage.to_json(line)}\n" for line in lines]
        content = "".join(texts).encode()
        if lines:
            self._step, self._start = lines[-1]["step"], len(content) - len(texts[-1].encode())
        with self._errors():
            if content != path.read_bytes():
                storage.write(path, content)

    def write(self, step: int, **figures: Any) -> None:
        """Appends a line, which replaces the last line if that has the same step.

        Raises:
          CheckpointError: if it cannot be written.
        """
        line = storage.to_json({"step": step, "time": round(time.time(), 3), **figures}) + "\n"
        with self._errors(), self._path.open("ab") as file:
            if step == self._step:
                file.truncate(self._start)
            self._step, self._start = step, os.fstat(file.fileno()).st_size
            file.write(line.encode())

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be written: {error.strerror}") from error


class Pace:
    """Measures steps per second and the fraction of time spent waiting for data.

    The first step of a process is not counted, since it includes tracing and compilation.
    """

    def __init__(self) -> None:
        self._traced = False
        self.reset()

    def reset(self) -> None:
        """Starts counting again."""
        self._started = time.perf_counter()
        self._steps = self._examples = 0
        self._waited = 0.0

    def waiting(self, batches: Iterable[_T]) -> Iterator[_T]:
        """Yields the same batches, counting the time to fetch them as waiting."""
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
        """Counts a finished step."""
        if not self._traced:
            self._traced = True
            self.reset()
            return
        self._steps += 1
        self._examples += examples

    def figures(self) -> dict[str, float]:
        """Steps and examples per second, and the fraction of time spent waiting; empty if no step was counted."""
        seconds = time.perf_counter() - self._started
        if not self._steps:
            return {}
        return {
            "steps_per_second": self._steps / seconds,
            "examples_per_second": self._examples / seconds,
            "waiting_for_data": self._waited / seconds,
        }
