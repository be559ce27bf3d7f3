"""Runs the command-line programs, each call in a process of its own."""

from __future__ import annotations

import dataclasses
import functools
import json
import multiprocessing
import os
import pathlib
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable

from tests import once

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
        if self.status not in (1, 2) or not lines or not lines[-1].startswith("error: ") or "Traceback" in self.errors:
            raise AssertionError(f"expected an error of one line, got status {self.status} and {self.errors}")
        return lines[-1].removeprefix("error: ")


def run(program: str, *flags: str, before: Callable[[], None] | None = None, **environment: str) -> Result:
    """`python -m launch.PROGRAM FLAGS`, with these environment variables, in a process that first calls `before`.

    A program with a dot in its name is a module of that name.
    """
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
    take_signals()
    sys.argv = [program, *flags]
    if before is not None:
        before()
    module = program if "." in program else f"launch.{program}"
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def take_signals() -> None:
    """Takes the signals that who started the tests may ignore: a shell does so for what it starts in the background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@functools.cache
def scratch() -> pathlib.Path:
    """A folder of this process that is gone when the tests are over."""
    folder = once.root() / f"process-{os.getpid()}"
    folder.mkdir()
    return folder


def train(folder: pathlib.Path, *flags: str, **environment: str) -> Result:
    """Trains a small model on digits."""
    return run("train", *_TINY, f"--data_dir={scratch()}/data", f"--output_dir={folder}", *flags, **environment)


@functools.cache
def trained() -> tuple[pathlib.Path, Result]:
    """The folder of a small run, which tests must leave as it is, and what the program said."""
    said = once.root() / "digits.json"

    def make(folder: pathlib.Path) -> None:
        said.write_text(json.dumps(dataclasses.asdict(train(folder, "--epochs=1"))))

    folder = once.made("digits", make)
    return folder, Result(**json.loads(said.read_text()))


@functools.cache
def trained_with_labels() -> pathlib.Path:
    """The folder of a small conditional run of two scales, whose pictures go elsewhere.

    Its learning rate is that of a plateau after two steps of warming up, and each step has a line of metrics.
    """

    def make(folder: pathlib.Path) -> None:
        recipe = ("--schedule=plateau", "--warmup_steps=2", "--log_every=1")
        result = train(folder, "--conditional", "--epochs=2", "--scales=2", *recipe)
        if result.status:
            raise AssertionError(result.errors)

    return once.made("digits_labels", make)


def digits() -> pathlib.Path:
    """The released model of digits."""
    return pathlib.Path(__file__).resolve().parents[2] / "saved_models/digits/1"


def exported() -> pathlib.Path:
    """The export of the small run, which loads faster: for what is refused."""
    return trained()[0] / "saved_model"


def contents(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """Every file below a folder with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
