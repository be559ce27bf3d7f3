"""Prints the pages of the programs' flags as JSON: the name of each page and its Markdown.

    python tools/flags_pages.py

Each program is imported in a process of its own, because two programs may define a flag of the same name. The processes
are forks of one that has imported TensorFlow.
"""

from __future__ import annotations

import html
import importlib
import inspect
import json
import multiprocessing
import pathlib
import re
import sys
import textwrap

_ROOT = pathlib.Path(__file__).parents[1]


def programs() -> list[str]:
    """The modules of `launch` that are started as programs."""
    files = (_ROOT / "launch").glob("[!_]*.py")
    return sorted(file.stem for file in files if '__name__ == "__main__"' in file.read_text("utf-8"))


def page(program: str) -> str:
    """A program's docstring and its flags, by the module that defines them."""
    from absl import flags

    module = importlib.import_module(f"launch.{program}")
    lines = [f"# {program}", "", *_prose((inspect.getdoc(module) or "").replace("python -m launch.", "tfp-realnvp "))]
    defined = flags.FLAGS.flags_by_module_dict()
    names = sorted((name for name in defined if name.startswith("launch.")), key=lambda name: name != module.__name__)
    for name in names:
        summary = (inspect.getdoc(sys.modules[name]) or name).splitlines()[0].rstrip(".")
        lines += ["## " + ("Flags of this program" if name == module.__name__ else summary), ""]
        for flag in sorted(defined[name], key=lambda flag: flag.name):
            lines += [_spelling(flag), "", *textwrap.wrap(_meaning(flag), 10_000, initial_indent=":   "), ""]
    return "\n".join(lines)


def _prose(docstring: str) -> list[str]:
    """A docstring whose indented blocks are shell commands, as Markdown."""
    escaped = (line if line.startswith("    ") else _escaped(line) for line in docstring.splitlines())
    return [*re.sub(r"(?m)(^    .*\n?)+", _fenced, "\n".join(escaped)).splitlines(), ""]


def _fenced(block: re.Match[str]) -> str:
    return f"```sh\n{textwrap.dedent(block[0]).rstrip()}\n```\n"


def _spelling(flag) -> str:
    if flag.boolean:
        return f"`--[no]{flag.name}`"
    kind = flag.flag_type()
    value = "|".join(getattr(flag.parser, "enum_values", ())) or {"int": "N", "float": "X", "path": "PATH"}.get(kind)
    return f"`--{flag.name}={value or ('VALUE,...' if 'list' in kind else 'VALUE')}`"


def _meaning(flag) -> str:
    text = " ".join((flag.help or "").split())
    if hasattr(flag.parser, "enum_values"):  # absl's help repeats the values.
        text = re.sub(r"^<[^>]*>: ", "", text)
    default = "" if flag.default is None else f" Default: `{flag.default_as_str[1:-1]}`."
    return _escaped(text) + default


def _escaped(text: str) -> str:
    """Text in which nothing but code in backticks is Markdown."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([\\*_\[\]#])", r"\\\1", html.escape(part, quote=False)) for part in parts[::2]]
    return re.sub(r"docs/([\w\\]+)\.md", _link, "".join(parts))


def _link(page: re.Match[str]) -> str:
    target = page[1].replace("\\", "")
    return f"[{page[0]}](../{target}.md)"


def main() -> None:
    sys.path.insert(0, str(_ROOT))
    import tfp_realnvp  # noqa: F401  Imported here, and not in each fork.

    names = programs()
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        print(json.dumps(dict(zip(names, pool.map(page, names, chunksize=1)))))


if __name__ == "__main__":
    main()
