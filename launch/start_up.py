"""A program's first steps: installs signal handlers, and imports TensorFlow without its start-up lines."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import types
from collections.abc import Iterator

from launch import signals

# Lines of absl's C++ logging: severity and date, time, thread, file. Fatal ones, F, are not included.
_LOG = re.compile(rb"WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} [\d:.]+ +\d+ [\w/]+\.cc:\d+\]")
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Packages that a program may import with its modules, and their extras.
_EXTRAS = {"matplotlib": "plots"}


def begin() -> None:
    """Installs signal handlers and imports TensorFlow, which takes seconds.

    TensorFlow reads `TF_CPP_MIN_LOG_LEVEL` too late for lines that its libraries log while loading. Unless the user has
    set it, those lines are dropped, and the variable is set for the rest of the process.
    """
    signals.heed()
    sys.excepthook = _in_one_line
    quiet = contextlib.nullcontext() if _LEVEL in os.environ else _without_logs()
    os.environ.setdefault(_LEVEL, "3")
    with quiet:
        import tensorflow  # noqa: F401


def _in_one_line(kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None) -> None:
    """Reports that a package is missing without a traceback; other errors as Python does."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and package in _EXTRAS:
        print(f"error: {package} is not installed: pip install 'tfp_realnvp[{_EXTRAS[package]}]'", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


@contextlib.contextmanager
def _without_logs() -> Iterator[None]:
    """A context that holds the process's stderr back, and writes it without log lines at the end."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            others = b"".join(line for line in held if not _LOG.match(line))
            with contextlib.suppress(OSError):  # The terminal may be closed.
                os.write(2, others)
