"""A folder for one process at a time."""

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
# The folders that this process has locked.
_HELD: set[str] = set()


class InUseError(RuntimeError):
    """A folder that another process has locked."""


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """A context in which no other process holds the lock of an existing folder, on this or another machine.

    The system releases the lock when the process ends, however it ends. Within this process the context may be nested.
    Where the file system has no locks, it warns and goes on.

    Raises:
      InUseError: when another process holds the lock; it names the process.
      OSError: when nothing can be written to the folder.
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
                with contextlib.suppress(OSError):  # The lock holds on a full disk, too.
                    os.write(file.fileno(), holder.encode())
                break
        _HELD.add(folder)
        stack.callback(_HELD.remove, folder)
        yield


def _lock(file: TextIO, path: pathlib.Path) -> bool:
    """Locks a file; false where the file system has no locks."""
    try:
        import fcntl  # Not on every system.

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
        logging.log_first_n(logging.WARNING, "%s cannot be locked here: start no second process in it", 1, path.parent)
        return False
    return True


def _is_at(file: TextIO, path: pathlib.Path) -> bool:
    """Whether the path still names the file, which the process that held the lock before removes at its end."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):  # The disk may have become read-only meanwhile.
        path.unlink()
