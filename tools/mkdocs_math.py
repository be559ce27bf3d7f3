r"""A hook of mkdocs: formulas as MathML, which browsers draw without a script.

Pages write a formula as a code host understands it, `$ ... $` in a line and `$$ ... $$` as a block; the extension
`pymdownx.arithmatex` finds them.
"""

from __future__ import annotations

import html
import re
from typing import Any

import latex2mathml.converter

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# What the converter leaves to be desired.
_MENDED = (
    # TeX has a thin space between log and x, but none between log and a parenthesis.
    (
        re.compile(r"(<mi>(?:log|tanh|cosh|sinh|cos|sin)</mi>)(?=<(?:mi|mn|msub|msup|mrow|mfrac|msubsup))"),
        r'\1<mspace width="0.17em"/>',
    ),
    (re.compile(r"<mi>&#x02032;</mi>"), "<mo>&#x02032;</mo>"),
)


def on_page_content(html: str, **_: Any) -> str:
    """The page with its formulas in MathML."""
    return _FORMULA.sub(_mathml, html)


def _mathml(formula: re.Match[str]) -> str:
    display = "inline" if formula[1] == "span" else "block"
    mathml = latex2mathml.converter.convert(html.unescape(formula[2]).strip(), display=display)
    for found, mended in _MENDED:
        mathml = found.sub(mended, mathml)
    return mathml
