"""Ends a program at a signal with one line, without a traceback, and with the signal's exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import types
from collections.abc import Callable, Iterator
from typing import NoReturn

# Windows has no SIGHUP.
_SIGNALS = tuple(number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP"))


def heed() -> None:
    """Makes SIGINT, SIGTERM and SIGHUP raise `SystemExit`; ignored signals stay ignored, as under `nohup`."""
    _handle(_leave)


def leave_to_system() -> None:
    """During Python's shutdown a signal may end the process without a traceback."""
    _handle(signal.SIG_DFL)


@contextlib.contextmanager
def left_to_system() -> Iterator[None]:
    """A context in which signals end the process although no Python code runs while TensorFlow waits."""
    leave_to_system()
    try:
        yield
    finally:
        heed()


def _handle(handler: Callable[[int, types.FrameType | None], NoReturn] | signal.Handlers) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _leave(number: int, _: types.FrameType | None) -> NoReturn:
    with contextlib.suppress(OSError):  # The terminal may be closed. Unlike print, this is safe in a handler.
        os.write(2, f"stopped by {signal.Signals(number).name}\n".encode())
    raise SystemExit(128 + number)
