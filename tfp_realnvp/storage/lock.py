"""Locks a folder for one process at a time."""

import contextlib
import errno
import os
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import TextIO

from absl import logging

_NAME = ".lock"
# Some network file systems have no locks.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
# Folders locked by this process.
_HELD: set[str] = set()


class InUseError(RuntimeError):
    """The folder is locked by another process."""


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """A context in which no other process holds the lock of an existing folder, on this or another machine.

    The operating system releases the lock whenever the process ends. Within this process the context may be nested. If
    the file system does not support locks, it warns and continues.

    Raises:
      InUseError: if another process holds the lock; names the process.
      OSError: if the folder is not writable.
    """
    folder = os.path.realpath(folder)
    if folder in _HELD:
        yield
        return
    path = pathlib.Path(folder) / _NAME
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(path.open("a+"))
            if not _lock(file, path) or _is_at(file, path):
                stack.callback(_remove, path)
                file.truncate(0)
                started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
                holder = f"process {os.getpid()} on {socket.gethostname()} since {started}"
                with contextlib.suppress(OSError):  # The lock also holds on a full disk.
                    os.write(file.fileno(), holder.encode())
                break
        _HELD.add(folder)
        stack.callback(_HELD.remove, folder)
        yield


def _lock(file: TextIO, path: pathlib.Path) -> bool:
    """Locks a file; returns false if the file system does not support locks."""
    try:
        import fcntl  # Not available on every system.

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read() or "another process"
        raise InUseError(
            f"{path.parent} is in use by {holder}: wait until it has ended, or choose another folder"
        ) from None
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
            raise
        logging.log_first_n(logging.WARNING, "%s cannot be locked: do not start a second process in it", 1, path.parent)
        return False
    return True


def _is_at(file: TextIO, path: pathlib.Path) -> bool:
    """Whether the path still refers to the file: the previous holder of the lock removes it on exit."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):  # The disk may have become read-only meanwhile.
        path.unlink()
