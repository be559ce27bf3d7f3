"""Named flows as uses of a builder: their options are the builder's, but for those they set."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def composition_of(*builders: Callable[..., Any], sets: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a factory with `**options` the signature that it has: its own keywords, and those it hands on.

    Args:
      *builders: what the options go to, which may depend on the event shape.
      sets: keywords of the builders that the factory sets itself, separated by spaces.
    """

    def with_signature(factory: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(factory)
        named = {name: p for name, p in own.parameters.items() if p.kind != inspect.Parameter.VAR_KEYWORD}
        for builder in builders:
            handed_on = inspect.signature(builder).parameters
            named |= {name: p for name, p in handed_on.items() if name not in named and name not in sets.split()}
        factory.__signature__ = own.replace(parameters=named.values())
        factory.builders = builders
        return factory

    return with_signature


def options_of(factory: Callable[..., Any], event_ndims: int) -> dict[str, inspect.Parameter]:
    """The keywords that a factory takes for events of that many axes: 1 for vectors, 3 for images."""
    builders = getattr(factory, "builders", ())
    if len(builders) == 2:  # One for images and one for vectors.
        factory = builders[0] if event_ndims == 3 else builders[1]
    return dict(inspect.signature(factory).parameters)
