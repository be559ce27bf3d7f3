"""Files and folders that are written whole or not at all, and errors that name them."""

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
# Errors of the disk or of the rights to it, and of paths. As TensorFlow writes them: the path, then the reason.
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_OF_PATHS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_REASONS = {os.strerror(number): number for number in (*_OF_WRITING, *_OF_PATHS)}
_OF_TENSORFLOW = re.compile(
    rf"(?:\{{\{{.*\}}\}} )?(?:.*: )?(.+)(?:; ({'|'.join(map(re.escape, _REASONS))})| is not a directory)"
)


@contextlib.contextmanager
def unfinished(parent: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """A hidden folder in an existing one for what is not whole yet; it is removed when the block ends.

    It is closed to other users, so that what is renamed out of it should be inside.
    """
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=parent) as folder, locked(folder):
        yield pathlib.Path(folder)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """A path for a file or a folder that takes the place of `path` when the block ends without an error.

    It lies in a hidden folder beside `path`, which is made with its parents as needed. Until the block ends, and after
    an error, `path` is as it was. A link keeps its place, and what it names is replaced; a device is written to.

    Raises:
      OSError: `PATH cannot be written: REASON`, for errors of storage of Python and of TensorFlow.
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
    """Writes a file, whole or not at all; text in UTF-8.

    Raises:
      OSError: as `replacing`.
    """
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def sweep(folder: str | os.PathLike[str]) -> None:
    """Removes the `unfinished` folders that processes left in a folder when they were killed."""
    for part in pathlib.Path(folder).glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(InUseError, OSError), locked(part):  # Otherwise a process is at work in it.
            shutil.rmtree(part, ignore_errors=True)


def failure(error: Exception) -> str | None:
    """An error of storage in one sentence, with its path; None for any other error.

    Args:
      error: of Python, or of TensorFlow, whose errors say it in their text alone.
    """
    if isinstance(error, WriteError):
        return str(error)
    if (found := _path_and_number(error)) is None:
        return None
    path, number = found
    return f"{path} cannot be {'written' if number in _OF_WRITING else 'read or written'}: {os.strerror(number)}"


def reason(error: Exception) -> str | None:
    """What the system says of an error of storage; None for any other error."""
    found = _path_and_number(error)
    return found and os.strerror(found[1])


def _path_and_number(error: Exception) -> tuple[str, int] | None:
    """The path that an error of storage is about, and the system's number for it."""
    if isinstance(error, OSError) and error.errno is not None:
        return str(error.filename or "the output"), error.errno
    if isinstance(error, tf.errors.OpError) and (found := _OF_TENSORFLOW.match(error.message)):
        return found[1], _REASONS[found[2]] if found[2] else errno.ENOTDIR
    return None


def _rename(part: pathlib.Path, path: pathlib.Path) -> None:
    """Renames a file or a folder over another of its kind."""
    if not (part.is_dir() and path.is_dir()):
        part.replace(path)
        return
    before = part.with_name("before")  # A folder that is not empty cannot be renamed over.
    path.rename(before)
    try:
        part.rename(path)
    finally:
        if not path.exists():  # After an error, or a signal that ends the program.
            before.rename(path)


class WriteError(OSError):
    """A file or folder that could not be written."""

    def __str__(self) -> str:
        return f"{self.filename} cannot be written: {self.strerror}"


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
    """Errors of storage name `path`, not what was written aside or nothing at all."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if (found := _path_and_number(error)) is None:
            raise
        raise WriteError(found[1], os.strerror(found[1]), str(path)) from error
