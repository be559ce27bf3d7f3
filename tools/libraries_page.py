"""Writes our column of the table in `docs/libraries.md`, from what the package has.

    python tools/libraries_page.py

Lists of names come from the tables of flows, transformers, conditioners, bases and types of columns. Any other claim
stands beside the names that make it true, and is left out if one of them is gone. What we lack is said in bold, if no
public name is of that kind. The columns of the other libraries are kept as they are.
"""

from __future__ import annotations

import importlib
import inspect
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

_ROOT = pathlib.Path(__file__).parents[1]
_PAGE = _ROOT / "docs/libraries.md"


def filled(page: str) -> str:
    """The page with the second cell of each row of its table computed by the row's function.

    Raises:
      ValueError: for a row without a function, or a function without a row.
    """
    makers = cells()
    lines = page.splitlines(keepends=True)
    numbers = [i for i, line in enumerate(lines) if line.startswith("| ")][1:]
    labels = [lines[i].split("|")[1].strip() for i in numbers]
    if labels != list(makers):
        raise ValueError(f"expected the rows {', '.join(makers)}, got {', '.join(labels)}")
    for i, label in zip(numbers, labels):
        _, name, _, *others = lines[i].split("|")
        lines[i] = "|".join(["", name, f" {makers[label]()} ", *others])
    return "".join(lines)


def cells() -> dict[str, Callable[[], str]]:
    """The functions of our cells, by the first cell of their rows."""
    from tfp_realnvp import presets
    from tfp_realnvp.columns import TYPES
    from tfp_realnvp.flows import compositions, layers, networks

    of_images = [name for name, factory in presets.FLOWS.items() if compositions.takes_images(factory)]
    kinds = kinds_of_flows()
    return {
        "released": _released,
        "backends": _backends,
        "made for": lambda: _claims(
            ("images", "data.image_folder"), ("vectors", "flows.vectors"), ("tables", "columns")
        ),
        "flows of images": lambda: (
            f"multi-scale {_names(of_images)}, with {_names(networks.CONDITIONERS[3])} networks, any transformer"
        ),
        "couplings of vectors": lambda: (
            f"{_names(kinds['coupling'])}; any transformer: {_names(networks.TRANSFORMERS)}"
        ),
        "autoregressive": lambda: f"{_names(kinds['autoregressive'])}; the same transformers",
        "other discrete flows": lambda: "; ".join(
            [_names(kinds["other"]), _claims(("Householder layers", "bijectors.householder"))]
        ),
        "continuous flows, diffusion": lambda: (
            f"{_names(kinds['continuous'])}; {_lacking('diffusion|flow_matching|score_matching', 'no diffusion')}"
        ),
        "circles and tori": lambda: _claims(
            ("splines", "transformers.CircularSpline"), ("a column type", "columns.Circular")
        ),
        "base distributions": lambda: (
            _claims(("any TFP distribution, learnable", "flows.layers.flow_of_layers(base)"))
            + f"; by name {_names(layers.BASES)}"
        ),
        "context for every network": _context,
        "column types": lambda: f"{', '.join(TYPES)}, {_claims(('by [`nvp.columns`](tables.md)', 'columns.Columns'))}",
        "missing values": lambda: _claims(
            ("densities and imputation given what is there, by [`nvp.columns`](tables.md)", "columns.impute")
        ),
        "pixels: dequantisation, logit, bits/dim": lambda: _claims(
            ("in the density", "dequantize", "bijectors.DequantizedLogit", "bits_per_dim"),
            ("equal to the authors' program", "load_release_weights"),
        ),
        "learned dequantisation": lambda: _claims(("yes", "dequantizer")),
        "training": lambda: _claims(
            ("`fit`", "FlowModel.fit"),
            ("scikit-learn's interface", "FlowEstimator"),
            ("resume to the bit", "training.checkpoint"),
            ("several devices", "training.strategies"),
            ("backward by inversion", "bijectors.Chain(backprop)"),
        ),
        "weights of examples": lambda: _claims(("`sample_weight`", "FlowEstimator.fit(sample_weight)")),
        "variational inference, MCMC": lambda: "; ".join(
            [
                _claims(("flows as surrogates for `tfp.vi` ([example](../examples/README.md))", "iaf", "planar")),
                _claims(("amortised [posteriors](inference.md)", "inference.fit_posterior")),
                _claims(("[NeuTra, evidence](mcmc.md)", "mcmc.neutra", "mcmc.evidence")),
            ]
        ),
        "ensembles": lambda: _claims(("of [posteriors](inference.md)", "inference.fit_posterior(ensemble)")),
        "calibration diagnostics": lambda: _claims(
            (
                "[rank statistics, coverage, TARP](inference.md)",
                *(f"inference.{name}" for name in ("rank_statistics", "expected_coverage", "tarp")),
            )
        ),
        "Bayesian weights": lambda: _lacking("bayesian"),
        "for serving": lambda: _claims(
            ("SavedModel with checked signatures", "publish"), ("LiteRT", "serving.save_litert")
        ),
        "lossless files of images": lambda: _claims(
            ("[`pack`, `unpack`](compression.md)", "lossless.pack", "lossless.unpack")
        ),
        "ONNX": _onnx,
        "trained models included": lambda: _names(sorted(path.name for path in _ROOT.glob("saved_models/*/"))),
        "one network evaluation for value and log-det": lambda: _claims(
            ("yes", "bijectors.Bijector.forward_and_log_det", "bijectors.Bijector.inverse_and_log_det")
        ),
    }


def kinds_of_flows() -> dict[str, list[str]]:
    """The names of the flows over vectors by the layers that they have."""
    from tfp_realnvp import bijectors, presets

    found: dict[str, list[str]] = {"coupling": [], "autoregressive": [], "continuous": [], "other": []}
    of_layers = {
        bijectors.Continuous: "continuous",
        bijectors.Autoregressive: "autoregressive",
        bijectors.BlockAutoregressive: "autoregressive",
        bijectors.Coupling: "coupling",
    }
    for name in presets.FLOWS:
        leaves = {type(leaf.bijector) for leaf in small(name).flow.leaves()}
        found[next((kind for layer, kind in of_layers.items() if layer in leaves), "other")].append(name)
    return found


def small(name: str, **options: Any) -> Any:
    """A flow of few layers over pairs."""
    from tfp_realnvp import presets
    from tfp_realnvp.flows import compositions

    takes = compositions.options_of(presets.FLOWS[name], 1)
    few = {"couplings": 2, "hidden_units": (2,), "layers": 1, "steps": 1}
    return presets.FLOWS[name](event_shape=(2,), **{n: v for n, v in few.items() if n in takes}, **options)


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _claims(*claims: tuple[str, ...]) -> str:
    """The claims whose names are all there, or that there are none."""
    return ", ".join(words for words, *names in claims if all(map(exists, names))) or "**none**"


def exists(name: str) -> bool:
    """Whether there is such a name, with dots, below `tfp_realnvp`, and a parameter in parentheses if given."""
    path, _, parameter = name.rstrip(")").partition("(")
    found: Any = importlib.import_module("tfp_realnvp")
    for part in path.split("."):
        if not hasattr(found, part):
            try:
                found = importlib.import_module(f"{found.__name__}.{part}")
            except (AttributeError, ModuleNotFoundError):
                return False
        else:
            found = getattr(found, part)
    return not parameter or parameter in inspect.signature(found).parameters


def _lacking(pattern: str, words: str = "none") -> str:
    """The public names of a kind, or in bold that there are none."""
    matching = sorted({name for name in _public_names() if re.search(pattern, name, re.IGNORECASE)})
    return _names(matching) or f"**{words}**"


def _public_names() -> Iterator[str]:
    """The names in `__all__` of the package and its rooms, and the parameters of functions and classes among them."""
    rooms = sorted(path.parent.name for path in _ROOT.glob("tfp_realnvp/*/__init__.py"))
    for module in ("tfp_realnvp", *(f"tfp_realnvp.{room}" for room in rooms)):
        room = importlib.import_module(module)
        for name in room.__all__:
            yield name
            value = getattr(room, name)
            if callable(value) and not (inspect.isclass(value) and issubclass(value, Exception)):
                yield from inspect.signature(value).parameters


def _onnx() -> str:
    is_there = (_ROOT / "examples/serving/to_onnx.py").exists()
    return "`log_prob`, `encode`, `decode` by [a script](serving.md#onnx)" if is_there else "**none**"


def _released() -> str:
    heading = re.search(r"^## (.+)$", (_ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    version, _, date = heading[1].partition(", ")
    return "**not on PyPI**" if date.startswith("not") else date or version


def _backends() -> str:
    needed = re.findall(r'^ +f?"(tensorflow|keras|tf-keras|torch|jax)[^-\w]', (_ROOT / "setup.py").read_text(), re.M)
    return f"**TensorFlow only**, with {', '.join(f'`{name}`' for name in needed if name != 'tensorflow')}"


def _context() -> str:
    from tfp_realnvp import presets
    from tfp_realnvp.flows import compositions, trainable_parameters

    def reads_context(name: str) -> bool:
        if "context_size" not in compositions.options_of(presets.FLOWS[name], 1):
            return False
        # Some have the option for the base alone.
        with_context, plain = (trainable_parameters(small(name, context_size=size)) for size in (3, None))
        return with_context > plain

    without = [name for name in presets.FLOWS if not reads_context(name)]
    words = f"all flows but {_names(without)}" if without else "yes"
    return f"{words}; {_claims(('labels for images', 'presets.Preset(classes)'))}"


if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT))
    _PAGE.write_text(filled(_PAGE.read_text("utf-8")), "utf-8")
