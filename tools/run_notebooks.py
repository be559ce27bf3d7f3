"""Runs the notebooks of examples/ from top to bottom and writes their outputs into them.

    python -m pip install nbclient ipykernel
    python tools/run_notebooks.py                      # all: a quarter of an hour on two cores
    python tools/run_notebooks.py examples/serving.ipynb

Of the outputs, what TensorFlow logs is left out.
"""

from __future__ import annotations

import pathlib
import re
import sys
import tempfile

import nbclient
import nbformat

_ROOT = pathlib.Path(__file__).parents[1]


def run(path: pathlib.Path) -> None:
    """Runs a notebook in a folder of its own, and replaces the file."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        nbclient.execute(notebook, cwd=folder, timeout=None, record_timing=False, coalesce_streams=True)
    path.write_text(tidy(notebook), "utf-8")


def tidy(notebook: nbformat.NotebookNode) -> str:
    """The notebook as it is kept: without logs, and without what tells of the machine."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.text = re.sub("(?m)^INFO:tensorflow:.*\n", "", output.text)
            cell.outputs = [
                output for output in cell.outputs if output.get("name") != "stderr" and output.get("text", " ")
            ]
    notebook.metadata.language_info = {"name": "python"}
    return nbformat.writes(notebook) + "\n"


def main(arguments: list[str]) -> None:
    for path in map(pathlib.Path, arguments or sorted((_ROOT / "examples").glob("*.ipynb"))):
        print(f"running {path}", flush=True)
        run(path)


if __name__ == "__main__":
    main(sys.argv[1:])
