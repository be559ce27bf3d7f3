"""How a program ends when it is asked to stop: in one line, without a traceback, with the signal's status."""

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
    """From here on SIGINT, SIGTERM and SIGHUP raise `SystemExit`; one that is ignored stays so, as under `nohup`."""
    _handle(_leave)


def leave_to_system() -> None:
    """What is left is Python's own end, which a signal may cut short without a traceback."""
    _handle(signal.SIG_DFL)


@contextlib.contextmanager
def left_to_system() -> Iterator[None]:
    """A context in which a signal ends the process although no Python runs, since TensorFlow waits for something."""
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
    with contextlib.suppress(OSError):  # The terminal may be closed. Unlike print, this may be called in a handler.
        os.write(2, f"stopped by {signal.Signals(number).name}\n".encode())
    raise SystemExit(128 + number)
