"""Checks and parses values of settings, from JSON or a command line, by their annotated types."""

import collections.abc
import types
import typing
from typing import Any

_WORDS = {"true": True, "false": False}


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The types that an annotation allows, with unions expanded."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(kind for part in typing.get_args(hint) for kind in _kinds(part))
    return (hint,)


def _is_integers(kind: Any) -> bool:
    return typing.get_origin(kind) in (tuple, collections.abc.Sequence)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON has an annotated type."""
    for kind in _kinds(hint):
        if typing.get_origin(kind) is typing.Literal:
            found = value in typing.get_args(kind)
        elif _is_integers(kind):
            found = isinstance(value, (list, tuple)) and all(fits(entry, int) for entry in value)
        elif kind is float:
            found = isinstance(value, (int, float)) and not isinstance(value, bool)
        else:
            found = kind in (int, str, bool, type(None)) and type(value) is kind
        if found:
            return True
    return False


def described(hint: Any) -> str:
    """A description of an annotated type's values for error messages."""
    names: list[str] = []
    for kind in _kinds(hint):
        if typing.get_origin(kind) is typing.Literal:
            names += map(str, typing.get_args(kind))
        elif _is_integers(kind):
            names.append("integers")
        elif kind in (int, float, str, bool, type(None)):
            names.append("None" if kind is type(None) else kind.__name__)
    return " or ".join(dict.fromkeys(names))


def parsed(text: str, hint: Any) -> Any:
    """Parses the text of a command-line value.

    Raises:
      ValueError: if it does not have the annotated type.
    """
    for kind in _kinds(hint):
        try:
            if kind is type(None) and text.lower() == "none":
                return None
            if typing.get_origin(kind) is typing.Literal and text in typing.get_args(kind):
                return text
            if _is_integers(kind):
                return tuple(int(part) for part in text.split(","))
            if kind in (int, float):
                return kind(text)
        except ValueError:
            continue  # Try the next type.
    if str in _kinds(hint):
        return text
    raise ValueError(f"expected {described(hint)}, got {text!r}")
