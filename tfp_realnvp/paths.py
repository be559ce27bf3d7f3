"""Paths as users write them, and as TensorFlow reads them."""

import atexit
import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

# TensorFlow takes these for a pattern in the name of a checkpoint or SavedModel that it reads, and of checkpoints that
# it deletes; not in what it writes.
_PATTERN = frozenset("[]*?\\")
_LASTING: dict[str, str] = {}
_LONGEST_NAME = 255  # bytes, on all common file systems


def local(path: str | os.PathLike) -> pathlib.Path:
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


def local_or_remote(path: str | os.PathLike) -> str:
    """As `local`, but an address such as gs://bucket/folder stays as it is, for TFDS to read."""
    text = os.fspath(path)
    return text if "://" in text else str(local(text))


@contextlib.contextmanager
def plain(path: str | os.PathLike) -> Iterator[str]:
    """The same folder, or prefix of a checkpoint, under a path that TensorFlow does not take for a pattern.

    It is `path` itself, unless that has one of `[]*?\\`: then links to it in a temporary folder, which are removed when
    the block ends. No escape would do, for TensorFlow opens the file by the pattern itself.

    Raises:
      ValueError: when the temporary folder has such a path, too.
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
            if entry == name or entry.startswith(f"{name}."):  # A folder; an index, and data.
                os.symlink(os.path.join(parent, entry), os.path.join(folder, f"plain{entry[len(name) :]}"))
        yield os.path.join(folder, "plain")


def for_tfds(data_dir: str | os.PathLike) -> str:
    """A folder of TFDS sets under a path in which TFDS sees no pattern, until the process ends; itself where remote."""
    path = os.fspath(data_dir)
    if "://" in path or not os.path.isdir(path):
        return path
    path = os.path.abspath(path)
    if path not in _LASTING:
        links = contextlib.ExitStack()
        atexit.register(links.close)
        _LASTING[path] = links.enter_context(plain(path))
    return _LASTING[path]
