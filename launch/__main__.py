"""Lists the programs: python -m launch."""

from __future__ import annotations

import ast
import importlib.metadata
import pathlib
import sys


def main(argv: list[str]) -> int:
    """Prints a line for each program, or the version; returns the exit status."""
    if argv == ["--version"]:
        print(f"tfp_realnvp {importlib.metadata.version('tfp_realnvp')}")
        return 0
    if argv not in ([], ["--help"]):
        print(f"error: expected python -m launch.PROGRAM, got python -m launch {' '.join(argv)}", file=sys.stderr)
        return 2
    # Read and not imported, which would take seconds each.
    found = {file.stem: ast.parse(file.read_text("utf-8")) for file in pathlib.Path(__file__).parent.glob("*.py")}
    for name, tree in sorted(found.items()):
        docstring = ast.get_docstring(tree) or ""
        if f"python -m launch.{name} " in docstring or f"python -m launch.{name}\n" in docstring:
            print(f"python -m launch.{name:12} {docstring.splitlines()[0]}")
    print("\nEach lists its flags with --help.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
