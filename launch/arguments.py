"""A program's command line: its flags, its help, its version."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from absl import flags

import launch
import tfp_realnvp as nvp
from tfp_realnvp import paths

_FLAGFILES = pathlib.Path(__file__).parent / "flagfiles"

flags.disclaim_key_flags()  # Flags defined here belong to the calling modules.


class _PathParser(flags.ArgumentParser[str]):
    syntactic_help = "a path, where ~ is your home folder"

    def __init__(self, local: Callable[[str], Any]):
        self._local = local

    def parse(self, argument: str) -> str:
        return str(self._local(argument))

    def flag_type(self) -> str:
        return "path"


@overload
def DEFINE_path(
    name: str, default: None, help: str, local: Callable[[str], Any] = paths.local, *, required: Literal[True]
) -> flags.FlagHolder[str]: ...
@overload
def DEFINE_path(
    name: str, default: str | None, help: str, local: Callable[[str], Any] = paths.local
) -> flags.FlagHolder[str | None]: ...
def DEFINE_path(
    name: str, default: str | None, help: str, local: Callable[[str], Any] = paths.local, **kwargs: Any
) -> flags.FlagHolder[Any]:
    """Defines a flag for a file or folder, parsed by `paths.local`."""
    return flags.DEFINE(_PathParser(local), name, default, help, serializer=flags.ArgumentSerializer(), **kwargs)


def DEFINE_label(help: str) -> flags.FlagHolder[str | None]:
    """Defines the flag `--label`, a class of a conditional model."""
    return flags.DEFINE_string("label", None, f"{help} By its name, or its number from 0.")


# A program's positional arguments: the ones it takes, and the ones given.
_TAKEN: list[str] = []
_GIVEN: list[str] = []


def DEFINE_positional(name: str) -> None:
    """Adds a positional argument; `name` stands for it in messages."""
    _TAKEN.append(name)


def positional() -> list[str]:
    """The positional arguments, as many as were defined."""
    return list(_GIVEN)


def parse(argv: Sequence[str]) -> list[str]:
    """Parses flags for `absl.app.run`. Errors print one line and exit with status 2, help exits with status 0.

    `--flagfile=NAME` is a path, or the name of a file that comes with the package, for example `cifar10`.

    Returns:
      The remaining arguments: the program's name alone.
    """
    if list(argv[1:]) == ["--version"]:  # Only by itself, since `launch.export` has a flag of this name.
        print(f"tfp_realnvp {nvp.__version__}")
        sys.exit(0)
    for module, defined in list(flags.FLAGS.flags_by_module_dict().items()):
        if module.startswith("launch."):
            for flag in defined:  # The flags that --help lists: this package's only.
                flags.FLAGS.register_key_flag_for_module(argv[0], flag)
    main = sys.modules["__main__"]
    main.__doc__ = start_of_help(main.__doc__ or "")
    try:
        left = flags.FLAGS(with_flagfiles(argv))
        _GIVEN[:] = left[1:]
        if len(_GIVEN) != len(_TAKEN):
            expected = f"{' '.join(_TAKEN)} and flags" if _TAKEN else "flags only"
            raise flags.Error(f"expected {expected}, got {' '.join(_GIVEN) or 'no such argument'}")
        return left[:1]
    except flags.Error as error:
        reason = " ".join(str(error).removeprefix("ERROR:: ").split())
        print(f"error: {reason}; --help lists the flags", file=sys.stderr)
        sys.exit(2)
    except SystemExit:  # Only help exits here, with absl's status 1.
        sys.exit(0)


def typed(argv: Sequence[str]) -> str:
    """A program's call as the user typed it."""
    return launch.call + shlex.join([pathlib.Path(argv[0]).stem, *argv[1:]])


def start_of_help(docstring: str) -> str:
    """The start of --help: a program's docstring wrapped for a terminal, with examples as they are called here."""
    paragraphs = docstring.replace("python -m launch.", launch.call).strip().split("\n\n")
    return "\n\n".join(text if text.startswith(" ") else textwrap.fill(text, 80) for text in paragraphs) + "\n"


def with_flagfiles(argv: Sequence[str]) -> list[str]:
    """The arguments with names of packaged flagfiles replaced by their paths."""

    def found(match: re.Match[str]) -> str:
        file = _FLAGFILES / f"{match[2]}.flags"
        return match[0] if os.path.exists(match[2]) or not file.is_file() else match[1] + str(file)

    # Both `--flagfile=NAME` and `--flagfile NAME`.
    return re.sub(r"(?<![^\0])(--?flagfile[=\0])([^\0]+)", found, "\0".join(argv)).split("\0")
