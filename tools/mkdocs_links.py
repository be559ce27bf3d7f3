"""A hook of mkdocs: links from the pages to files of the repository that are not part of the site.

On a code host such a link works; in the site it would lead nowhere, and `--strict` would say so. There the path of the
file stands behind the text instead, for the reader who has a checkout. That the file exists is asked here, too.
"""

import pathlib
import posixpath
import re
from typing import Any

from mkdocs.exceptions import PluginError

_ROOT = pathlib.Path(__file__).parents[1]
_OUTSIDE = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page with its links to files outside of docs/ made text."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def named(match: re.Match) -> str:
        text, target = match.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        if path.startswith("docs/"):
            return match[0]
        if not (_ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri}: expected a file of the repository, got {path}")
        return f"`{path}`" if text in path else f"{text} (`{path}`)"

    return _OUTSIDE.sub(named, markdown)
