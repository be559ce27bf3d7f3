"""A hook of mkdocs: pages of the site that are made from other files of the repository.

| pages | made from |
|---|---|
| `benchmarks/results/`, `saved_models/`, `examples/` | the Markdown and the pictures there, under the same paths |
| `examples/NAME.md` | the notebook `examples/NAME.ipynb`, with the outputs that it holds |
| `programs/NAME.md` | the flags of `launch.NAME`, by `tools/flags_pages.py` |
"""

from __future__ import annotations

import base64
import functools
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

_ROOT = pathlib.Path(__file__).parents[1]
_FOLDERS = ("benchmarks/results", "saved_models", "examples")


def on_config(config: Any) -> Any:
    """Lists the pages of the programs in the navigation."""
    (section,) = [entry["Programs"] for entry in config.nav if "Programs" in entry]
    section += [{name: f"programs/{name}.md"} for name in _programs()]
    return config


def on_files(files: Files, *, config: Any) -> Files:
    """All files of the site: those of docs/ and those made here."""
    for folder in _FOLDERS:
        for path in sorted((_ROOT / folder).rglob("*")):
            if path.suffix in (".md", ".png"):
                files.append(File.generated(config, str(path.relative_to(_ROOT)), abs_src_path=str(path)))
    for path in sorted((_ROOT / "examples").glob("*.ipynb")):
        for name, content in notebook(path):
            files.append(File.generated(config, f"examples/{name}", content=content))
    for name, content in _programs().items():
        files.append(File.generated(config, f"programs/{name}.md", content=content))
    return files


def notebook(path: pathlib.Path) -> Iterator[tuple[str, str | bytes]]:
    """A notebook's page and its pictures: names and contents."""
    parts = []
    for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for index, output in enumerate(cell["outputs"]):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                picture = f"{path.stem}-{number}-{index}.png"
                yield picture, base64.b64decode("".join(data["image/png"]))
                parts.append(f"![Output of the cell above]({picture})")
            elif text := "".join(data["text/plain"]).rstrip():
                parts.append(f"```text\n{text}\n```")
    yield f"{path.stem}.md", "\n\n".join(parts) + "\n"


@functools.cache
def _programs() -> dict[str, str]:
    result = subprocess.run([sys.executable, _ROOT / "tools/flags_pages.py"], capture_output=True, text=True)
    if result.returncode:
        raise PluginError(f"tools/flags_pages.py: {result.stderr}")
    return json.loads(result.stdout)
