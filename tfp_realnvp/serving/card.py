"""The card of a released model: what it is, where it comes from and what it is not good for."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfp_realnvp import paths, storage
from tfp_realnvp.serving.description import describe

# What may be said of a set in a sentence, by its TFDS name; others are to be added to the card by hand.
_DATA = {
    "digits": "1,797 scanned digits of 8x8 pixels and 17 levels, UCI Machine Learning Repository, CC BY 4.0; test: the "
    "last 300.",
    "mnist": "MNIST (LeCun, Cortes, Burges), 28x28 grey pixels, commonly distributed as CC BY-SA 3.0; trained on the "
    "training images but the last 5,000, test: the 10,000 test images.",
    "cifar10": "CIFAR-10 (Krizhevsky), 32x32 colour pixels, from 80 Million Tiny Images, without a licence of its "
    "own; trained on the training images but the last 5,000, test: the 10,000 test images.",
}

# What a card is made from, of a run's folder.
SOURCES = ("config.json", "results.json", "samples.png")
FILES = ("README.md", "samples.png")


def write(
    folder: pathlib.Path, version: pathlib.Path, run: pathlib.Path, scores: Mapping[str, Any]
) -> list[pathlib.Path]:
    """Writes `README.md` and `samples.png` into a model's folder; returns their paths.

    Args:
      folder: the model's, `NAME`.
      version: an export in it, `NAME/VERSION`.
      run: the folder of the training that made it, with all `SOURCES`.
      scores: the `Score`s in its results.json, those of the model first.
    """
    card, picture = (folder / name for name in FILES)
    storage.write(picture, (run / "samples.png").read_bytes())
    config = json.loads((run / SOURCES[0]).read_text())
    storage.write(card, _text(folder.name, version, config, scores))
    return [card, picture]


def _data(name: str) -> str:
    if name.startswith("folder:"):
        return "The PNG files of a folder, of which those who made them say under what licence."
    return _DATA.get(name, f"The TFDS set `{name}`, whose licence holds.")


def _text(name: str, version: pathlib.Path, config: dict[str, Any], scores: Mapping[str, Any]) -> str:
    about, model = describe(version), config["model"]
    title, ours = next(iter(scores.items()))
    versions = ", ".join(f"{package} {number}" for package, number in config["versions"].items())
    rows = [f"| {what} | {_number(score.mean)} +- {_number(score.standard_error)} |" for what, score in scores.items()]
    height, width, channels = about["event_shape"]
    changes = ", with changes that were not committed" if config.get("uncommitted_changes") else ""
    return "\n".join(
        [
            f"# {name}",
            "",
            f"A {title} on {about['dataset']}: the density of {height}x{width}x{channels} images of {about['levels']} "
            "levels. It loads with TensorFlow alone.",
            "",
            "![Samples](samples.png)",
            "",
            "## Data",
            "",
            _data(about["dataset"]),
            "",
            "## Recipe",
            "",
            "```sh",
            about["command"],
            "```",
            "",
            f"Commit {config['commit']}{changes}; {versions}. {model['scales']} scales, width {model['width']}, "
            f"{model['blocks']} residual blocks, batches of {model['batch_size']}, seed {model['seed']}.",
            "",
            "## Test bits/dim",
            "",
            "| | uniform dequantisation, one noise sample |",
            "|---|---|",
            *rows,
            "",
            f"On {ours.count:,} images; the error is that of the mean over images, and says nothing of other "
            "training runs. To have it again:",
            "",
            "```sh",
            f"python -m launch.evaluate --saved_model={version} --data_dir=DIR",
            "```",
            "",
            "## Signatures",
            "",
            *signature_table(version),
            "",
            "## Limits",
            "",
            "Made to show the package, not to be the best of its kind. A high density does not mean that an image "
            "looks right, and images of another kind may have a higher one (docs/serving.md): not to be used alone to "
            "find what is out of distribution. Samples repeat what is in the data, its faults included.",
            "",
        ]
    )


def _number(figure: float) -> str:
    return f"{figure:.4f}" if math.isfinite(figure) else "not finite"


def signature_table(version: pathlib.Path) -> list[str]:
    """The lines of a table of an export's signatures."""
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
