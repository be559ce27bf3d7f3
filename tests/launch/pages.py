"""What an HTML page says, as a reader of it finds it."""

from __future__ import annotations

import base64
import html.parser

import numpy as np
import tensorflow as tf

_VOID = {"meta", "img"}


class Page(html.parser.HTMLParser):
    """The text of a page by its element, its tables and its pictures; an element that is not closed is an error.

    Attributes:
      headings: the title and those of parts.
      words: paragraphs, and what stands below pictures.
      rows: the cells of each row of each table.
      pictures: uint8 `[height, width, channels]` by name.
      references: what the page refers to.
    """

    def __init__(self, text: str):
        super().__init__()
        self._open: list[str] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.pictures: dict[str, np.ndarray] = {}
        self.references: list[str] = []
        self.feed(text)
        self.close()
        if self._open:
            raise AssertionError(f"expected every element to be closed, got {self._open}")

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.references += [attributes[name] for name in ("src", "href", "srcset", "data") if name in attributes]
        if tag == "img":
            kind, content = attributes["src"].split(",", 1)
            assert kind == "data:image/png;base64"
            self.pictures[attributes["alt"]] = tf.io.decode_png(base64.b64decode(content, validate=True)).numpy()
        if tag == "tr":
            self.rows.append([])
        texts = self._texts(tag)
        if texts is not None:
            texts.append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if self._open.pop() != tag:
            raise AssertionError(f"expected the end of another element than {tag}")

    def handle_data(self, data):
        texts = next(filter(None, map(self._texts, reversed(self._open))), None)
        if texts is not None:
            texts[-1] += data

    def _texts(self, tag: str) -> list[str] | None:
        """Where the text of an element belongs."""
        if tag in ("td", "th"):
            return self.rows[-1]
        return {"h1": self.headings, "h2": self.headings, "p": self.words, "figcaption": self.words}.get(tag)
