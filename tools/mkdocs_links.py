"""A hook of mkdocs: links of the pages to files of the repository.

A page's links are relative to its file, as code hosts resolve them. A link to a file that is on the site leads there.
Any other file is not part of the site: its path is written behind the text, for a reader who has a checkout. A file
that does not exist is an error.
"""

import pathlib
import posixpath
import re
from typing import Any

from mkdocs.exceptions import PluginError

_ROOT = pathlib.Path(__file__).parents[1]
_LINK = re.compile(r"(!?)\[([^\]]+)\]\((?!\w+:|#)([^)#]+)(#[^)]*)?\)")
_CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, files: Any, **_: Any) -> str:
    """The page with its links to other parts of the repository."""
    source = page.file.src_uri
    # What is not of docs/ has its path in the repository, see tools/mkdocs_pages.py.
    in_docs = page.file.generated_by is None
    folder = posixpath.dirname(posixpath.join("docs", source) if in_docs else source)

    def linked(match: re.Match) -> str:
        image, text, target, anchor = match.groups(default="")
        path = posixpath.normpath(posixpath.join(folder, target))
        if in_docs and path.startswith("docs/"):
            return match[0]  # mkdocs looks after these.
        for there in (path.removeprefix("docs/"), path.removesuffix(".ipynb") + ".md", f"{path}/README.md"):
            if files.get_file_from_path(there):
                return f"{image}[{text}]({posixpath.relpath(there, posixpath.dirname(source) or '.')}{anchor})"
        if not (_ROOT / path).exists():
            raise PluginError(f"{source}: expected a file of the repository, got {path}")
        return f"`{path}`" if text in path else f"{text} (`{path}`)"

    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(linked, part) for part in parts[::2]]
    return "".join(parts)
