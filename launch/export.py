"""Export a trained model as a SavedModel, which loads with TensorFlow alone.

    python -m launch.export --output_dir=runs/digits --export_dir=served/digits

Writes the next version, at first `served/digits/1`, for TensorFlow Serving; a version appears only when it is complete.
docs/serving.md lists its signatures, and so does `saved_model_cli show --dir=served/digits/1 --all`.

With --calibration_split=validation the model also answers `p_value`: how unusual an event's density is among those of
the validation events, see docs/novelty.md.
"""

from __future__ import annotations

import pathlib
from typing import Any

from absl import flags

from launch import arguments, calibration, data_flags, outputs, results, run
from tfp_realnvp import novelty, presets, serving
from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.serving import card

_EXPORT_DIR = arguments.DEFINE_path("export_dir", None, "Folder of the model, which gets a new version.", required=True)
_VERSION = flags.DEFINE_integer(
    "version", None, "Version number; by default the highest existing number plus 1.", lower_bound=1
)
_WEIGHTS_DTYPE = flags.DEFINE_enum(
    "weights_dtype",
    "float32",
    serving.WEIGHTS_DTYPES,
    "Dtype of kernels in the file: bfloat16 halves its size and costs accuracy.",
)
_MAX_SAMPLES = flags.DEFINE_integer(
    "max_samples", 1024, "Maximum number of images that a request may draw.", lower_bound=1
)
_MAX_ROWS = flags.DEFINE_integer("max_rows", 1024, "Maximum number of images or latents per request.", lower_bound=1)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    None,
    "Maximum number of pixels that a request may decode, rows x height x width; by default --max_rows images of the "
    "model's size.",
    lower_bound=1,
)
_INVALID_ROWS = flags.DEFINE_enum(
    "invalid_rows",
    "refuse",
    serving.INVALID_ROWS,
    "Answer of log_prob for pixels outside the support: refuse the request, or return minus infinity for that row, for "
    "servers that batch requests of independent clients.",
)
_CARD = flags.DEFINE_bool(
    "card",
    False,
    "Whether to write the model's card, README.md and, of images, samples.png, into the folder of the model, too.",
)
_LITERT = arguments.DEFINE_path(
    "litert", None, "Also write the model to this file for LiteRT, with log_prob and decode of a single image."
)


def main() -> None:
    if _CARD.value:
        _check_card()
    preset, config = run.trained_preset(), run.trained_config()
    if _LITERT.value is not None:
        outputs.check(_LITERT.value, preset.dataset, flag="litert")
    dequantizer = preset.build_dequantizer()
    distribution = run.trained_distribution(preset, dequantizer)
    calibrated = _calibration(preset, config, distribution, dequantizer)
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
            dequantizer=dequantizer,
            columns=preset.columns,
            calibration=calibrated,
            metadata={
                "dataset": preset.dataset,
                **{name: config["model"].get(name) for name in ("files", "columns", *data_flags.KEPT)},
                "preset": config["preset"],
                "model": preset.settings(),
                "command": run.command_line(config["command"]),
            },
        )
    except (FileExistsError, ValueError) as error:
        raise run.UsageError(str(error)) from error
    print(f"Wrote {path}")
    if _LITERT.value is not None:
        try:
            serving.save_litert(path, _LITERT.value)
        except ValueError as error:
            raise run.UsageError(str(error)) from error
        print(f"Wrote {_LITERT.value}")
    if _CARD.value:
        for file in card.write(pathlib.Path(_EXPORT_DIR.value), path, run.output_dir(), results.read(run.output_dir())):
            print(f"Wrote {file}")


def _calibration(
    preset: presets.Preset, config: dict[str, Any], distribution: FlowDistribution, dequantizer: Dequantizer | None
) -> novelty.Calibration | None:
    if calibration.SPLIT.value is None:
        return None
    if _WEIGHTS_DTYPE.value != "float32":
        raise run.UsageError(
            f"expected float32 weights for --calibration_split, got {_WEIGHTS_DTYPE.value}: log-densities differ"
        )
    levels, kept = run.levels_of(preset), config["model"]
    shape = preset.event_shape if preset.columns is None else (preset.columns.size,)
    events = run.load_data(
        preset.dataset,
        shape,
        levels,
        preset.classes,
        kept.get("columns"),
        run.typing_of(preset),
        **{name: kept.get(name) for name in data_flags.KEPT},
    )
    run.warn_of_other_files(events, preset.dataset, kept.get("files"))
    scorer = serving.Scorer(
        distribution,
        columns=preset.columns,
        levels=levels,
        dequantizer=dequantizer,
        classes=preset.classes,
        novelty=calibration.names_of(levels),
        codec=calibration.CODEC.value,
        batch_size=1024 if levels is None else 32,
        jit_compile=run.jit_compile(),
    )
    return calibration.of_split(scorer, events, calibration.SPLIT.value)


def _check_card() -> None:
    has_picture = len(run.trained_preset().event_shape) == 3
    sources = [name for name in card.SOURCES if has_picture or name != "samples.png"]
    missing = [name for name in sources if not (run.output_dir() / name).is_file()]
    if missing:
        raise run.UsageError(f"expected a finished run for a card, found no {missing[0]} in {run.output_dir()}")
    folder = pathlib.Path(_EXPORT_DIR.value)
    found = [name for name in card.FILES if (folder / name).exists()]
    if found and not serving.versions(folder):
        raise run.UsageError(
            f"expected a model's folder or a new folder for a card, got {folder} with another {found[0]}"
        )


if __name__ == "__main__":
    run.start(main)
