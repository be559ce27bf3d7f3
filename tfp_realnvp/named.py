"""Parses settings that name an object and its options, such as "adamax(beta_2=0.99)"."""

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any


def named(text: str, table: Mapping[str, Callable[..., Any]], what: str) -> functools.partial[Any]:
    """The table entry named by a text such as "adamax(beta_2=0.99)", with its options bound; see `all_named`."""
    found = all_named(text, table, what)
    if len(found) != 1:
        raise ValueError(f"expected {what} to be one of {', '.join(table)}, got {text!r}")
    return found[0]


def all_named(text: str, table: Mapping[str, Callable[..., Any]], what: str) -> list[functools.partial[Any]]:
    """The table entries named by a text such as "sigmoidal(components=4) + affine", with their options bound.

    Options are numbers, text (quotes may be omitted), true, false, none, or lists of these. For a text option, none is
    text, too.

    Args:
      text: one name, or several joined by "+", each with optional options in parentheses.
      table: functions and classes by name.
      what: name of the setting in error messages.

    Raises:
      ValueError: for any other syntax, a name that is not in the table, an unknown option, or an option whose type
        differs from its default's.
    """
    try:
        parts = _parts(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        parts = [(text, {})]
    found = []
    for name, options in parts:
        if name not in table:
            raise ValueError(f"expected {what} to be one of {', '.join(table)}, got {text!r}")
        parameters = inspect.signature(table[name]).parameters.values()
        takes = {p.name: p.default for p in parameters if p.default is not p.empty}
        for option, value in options.items():
            if option not in takes:
                raise ValueError(f"expected options of {name} among {', '.join(takes) or 'none'}, got {option}")
            default = takes[option]
            if value is None and isinstance(default, str):
                value = options[option] = "none"  # As in normalization=none.
            kinds = (int, float) if type(default) is float else (type(default),)
            if default is not None and type(value) not in kinds:
                raise ValueError(f"expected {option} of {name} to be such as {default!r}, got {value!r}")
        found.append(functools.partial(table[name], **options))
    return found


def _parts(node: ast.expr) -> list[tuple[str, dict[str, Any]]]:
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _parts(left) + _parts(right)
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
            return [(name, {option.arg or "**": _value(option.value) for option in keywords})]
        case ast.Name(id=name):
            return [(name, {})]
    raise ValueError(f"expected a name, got {ast.unparse(node)}")


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name):
            return {"none": None, "true": True, "false": False}.get(name.lower(), name)
        case ast.Tuple(elts=entries) | ast.List(elts=entries):
            return tuple(map(_value, entries))
    return ast.literal_eval(node)
