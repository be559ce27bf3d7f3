"""HTML pages that need no other file and no network: tables, and pictures within them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

import matplotlib.figure

# A picture beside another has half the width of a desk's window and all of a phone's.
_STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6em; }
h2 { font-size: 1.2em; margin-top: 2em; }
.result { font-size: 2em; line-height: 1.2; margin: 0; }
.quiet, figcaption { color: #666; font-size: .9em; }
table { border-collapse: collapse; margin: .5em 0; }
th, td { text-align: left; vertical-align: top; padding: .15em .8em .15em 0; border-bottom: 1px solid #ddd;
  overflow-wrap: normal; font-variant-numeric: tabular-nums; }
tbody th { font-weight: normal; }
.long { overflow-wrap: anywhere; }
img { max-width: 100%; }
figure { margin: 1em 0; }
.beside { display: flex; flex-wrap: wrap; gap: 0 1em; }
.beside figure { flex: 1 1 24em; min-width: 0; }
"""


def text(words: str, style: str | None = None) -> str:
    """A paragraph."""
    return f"<p{_class(style)}>{html.escape(words)}</p>"


def code(words: str) -> str:
    """A command."""
    return f"<p><code>{html.escape(words)}</code></p>"


def heading(words: str) -> str:
    return f"<h2>{html.escape(words)}</h2>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first cell of a row is its heading."""
    body = "\n".join(_row("row", "td", cells) for cells in rows)
    return f"<table>\n<thead>{_row('col', 'th', head)}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _row(scope: str, tag: str, cells: Sequence[str]) -> str:
    first, *others = cells
    rest = "".join(f"<{tag}{_broken(cell)}>{html.escape(cell)}</{tag}>" for cell in others)
    return f'<tr><th scope="{scope}"{_broken(first)}>{html.escape(first)}</th>{rest}</tr>'


def picture(png: bytes, name: str, caption: str = "") -> str:
    """A picture with its name, for those who do not see it, and words below."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img alt="{html.escape(name)}" src="{source}">{below}</figure>'


def beside(*pictures: str) -> str:
    """Pictures beside each other, or below where the window is narrow."""
    return f'<div class="beside">{"".join(pictures)}</div>'


def drawn(figure: matplotlib.figure.Figure) -> bytes:
    """A figure as PNG, at twice the dots that a page of its size has."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def page(title: str, parts: Iterable[str]) -> str:
    title, body = html.escape(title), "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _class(style: str | None) -> str:
    return "" if style is None else f' class="{style}"'


def _broken(cell: str) -> str:
    """Where a table is narrow, only words are broken that would make it wider than a phone."""
    return _class("long" if any(len(word) > 20 for word in cell.split()) else None)
