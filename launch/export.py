"""Write a trained model as a SavedModel, which needs TensorFlow alone to load.

    python -m launch.export --output_dir=runs/digits --export_dir=served/digits

Writes the next version, `served/digits/1` at first, as TensorFlow Serving reads them: aside, and in its place once it
is whole. Its signatures are listed in docs/serving.md, and by `saved_model_cli show --dir=served/digits/1 --all`.
"""

from __future__ import annotations

import pathlib

from absl import flags

from launch import arguments, results, run
from tfp_realnvp import serving
from tfp_realnvp.serving import card

_EXPORT_DIR = arguments.DEFINE_path(
    "export_dir", None, "Folder of the model; a version is written into it.", required=True
)
_VERSION = flags.DEFINE_integer(
    "version", None, "Number of the version; by default one more than the highest that is there.", lower_bound=1
)
_WEIGHTS_DTYPE = flags.DEFINE_enum(
    "weights_dtype", "float32", serving.WEIGHTS_DTYPES, "Of kernels in the file: bfloat16 halves it and costs accuracy."
)
_MAX_SAMPLES = flags.DEFINE_integer("max_samples", 1024, "The most images that a request may draw.", lower_bound=1)
_MAX_ROWS = flags.DEFINE_integer("max_rows", 1024, "The most images or latents that a request may hold.", lower_bound=1)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    None,
    "The most pixels that a request may decode, rows x height x width; by default those of --max_rows images of the "
    "model's size.",
    lower_bound=1,
)
_INVALID_ROWS = flags.DEFINE_enum(
    "invalid_rows",
    "refuse",
    serving.INVALID_ROWS,
    "What log_prob does with pixels outside the support: refuse the request, or give that row minus infinity, for a "
    "server that puts requests of strangers into one batch.",
)
_CARD = flags.DEFINE_bool(
    "card",
    False,
    "Whether to write the model's card, README.md and, of images, samples.png, into the folder of the model, too.",
)
_LITERT = arguments.DEFINE_path(
    "litert", None, "A file to write the model to for LiteRT as well, with log_prob and decode of a single image."
)


def main() -> None:
    if _CARD.value:
        _check_card()
    preset, config = run.trained_preset(), run.trained_config()
    distribution = run.trained_distribution(preset)
    try:
        path = serving.publish(
            distribution,
            _EXPORT_DIR.value,
            version=_VERSION.value,
            weights_dtype=_WEIGHTS_DTYPE.value,
            max_samples=_MAX_SAMPLES.value,
            max_rows=_MAX_ROWS.value,
            max_pixels=_MAX_PIXELS.value,
            invalid_rows=_INVALID_ROWS.value,
            classes=preset.classes,
            columns=preset.columns,
            metadata={
                "dataset": preset.dataset,
                **{name: config["model"].get(name) for name in ("files", "columns")},
                "preset": config["preset"],
                "command": run.command_line(config["command"]),
            },
        )
    except (FileExistsError, ValueError) as error:
        raise run.UsageError(str(error)) from error
    print(f"Wrote {path}")
    if _LITERT.value is not None:
        serving.save_litert(path, _LITERT.value)
        print(f"Wrote {_LITERT.value}")
    if _CARD.value:
        for file in card.write(pathlib.Path(_EXPORT_DIR.value), path, run.output_dir(), results.read(run.output_dir())):
            print(f"Wrote {file}")


def _check_card() -> None:
    has_picture = len(run.trained_preset().event_shape) == 3
    sources = [name for name in card.SOURCES if has_picture or name != "samples.png"]
    missing = [name for name in sources if not (run.output_dir() / name).is_file()]
    if missing:
        raise run.UsageError(f"expected a run that is finished for a card, found no {missing[0]} in {run.output_dir()}")
    folder = pathlib.Path(_EXPORT_DIR.value)
    found = [name for name in card.FILES if (folder / name).exists()]
    if found and not serving.versions(folder):
        raise run.UsageError(f"expected a model's folder or a new one for a card, got {folder} with another {found[0]}")


if __name__ == "__main__":
    run.start(main)
