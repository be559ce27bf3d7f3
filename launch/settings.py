"""The settings of a run: flags of its recipe and of every flow's options, which override a preset.

Each field of `Recipe` and each option of a flow's factory becomes a flag: type and default come from the annotation,
help from the docstring.
"""

from __future__ import annotations

import functools
import inspect
import operator
import typing
from collections.abc import Iterator
from typing import Any

from absl import flags

from launch import data_flags, init_from, run
from tfp_realnvp import data, presets
from tfp_realnvp.columns import Columns
from tfp_realnvp.flows import networks
from tfp_realnvp.flows.compositions import arguments_in, help_of, options_of, takes_images

# Training settings that have no effect for vectors.
_FOR_IMAGES = ("flip", "l2", "sample_every")
_OF_IMAGES = [flow for flow, factory in presets.FLOWS.items() if takes_images(factory)]


class _Parser(flags.ArgumentParser[Any]):
    """Parses values of an annotated type."""

    def __init__(self, hint: Any):
        self._hint = hint

    def parse(self, argument: str) -> Any:
        value = presets.parsed(argument, self._hint)
        for number in value if isinstance(value, tuple) else [value]:
            if isinstance(number, (int, float)) and not number >= 0:
                raise ValueError(f"expected 0 or more, got {argument}")
        return value

    def flag_type(self) -> str:
        return "setting"


def _define(name: str, hint: Any, help: str) -> flags.FlagHolder[Any]:
    help = help[0].upper() + help[1:] + "."
    if hint is bool:
        return flags.DEFINE_bool(name, None, help)
    return flags.DEFINE(_Parser(hint), name, None, help, serializer=flags.ArgumentSerializer())


def _of_recipe() -> Iterator[flags.FlagHolder[Any]]:
    about = arguments_in(inspect.getdoc(presets.Recipe) or "")
    for name, hint in typing.get_type_hints(presets.Recipe).items():
        yield _define(name, hint, about[name])


def _of_flows() -> Iterator[flags.FlagHolder[Any]]:
    """A flag for each option of any flow; its help has the description, the defaults, and the flows that take it."""
    hints: dict[str, list[Any]] = {}
    # For each option and each description of it, the flows by default, and for which events.
    takers: dict[str, dict[str, dict[str, dict[str, list[str]]]]] = {}
    for flow, factory in presets.FLOWS.items():
        for ndims, kind in ((3, "images"), (1, "vectors")) if flow in _OF_IMAGES else ((1, ""),):
            about = help_of(factory, ndims)
            for name, option in presets.settings_of(flow, ndims).items():
                hints.setdefault(name, []).append(option.annotation)
                of_text = takers.setdefault(name, {}).setdefault(about[name], {})
                of_text.setdefault(_shown(option.default), {}).setdefault(flow, []).append(kind)
    for name, by_text in takers.items():
        texts = []
        for text, by_default in by_text.items():
            defaults = [f"{default} by default ({_listed(kinds)})" for default, kinds in by_default.items()]
            texts.append(f"{text[0].upper()}{text[1:]}; {', '.join(defaults)}")
        yield _define(name, functools.reduce(operator.or_, hints[name]), ". ".join(texts))


def _listed(kinds_of_flows: dict[str, list[str]]) -> str:
    """Flows by name, with the kind of events if the flow over other events has no such option or default."""
    by_kind: dict[str, list[str]] = {}
    for flow, kinds in kinds_of_flows.items():
        by_kind.setdefault(f" of {kinds[0]}" if kinds in (["images"], ["vectors"]) else "", []).append(flow)
    return "; ".join(f"{', '.join(flows)}{of_kind}" for of_kind, flows in by_kind.items())


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


_FLOW = flags.DEFINE_enum("flow", None, list(presets.FLOWS), f"Images: {', '.join(_OF_IMAGES)}. Vectors: any.")
_RECIPE = list(_of_recipe())
_OPTIONS = list(_of_flows())
_CONDITIONAL = flags.DEFINE_bool(
    "conditional", False, "Condition every network on an image's class label: p(image | label). Needs labels."
)


_COLUMNS = flags.DEFINE_string(
    "columns",
    "",
    "Types of columns of a CSV file, such as -id,a:bounded(0,1),b:circular(360),c:integer,d:categorical: a minus drops "
    "a column, types of the others are inferred. Also real, positive, ordinal, boolean.",
)
_CONTEXT = flags.DEFINE_list("context", [], "Columns of a CSV file that the density of the others is conditioned on.")
_WEIGHTS = flags.DEFINE_string("weights", None, "The column of a CSV file with the weight of each row.")
_MISSING = flags.DEFINE_enum(
    "missing",
    "drop",
    ["drop", "keep"],
    "Rows with missing values: left out, or kept by training on random choices of columns, given random others, which "
    "also gives marginal and conditional densities, and the program impute.",
)


def preset_and_data() -> tuple[presets.Preset, data.Events | None]:
    """The preset with the flags' overrides; another data set determines shape and levels."""
    given = {flag.name: flag.value for flag in (_FLOW, *_RECIPE, *_OPTIONS) if flag.present}
    preset, name = presets.get(run.PRESET.value), run.DATASET.value
    is_other = name not in (None, preset.dataset)
    if data.is_table(name or preset.dataset):
        if _CONDITIONAL.value:
            raise run.UsageError("expected an image set with labels for --conditional, got a table")
        if given.get("dequantization", "uniform") != "uniform":
            raise run.UsageError("expected images for --dequantization=variational, got a table, which has no noise")
    elif _typing() != data.Typing():
        raise run.UsageError("expected a table for --columns, --context, --weights or --missing, got images")
    of_data: dict[str, Any] = {}
    is_made = _CONDITIONAL.value or any(flag.present for flag in data_flags.ALL)
    events = _open(name or preset.dataset) if is_other or is_made else None
    if events is not None:
        of_data = dict(dataset=events.name, event_shape=events.shape, classes=events.classes)
        of_data["levels"] = events.levels or preset.levels
        of_data["column_types"] = None if events.types is None else events.types.to_json()
        if events.name != preset.dataset:
            of_data["flip"] = False  # Mirror images may not belong to another set.
        if len(events.shape) == 1 and len(preset.event_shape) > 1:
            of_data |= presets.TABLE_RECIPE
    shape = of_data.get("event_shape", preset.event_shape)
    _check_flow_takes(given.get("flow", preset.flow), shape)
    conditioner = str(given.get("conditioner", preset.options.get("conditioner", "")))
    if unread := [name for name in networks.unread(conditioner, len(shape)) if name in given]:
        raise run.UsageError(f"the conditioner {conditioner.partition('(')[0]} takes no --{unread[0]}")
    try:
        return preset.replace(**{**of_data, **given}), events
    except ValueError as error:
        raise run.UsageError(str(error)) from error


def _typing() -> data.Typing:
    return data.Typing(_COLUMNS.value, tuple(_CONTEXT.value), _WEIGHTS.value, _MISSING.value)


def _open(name: str) -> data.Events:
    before, is_table = init_from.before(), data.is_table(name)
    columns, typing = before.get("columns"), _typing() if is_table else None
    if columns and typing == data.Typing():
        types = before.get("column_types")  # None of a table of real numbers.
        typing = None if types is None else data.Typing(columns=Columns.of_json(types))
    if not name.startswith(("csv:", "parquet:", "arrow:")) and typing == data.Typing():
        typing = None
    try:
        return run.open_data(name, _CONDITIONAL.value, columns and tuple(columns), typing)
    except run.UsageError:
        if not columns or not (run.output_dir() / "config.json").exists():
            raise
        return run.open_data(name)  # `open_run` refuses other columns with advice.


def _check_flow_takes(flow: str, shape: tuple[int, ...]) -> None:
    """Raises a `UsageError` for a flag that this flow does not use for this kind of events."""
    of_flows = {name for factory in presets.FLOWS.values() for name in inspect.signature(factory).parameters}
    of_flows.remove("seed")  # Programs use the seed for more than weights.
    takes = options_of(presets.FLOWS[flow], len(shape))
    kind = "vectors" if len(shape) == 1 else "images"
    for name in sorted(flags.FLAGS):
        flag = flags.FLAGS[name]
        if not flag.present or flag.value == flag.default is not None:
            continue
        if (name in of_flows and name not in takes) or (kind == "vectors" and name in _FOR_IMAGES):
            raise run.UsageError(f"{flow} takes no --{name} for {kind}")
