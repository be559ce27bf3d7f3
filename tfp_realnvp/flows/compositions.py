"""Factories that pass their `**options` to a builder."""

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

Factory = Callable[..., Any]
F = TypeVar("F", bound=Factory)


def composition_of(*builders: Factory, sets: str = "") -> Callable[[F], F]:
    """Gives a factory with `**options` its full signature: its own keywords and those it passes on.

    The options go to a builder, or to one builder for images and another for vectors. `sets` lists the builders'
    keywords that the factory sets itself, separated by spaces.
    """

    def with_signature(factory: F) -> F:
        own = inspect.signature(factory, eval_str=True)
        named = {name: p for name, p in own.parameters.items() if p.kind != inspect.Parameter.VAR_KEYWORD}
        for builder in builders:
            handed_on = inspect.signature(builder, eval_str=True).parameters
            named |= {name: p for name, p in handed_on.items() if name not in named and name not in sets.split()}
        vars(factory).update(__signature__=own.replace(parameters=list(named.values())), builders=builders)
        return factory

    return with_signature


def _builders(factory: Factory) -> tuple[Factory, ...]:
    return getattr(factory, "builders", ())


def takes_images(factory: Factory) -> bool:
    """Whether a factory of `composition_of` takes images as well as vectors."""
    return len(_builders(factory)) == 2


def _for_events(factory: Factory, event_ndims: int) -> Factory:
    """The builder that a factory uses for events with that many axes: 1 for vectors, 3 for images."""
    return _builders(factory)[event_ndims != 3] if takes_images(factory) else factory


def options_of(factory: Factory, event_ndims: int) -> dict[str, inspect.Parameter]:
    """The keywords that a factory takes for events with that many axes, with defaults and types."""
    return dict(inspect.signature(_for_events(factory, event_ndims), eval_str=True).parameters)


def help_of(factory: Factory, event_ndims: int) -> dict[str, str]:
    """The description of each keyword, from the docstrings of a factory and its builders."""
    builder = _for_events(factory, event_ndims)
    builders = [builder] if builder is not factory else _builders(factory)
    found: dict[str, str] = {}
    for each in builders:
        found |= help_of(each, event_ndims)
    return found | arguments_in(inspect.getdoc(factory) or "")


def arguments_in(docstring: str) -> dict[str, str]:
    """The description of each argument or attribute in a docstring, including nested lists."""
    found = re.findall(r"^ {2,4}(?:\* )?(\w+): (.+(?:\n {4,}(?! *\*).*)*)", docstring, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}
