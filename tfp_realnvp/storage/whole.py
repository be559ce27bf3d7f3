"""Atomic writes of files and folders, and storage errors that name the path."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from tfp_realnvp.storage.lock import InUseError, locked

_UNFINISHED = ".unfinished."
# Errors of disks, permissions and paths. TensorFlow's messages contain the path, then the reason.
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_OF_PATHS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_REASONS = {os.strerror(number): number for number in (*_OF_WRITING, *_OF_PATHS)}
_OF_TENSORFLOW = re.compile(
    rf"(?:\{{\{{.*\}}\}} )?(?:.*: )?(.+)(?:; ({'|'.join(map(re.escape, _REASONS))})| is not a directory)"
)


@contextlib.contextmanager
def unfinished(parent: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """A hidden folder for unfinished files inside an existing one; it is removed when the block ends.

    It is closed to other users, so rename its children out of it, not the folder itself.
    """
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=parent) as folder, locked(folder):
        yield pathlib.Path(folder)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """A path for a file or a folder that replaces `path` when the block ends without an error.

    It lies in a hidden folder next to `path`; parent folders are created as needed. Until the block ends, and after an
    error, `path` is unchanged. A link stays and its target is replaced; a device is written to directly.

    Raises:
      OSError: `PATH cannot be written: REASON`, for storage errors of Python and TensorFlow.
    """
    path = pathlib.Path(path)
    with _naming(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            yield path
            return
        path = pathlib.Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(path.parent) as folder:
            part = folder / path.name
            yield part
            _rename(part, path)


def write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file atomically; text in UTF-8.

    Raises:
      OSError: as `replacing`.
    """
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def sweep(folder: str | os.PathLike[str]) -> None:
    """Removes the `unfinished` folders that killed processes left in a folder."""
    for part in pathlib.Path(folder).glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(InUseError, OSError), locked(part):  # Otherwise a process is using it.
            shutil.rmtree(part, ignore_errors=True)


def failure(error: Exception) -> str | None:
    """A storage error in one sentence, with its path; None for any other error.

    Args:
      error: an error of Python, or of TensorFlow, which states path and reason only in its text.
    """
    if isinstance(error, WriteError):
        return str(error)
    if (found := _path_and_number(error)) is None:
        return None
    path, number = found
    return f"{path} cannot be {'written' if number in _OF_WRITING else 'read or written'}: {os.strerror(number)}"


def reason(error: Exception) -> str | None:
    """The system's message for a storage error; None for any other error."""
    found = _path_and_number(error)
    return found and os.strerror(found[1])


def _path_and_number(error: Exception) -> tuple[str, int] | None:
    """The path of a storage error, and its error number."""
    if isinstance(error, OSError) and error.errno is not None:
        return str(error.filename or "the output"), error.errno
    if isinstance(error, tf.errors.OpError) and (found := _OF_TENSORFLOW.match(error.message)):
        return found[1], _REASONS[found[2]] if found[2] else errno.ENOTDIR
    return None


def _rename(part: pathlib.Path, path: pathlib.Path) -> None:
    """Renames a file or a folder over another one of the same kind."""
    if not (part.is_dir() and path.is_dir()):
        part.replace(path)
        return
    before = part.with_name("before")  # A non-empty folder cannot be renamed over.
    path.rename(before)
    try:
        part.rename(path)
    finally:
        if not path.exists():  # After an error or a terminating signal.
            before.rename(path)


class WriteError(OSError):
    """A file or folder that could not be written."""

    def __str__(self) -> str:
        return f"{self.filename} cannot be written: {self.strerror}"


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
    """Makes storage errors name `path` instead of the temporary path or nothing."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if (found := _path_and_number(error)) is None:
            raise
        raise WriteError(found[1], os.strerror(found[1]), str(path)) from error
