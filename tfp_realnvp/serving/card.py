"""The model card of a released model: description, origin and limits."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfp_realnvp import paths, storage
from tfp_realnvp.columns import Columns
from tfp_realnvp.serving.description import describe

# One sentence about a data set, by its TFDS name. Add others to the card by hand.
_DATA = {
    "digits": "1,797 scanned digits of 8x8 pixels and 17 levels, UCI Machine Learning Repository, CC BY 4.0; test: the "
    "last 300.",
    "mnist": "MNIST (LeCun, Cortes, Burges), 28x28 grey pixels, commonly distributed as CC BY-SA 3.0; trained on all "
    "but the last 5,000 training images; test: the 10,000 test images.",
    "cifar10": "CIFAR-10 (Krizhevsky), 32x32 colour pixels, from 80 Million Tiny Images, without its own "
    "licence; trained on all but the last 5,000 training images; test: the 10,000 test images.",
}

# The files of a run's folder from which a card is made.
SOURCES = ("config.json", "results.json", "samples.png")
FILES = ("README.md", "samples.png")


def write(
    folder: pathlib.Path, version: pathlib.Path, run: pathlib.Path, scores: Mapping[str, Any]
) -> list[pathlib.Path]:
    """Writes `README.md`, and `samples.png` of images, into a model's folder; returns their paths.

    Args:
      folder: the model's folder, `NAME`.
      version: an export in that folder, `NAME/VERSION`.
      run: the folder of the training run, with all `SOURCES`.
      scores: the `Score`s in its results.json, the model's first.
    """
    card, picture = (folder / name for name in FILES)
    config = json.loads((run / SOURCES[0]).read_text())
    if len(describe(version)["event_shape"]) == 1:
        storage.write(card, _text_of_table(folder.name, version, config, scores))
        return [card]
    storage.write(picture, (run / "samples.png").read_bytes())
    storage.write(card, _text(folder.name, version, config, scores))
    return [card, picture]


def _data(name: str) -> str:
    if name.startswith(("folder:", "npy:", "npz:")):
        return "The images of a folder or a file, under their authors' licence."
    return _DATA.get(name, f"The TFDS set `{name}`, under its own licence.")


def _text(name: str, version: pathlib.Path, config: dict[str, Any], scores: Mapping[str, Any]) -> str:
    about, model = describe(version), config["model"]
    height, width, channels = about["event_shape"]
    what = f"{height}x{width}x{channels} images of {about['levels']} levels"
    if names := about.get("class_names"):
        what += f" given one of {len(names)} classes ({', '.join(names)})"
    settings = f"{model['scales']} scales, width {model['width']}, {model['blocks']} residual blocks"
    limits = (
        "This model demonstrates the package and is not state of the art. A high density does not mean that an image "
        "looks right, and images of another kind may have a higher density (docs/serving.md): do not rely on it alone "
        "to detect out-of-distribution images. Samples reproduce the data, including its flaws."
    )
    # The rows of a model with learned noise name theirs.
    is_uniform = about["dequantization"] == "uniform"
    bound = "uniform dequantisation, one noise sample" if is_uniform else "one noise sample"
    intro = ["![Samples](samples.png)", "", "## Data", "", _data(about["dataset"])]
    return _card(name, version, config, scores, what=what, intro=intro, settings=settings, bound=bound, limits=limits)


def _text_of_table(name: str, version: pathlib.Path, config: dict[str, Any], scores: Mapping[str, Any]) -> str:
    about = describe(version)
    types = about.get("column_types")
    if types is None:
        columns = [[column, "real", ""] for column in about.get("columns") or ()]
    else:
        parts = {"": Columns.of_json(types).columns, "given": Columns.of_json(types).context}
        columns = [[column.name, column.describe(), role] for role, part in parts.items() for column in part]
    intro = ["## Columns", "", "| column | type | |", "|---|---|---|"]
    intro += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in columns]
    ours = next(iter(scores.values()))
    limits = (
        "The density is that of the table that the model was trained on: rows of another origin may have a higher one. "
        "Do not rely on it alone to detect unusual rows. Samples reproduce the data, including its flaws, and may "
        "come close to single training rows: they are not anonymous."
    )
    settings = ", ".join(
        f"{option.replace('_', ' ')} {config['model'][option]}"
        for option in ("transformer", "couplings", "layers", "hidden_units")
        if config["model"].get(option) is not None
    )
    bound = ours.bound or "exact"
    what = f"rows of {len(columns) or about['event_shape'][0]} columns"
    return _card(name, version, config, scores, what=what, intro=intro, settings=settings, bound=bound, limits=limits)


def _card(
    name: str,
    version: pathlib.Path,
    config: dict[str, Any],
    scores: Mapping[str, Any],
    *,
    what: str,
    intro: list[str],
    settings: str,
    bound: str,
    limits: str,
) -> str:
    about, model = describe(version), config["model"]
    title, ours = next(iter(scores.items()))
    title = title.removesuffix(", variational dequantisation")
    versions = ", ".join(f"{package} {number}" for package, number in config["versions"].items())
    calibrated: list[str] = []
    if (calibration := about.get("calibration")) is not None:
        calibrated = [
            f"`p_value` was calibrated by {calibration['count']:,} {calibration['source'] or 'events'}. No p-value is "
            f"below {2 / (calibration['count'] + 1):.2g}.",
            "",
        ]
    rows = [f"| {what} | {_number(score.mean)} +- {_number(score.standard_error)} |" for what, score in scores.items()]
    changes = ", with uncommitted changes" if config.get("uncommitted_changes") else ""
    events = "images" if len(about["event_shape"]) == 3 else "rows"
    return "\n".join(
        [
            f"# {name}",
            "",
            f"A {title} on {about['dataset']}: the density of {what}. It loads with TensorFlow alone.",
            "",
            *intro,
            "",
            "## Recipe",
            "",
            "```sh",
            about["command"],
            "```",
            "",
            f"Commit {config['commit']}{changes}; {versions}. {settings}, batches of {model['batch_size']}, seed "
            f"{model['seed']}.",
            "",
            f"## Test {ours.unit}",
            "",
            f"| | {bound} |",
            "|---|---|",
            *rows,
            "",
            f"On {ours.count:,} {events}, with the standard error of the mean over {events}, which does not cover "
            "variation between training runs. To reproduce it:",
            "",
            "```sh",
            f"tfp-realnvp evaluate --saved_model={version} --data_dir=DIR",
            "```",
            "",
            "## Signatures",
            "",
            *signature_table(version),
            "",
            *calibrated,
            "## Limits",
            "",
            limits,
            "",
        ]
    )


def _number(figure: float) -> str:
    return f"{figure:.4f}" if math.isfinite(figure) else "not finite"


def signature_table(version: pathlib.Path) -> list[str]:
    """The lines of the table of an export's signatures."""
    with paths.plain(version) as plain:
        signatures = tf.saved_model.load(plain).signatures
    rows = ["| signature | inputs | outputs |", "|---|---|---|"]
    for name in sorted(signatures):
        function = signatures[name]
        inputs, outputs = function.structured_input_signature[1], function.structured_outputs
        rows.append(f"| `{name}` | {_specs(inputs)} | {_specs(outputs)} |")
    return rows


def _specs(specs: dict[str, tf.TensorSpec]) -> str:
    def one(name: str, spec: tf.TensorSpec) -> str:
        return f"`{name}` {spec.dtype.name} [{', '.join('any' if size is None else str(size) for size in spec.shape)}]"

    return "<br>".join(one(name, spec) for name, spec in sorted(specs.items()))
