"""Signals that stop training."""

import contextlib
import os
import signal
import threading
import types
from collections.abc import Iterator

import keras

# Windows has no SIGHUP.
_SIGNALS = tuple(number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP"))


class InterruptedTraining(Exception):
    """Training stopped at a signal, after saving its state.

    Attributes:
      signal: the signal's number.
    """

    def __init__(self, message: str, signal: signal.Signals):
        super().__init__(message)
        self.signal = signal


@contextlib.contextmanager
def noted() -> Iterator[list[signal.Signals]]:
    """A context that collects signals in a list instead of ending the process.

    Ignored signals stay ignored, as SIGHUP under `nohup`. A signal that arrives too late to be handled within the block
    is raised again after it.
    """
    received: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # Only Python's main thread may handle signals.
        return

    def note(number: int, _: types.FrameType | None) -> None:
        if not received:
            # The terminal or the reader of a pipe may be gone: a progress bar would fail before the save.
            keras.config.disable_interactive_logging()
            with contextlib.suppress(OSError):  # Unlike print, this is safe in a signal handler.
                name = signal.Signals(number).name
                os.write(2, f"\n{name}: training stops after this step or validation pass, and saves\n".encode())
        received.append(signal.Signals(number))

    was_interactive = keras.config.is_interactive_logging_enabled()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, note)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received and was_interactive:
            keras.config.enable_interactive_logging()
    if received:
        signal.raise_signal(received[0])
