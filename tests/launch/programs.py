"""Runs the command-line programs, each call in a process of its own."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable

# A server imports TensorFlow once, and makes a copy of itself for each call.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["launch.run", "tfp_realnvp"])

_TINY = ("--scales=1", "--width=2", "--blocks=0", "--batch_size=400", "--verbose=2")


@dataclasses.dataclass(frozen=True)
class Result:
    """How a program ended: its exit status and what it wrote."""

    status: int
    output: str
    errors: str

    @property
    def error(self) -> str:
        """The one line of an error that is the user's; no other may be there, and no traceback."""
        lines = [line for line in self.errors.splitlines() if line]
        if self.status != 1 or not lines or not lines[-1].startswith("error: ") or "Traceback" in self.errors:
            raise AssertionError(f"expected an error of one line, got status {self.status} and {self.errors}")
        return lines[-1].removeprefix("error: ")


def run(program: str, *flags: str, before: Callable[[], None] | None = None, **environment: str) -> Result:
    """`python -m launch.PROGRAM FLAGS`, with these environment variables, in a process that first calls `before`."""
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("output", "errors")]
        process = _processes.Process(target=_main, args=(program, flags, before, environment, *files))
        process.start()
        process.join()
        return Result(process.exitcode, *(pathlib.Path(file).read_text() for file in files))


def _main(
    program: str,
    flags: tuple[str, ...],
    before: Callable[[], None] | None,
    environment: dict[str, str],
    output: str,
    errors: str,
) -> None:
    for stream, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    os.environ.update(environment)
    sys.argv = [program, *flags]
    if before is not None:
        before()
    runpy.run_module(f"launch.{program}", run_name="__main__", alter_sys=True)


@functools.cache
def scratch() -> pathlib.Path:
    """A folder that is gone when the tests are over."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


def train(folder: pathlib.Path, *flags: str, **environment: str) -> Result:
    """Trains a small model on digits."""
    return run("train", *_TINY, f"--data_dir={scratch()}/data", f"--output_dir={folder}", *flags, **environment)


@functools.cache
def trained() -> tuple[pathlib.Path, Result]:
    """The folder of a small run, which tests must leave as it is, and what the program said."""
    folder = scratch() / "digits"
    return folder, train(folder, "--epochs=1")


@functools.cache
def trained_with_labels() -> pathlib.Path:
    """The folder of a small conditional run of two scales, whose pictures go elsewhere."""
    folder = scratch() / "digits_labels"
    result = train(folder, "--conditional", "--epochs=2", "--scales=2")
    if result.status:
        raise AssertionError(result.errors)
    return folder


def digits() -> pathlib.Path:
    """The released model of digits."""
    return pathlib.Path(__file__).resolve().parents[2] / "saved_models/digits/1"


def contents(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """Every file below a folder with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
