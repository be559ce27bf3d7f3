"""Progress of long work: a bar on a terminal; elsewhere whole lines, or nothing."""

from __future__ import annotations

import sys
import textwrap
import time
from typing import Any

import keras

COLUMNS = 80
_WIDTH = 10  # of a bar, whose line has figures, too


def is_live() -> bool:
    """Whether the output is a terminal; in a file, a bar would become many lines and escape codes."""
    return sys.stdout.isatty()


def show(sentence: str) -> None:
    """Prints a sentence or several lines. Long lines continue in further lines."""
    lines = []
    for line in sentence.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        if len(line) <= COLUMNS:
            lines.append(line)  # With its spaces as they are.
        else:
            lines += textwrap.wrap(
                line.strip(),
                COLUMNS,
                initial_indent=indent,
                subsequent_indent=indent + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    print("\n".join(lines), flush=True)


def bar(total: int, unit: str) -> keras.utils.Progbar:
    """A Keras progress bar that shows figures without averaging; silent if the output is not a terminal."""
    return keras.utils.Progbar(total, _WIDTH, verbose=int(is_live()), stateless_metrics=(), unit_name=unit)


class Epochs(keras.callbacks.Callback):
    """A Keras callback: a bar per epoch, or one line at its end.

    Args:
      lines: whether to print lines even on a terminal.
    """

    def __init__(self, lines: bool):
        super().__init__()
        self._live = is_live() and not lines

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._started, self._steps = time.monotonic(), 0
        if self._live:
            print(f"Epoch {epoch + 1}/{self.params['epochs']}")
            self._bar = bar(self.params["steps"], "step")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps += 1
        if self._live and batch + 1 != self.params["steps"]:  # The last comes with the validation's figure.
            self._bar.update(batch + 1, self._figures(logs or {}))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = self._figures(logs or {})
        if self._live:
            self._bar.update(self.params["steps"], figures, finalize=True)
            return
        shown = [f"{name} {value:.4f}" for name, value in figures]
        if skipped := int((logs or {}).get("skipped_steps", 0)):
            shown.append(f"{skipped} skipped")
        seconds = time.monotonic() - self._started
        heading = f"Epoch {epoch + 1}/{self.params['epochs']}: {self._steps} steps in {seconds:.0f} s"
        print(", ".join([heading, *shown]), flush=True)

    @staticmethod
    def _figures(logs: dict[str, Any]) -> list[tuple[str, float]]:
        """Bits/dim of images, the loss of vectors, in training and in validation."""
        name, shown = ("bits_per_dim", "bits/dim") if "bits_per_dim" in logs else ("loss", "loss")
        figures = [(shown, float(logs[name]))] if name in logs else []
        return figures + ([("validation", float(logs[f"val_{name}"]))] if f"val_{name}" in logs else [])
