"""Paths as users write them and as TensorFlow reads them."""

import atexit
import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

# TensorFlow interprets these as a pattern in paths of checkpoints and SavedModels that it reads and of checkpoints that
# it deletes, but not in paths that it writes.
_PATTERN = frozenset("[]*?\\")
_LASTING: dict[str, str] = {}
_LONGEST_NAME = 255  # bytes, on all common file systems


def local(path: str | os.PathLike[str]) -> pathlib.Path:
    """The path of a file or folder on this machine; `~` and `~user` are home folders, as in a shell.

    Raises:
      ValueError: for an empty path, an address such as gs://bucket/folder, or a name that no file can have.
    """
    text = os.fspath(path)
    if not text:
        raise ValueError("expected a path, got an empty one")
    if "://" in text:
        raise ValueError(f"expected a path on a local disk, got {text}")
    expanded = pathlib.Path(os.path.expanduser(text))
    for name in expanded.parts:
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise ValueError(f"expected a path in UTF-8, got {os.fsencode(text)!r}") from None
        if size > _LONGEST_NAME:
            raise ValueError(
                f"expected names of at most {_LONGEST_NAME} bytes in a path, got one of {size}: {name[:20]}..."
            )
    return expanded


def local_or_remote(path: str | os.PathLike[str]) -> str:
    """As `local`, but an address such as gs://bucket/folder is left unchanged for TFDS."""
    text = os.fspath(path)
    return text if "://" in text else str(local(text))


@contextlib.contextmanager
def plain(path: str | os.PathLike[str]) -> Iterator[str]:
    """The same folder, or checkpoint prefix, under a path that TensorFlow does not interpret as a pattern.

    Yields `path` itself unless it contains one of `[]*?\\`; otherwise links in a temporary folder, which are removed
    when the block ends. Escaping does not help, since TensorFlow also opens the file by the pattern.

    Raises:
      ValueError: if the temporary folder has such a path, too.
    """
    path = os.fspath(path)
    if _PATTERN.isdisjoint(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tfp_realnvp.") as folder:
        if not _PATTERN.isdisjoint(folder):
            raise ValueError(f"expected a temporary folder (TMPDIR) without any of {''.join(_PATTERN)}, got {folder}")
        parent, name = os.path.split(os.path.abspath(path))
        for entry in os.listdir(parent):
            if entry == name or entry.startswith(f"{name}."):  # A folder, or an index and data files.
                os.symlink(os.path.join(parent, entry), os.path.join(folder, f"plain{entry[len(name) :]}"))
        yield os.path.join(folder, "plain")


def for_tfds(data_dir: str | os.PathLike[str]) -> str:
    """A TFDS folder under a path without patterns, until the process ends; remote addresses are unchanged."""
    path = os.fspath(data_dir)
    if "://" in path or not os.path.isdir(path):
        return path
    path = os.path.abspath(path)
    if path not in _LASTING:
        links = contextlib.ExitStack()
        atexit.register(links.close)
        _LASTING[path] = links.enter_context(plain(path))
    return _LASTING[path]
