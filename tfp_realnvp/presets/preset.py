"""Presets: a data set, a flow with its options, and a training recipe."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from tfp_realnvp import flows
from tfp_realnvp.columns import Columns
from tfp_realnvp.flows import Dequantizer, FlowDistribution, networks
from tfp_realnvp.flows.compositions import Factory, options_of
from tfp_realnvp.named import named
from tfp_realnvp.presets.recipe import DEQUANTIZATIONS, Recipe
from tfp_realnvp.presets.values import described, fits

FLOWS: dict[str, Factory] = {
    factory.__name__.removesuffix("_flow"): factory
    for factory in (
        flows.real_nvp,
        flows.glow,
        flows.flowpp,
        flows.nsf,
        flows.nice,
        flows.maf,
        flows.iaf,
        flows.naf,
        flows.bnaf,
        flows.planar,
        flows.radial,
        flows.sylvester,
        flows.residual,
        flows.gaussianization,
        flows.triangular_spline,
        flows.ffjord,
        flows.coupling_flow,
        flows.autoregressive_flow,
    )
}
# Factory keywords that are not settings: they come from the data, the recipe, or the caller of `build`.
_DECIDED: tuple[str, ...] = ("event_shape", "levels", "context_size", "dtype_policy")
_DECIDED += ("circular", "circular_bins")  # Runs standardise real numbers; angles are a type of columns.
_DECIDED += ("backprop", "dtype", "flow_name", "name", "seed", "validate_args")


@dataclasses.dataclass(frozen=True)
class Preset:
    """A data set, a flow with its options, and a training recipe.

    Attributes:
      dataset: the name of the data, for example a TFDS name.
      event_shape: `(height, width, channels)` after cropping and resizing, or `(size,)` for vectors.
      flow: a name in `FLOWS`.
      options: keywords of the flow's factory; all others keep their defaults.
      recipe: the training recipe.
      levels: number of levels of a pixel.
      classes: number of classes of a class-conditional flow, or None.
      published: the paper's test result, bits/dim for images or log-likelihood in nats for vectors, or None.
      notes: differences between paper and release, and which one this follows.

    Raises:
      ValueError: for an unknown flow, or an option that the flow does not take for such events.
    """

    dataset: str
    event_shape: tuple[int, ...]
    flow: str = "real_nvp"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: Recipe = Recipe()
    levels: int = 256
    classes: int | None = None
    column_types: Mapping[str, Any] | None = None
    published: float | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        if self.flow not in FLOWS:
            raise ValueError(f"expected flow to be one of {', '.join(FLOWS)}, got {self.flow!r}")
        takes = settings_of(self.flow, len(self.event_shape))
        for name in self.options:
            if name not in takes:
                raise ValueError(f"expected options of {self.flow} among {', '.join(takes)}, got {name}")

    @property
    def columns(self) -> Columns | None:
        """The columns of a table, where they are not all real numbers."""
        return None if self.column_types is None else Columns.of_json(self.column_types)

    @property
    def title(self) -> str:
        """The flow's display name."""
        return {"real_nvp": "Real NVP", "glow": "Glow", "maf": "MAF"}.get(self.flow, self.flow)

    @property
    def all_options(self) -> dict[str, Any]:
        """The options, including defaults."""
        takes = settings_of(self.flow, len(self.event_shape))
        return {name: parameter.default for name, parameter in takes.items()} | dict(self.options)

    def replace(self, **settings: Any) -> Preset:
        """A copy with other settings: its own fields, its recipe's fields, or options of its flow.

        Options that a new flow, a flow over new events, or a new conditioner does not take are dropped unless they are
        given. So is the number of `scales`, whose meaning differs between flows.
        """
        of_recipe, fields = (
            {field.name: settings.pop(field.name) for field in dataclasses.fields(kind) if field.name in settings}
            for kind in (Recipe, Preset)
        )
        shape, flow = fields.get("event_shape", self.event_shape), fields.get("flow", self.flow)
        takes = settings_of(flow, len(shape)) if flow in FLOWS else ()
        conditioner = settings.get("conditioner", self.options.get("conditioner"))
        unread = () if conditioner is None else networks.unread(conditioner, len(shape))
        options = {name: value for name, value in self.options.items() if name in takes and name not in unread}
        if flow != self.flow:
            options.pop("scales", None)
        recipe = dataclasses.replace(self.recipe, **of_recipe)
        return dataclasses.replace(self, **{"options": options | settings, "recipe": recipe, **fields})

    @property
    def _of_data(self) -> dict[str, Any]:
        """What factories are given beside options."""
        return dict(event_shape=self.event_shape, levels=self.levels, dtype_policy=self.recipe.dtype_policy)

    def build(self, **kwargs: Any) -> FlowDistribution:
        """The untrained flow; keywords override options of the factory."""
        # Those of the networks do not matter to a conditioner that replaces them.
        unread = networks.unread(kwargs["conditioner"], len(self.event_shape)) if "conditioner" in kwargs else ()
        given = {name: value for name, value in self.options.items() if name not in unread}
        takes = options_of(FLOWS[self.flow], len(self.event_shape))
        given |= {name: value for name, value in self._of_data.items() if name in takes}
        if self.classes is not None:
            given["context_size"] = self.classes
        if (columns := self.columns) is not None:
            given |= {"event_shape": (columns.entries,), "context_size": columns.context_size}
        return FLOWS[self.flow](**{**given, **kwargs})

    def build_dequantizer(self) -> Dequantizer | None:
        """The untrained flow over the noise; None for uniform dequantisation."""
        make = named(self.recipe.dequantization, DEQUANTIZATIONS, "dequantization")
        alike = {name: value for name, value in self.all_options.items() if name in ("width", "blocks")}
        return make(**{**self._of_data, **alike, **make.keywords})

    def settings(self) -> dict[str, Any]:
        """All settings that identify a run, as a flat table: the entry "model" of `config.json`."""
        of_recipe = dataclasses.asdict(self.recipe)
        del of_recipe["epochs"]
        of_data = {name: getattr(self, name) for name in ("dataset", "event_shape", "levels", "classes", "flow")}
        if self.column_types is not None:
            of_data["column_types"] = self.column_types
        return of_data | self.all_options | of_recipe


def settings_of(flow: str, event_ndims: int) -> dict[str, Any]:
    """The options of a flow over events with that many axes that are settings, as `inspect.Parameter`s."""
    return {name: p for name, p in options_of(FLOWS[flow], event_ndims).items() if name not in _DECIDED}


# Renamed settings in the config.json of older runs.
_RENAMED = {"hidden": "hidden_units"}
# Flows whose networks ordered their outputs differently while `hidden_units` had the old name.
_LAID_OUT_OTHERWISE = ("flowpp", "spline_coupling", "maf", "iaf", "naf")


def of_settings(model: Mapping[str, Any]) -> Preset:
    """The preset from the entry "model" of a run's `config.json`.

    An older run may lack settings, which then had their defaults, and contain some that its flow does not take.

    Raises:
      ValueError: for a missing or invalid setting, or for a flow whose weights had another meaning in that version.
    """
    if "hidden" in model and model.get("flow") in _LAID_OUT_OTHERWISE:
        raise ValueError(
            f"expected a {model['flow']} of this version, got one of an earlier version, whose networks lay out their "
            "outputs in another order: train it again, or use the version that trained it"
        )
    model = {_RENAMED.get(name, name): value for name, value in model.items()}
    if missing := [name for name in ("dataset", "event_shape") if name not in model]:
        raise ValueError(f"expected a setting {missing[0]!r}, got none")
    hints = {n: h for n, h in typing.get_type_hints(Preset).items() if n not in ("options", "recipe")}
    hints |= typing.get_type_hints(Recipe)
    for_flow: dict[str, Any] = {name: model[name] for name in ("event_shape", "flow") if name in model}
    for name, value in for_flow.items():
        if not fits(value, hints[name]):
            raise ValueError(f"expected {name} to be {described(hints[name])}, got {value!r}")
    flow = for_flow.get("flow", Preset.flow)
    model |= {"event_shape": tuple(model["event_shape"]), "flow": flow}
    takes = settings_of(flow, len(model["event_shape"])) if flow in FLOWS else {}
    conditioner = model.get("conditioner") if "conditioner" in takes else None
    # Older runs contain such options, too.
    unread = networks.unread(conditioner, len(model["event_shape"])) if isinstance(conditioner, str) else ()
    given: dict[str, Any] = {}
    for name, value in model.items():
        if name in unread:
            continue
        if name == "column_types":
            given[name] = value
            continue
        hint = takes[name].annotation if name in takes else hints.get(name)
        # Older runs store None for an option's default.
        if hint is None or value is None and name in takes and not fits(None, hint):
            continue
        if not fits(value, hint):
            raise ValueError(f"expected {name} to be {described(hint)}, got {value!r}")
        given[name] = tuple(value) if isinstance(value, list) else value
    return Preset(given.pop("dataset"), given.pop("event_shape"), given.pop("flow")).replace(**given)


def comparable(model: Mapping[str, Any]) -> dict[str, Any]:
    """The "model" of a run's `config.json`, perhaps an older one, as this version would write it.

    Raises:
      ValueError: as `of_settings`.
    """
    known = {field.name for kind in (Preset, Recipe) for field in dataclasses.fields(kind)} | {*_RENAMED}
    known |= {name for flow in FLOWS for ndims in (1, 3) for name in settings_of(flow, ndims)}
    return {name: value for name, value in model.items() if name not in known} | of_settings(model).settings()
