"""The console command, `tfp-realnvp`: runs a program, or lists them. So does `python -m launch`."""

from __future__ import annotations

import ast
import pathlib
import runpy
import sys
import textwrap

import launch
from launch import start_up

_FOLDER = pathlib.Path(__file__).parent


def console() -> int:
    """The entry point of `tfp-realnvp`."""
    launch.call = "tfp-realnvp "
    return main(sys.argv[1:])


def main(argv: list[str]) -> int:
    """Runs the program named by the first argument with the remaining arguments; returns the exit status.

    Without arguments it lists the programs, and with `--version` it prints the version.
    """
    if argv == ["--version"]:
        print(f"tfp_realnvp {runpy.run_path(str(_FOLDER.parent / 'tfp_realnvp/version.py'))['__version__']}")
        return 0
    programs = _programs()
    if argv in ([], ["--help"]):
        print(f"usage: {launch.call}PROGRAM [FLAGS]\n")
        for name, summary in programs.items():
            print(textwrap.fill(f"  {name:12}{summary}", width=80, subsequent_indent=" " * 14))
        print("\nEach lists its flags with --help.")
        print(f"Flagfiles, and files for servers and clusters, are in\n{_FOLDER}")
        return 0
    program, *rest = argv
    if program not in programs:
        print(f"error: expected PROGRAM to be one of {', '.join(programs)}, got {program}", file=sys.stderr)
        return 2
    start_up.begin()
    sys.argv[1:] = rest
    runpy.run_module(f"launch.{program}", run_name="__main__", alter_sys=True)
    return 0


def _programs() -> dict[str, str]:
    """The summary of each program by its name, in order."""
    # Parsed, since importing would take seconds each.
    texts = {file.stem: ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "" for file in _FOLDER.glob("*.py")}
    return {
        name: text.splitlines()[0]
        for name, text in sorted(texts.items())
        if f"python -m launch.{name} " in text or f"python -m launch.{name}\n" in text
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
