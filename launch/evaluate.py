"""Evaluate a trained model: bits/dim of images, or log-likelihood of vectors, with the standard error.

    python -m launch.evaluate --output_dir=runs/digits
    python -m launch.evaluate --output_dir=runs/digits --split=validation \\
      --importance_samples=20
    python -m launch.evaluate --saved_model=digits

With one sample of dequantisation noise per image the figure is a bound; more samples, by --importance_samples, tighten
it. The output names the noise, uniform or variational. Evaluates the run's best checkpoint, or an exported model.
"""

from __future__ import annotations

import itertools

from absl import flags

from launch import data_flags, run, source, terminal
from tfp_realnvp import data, evaluation, presets
from tfp_realnvp.flows import Dequantizer, FlowDistribution

_SPLITS = ("train", "validation", "test")
_SPLIT = flags.DEFINE_enum(
    "split", "test", [*_SPLITS, "all"], "The events to evaluate on; all: those of training, validation and test."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Number of events per batch.", lower_bound=1)
_IMPORTANCE_SAMPLES = flags.DEFINE_integer(
    "importance_samples", 1, "Number of noise samples per image, K of the importance-weighted bound.", lower_bound=1
)
_DEQUANTIZATION = flags.DEFINE_enum(
    "dequantization",
    None,
    presets.DEQUANTIZATIONS,
    "Noise of the bound of images; by default as in training.",
)


def main() -> None:
    is_run = source.SAVED_MODEL.value is None
    if not is_run and run.OUTPUT_DIR.present:
        raise run.UsageError("expected one model to evaluate, got --output_dir and --saved_model")
    events, distribution, dequantizer = _of_run() if is_run else _of_export()
    if _DEQUANTIZATION.value is not None and events.levels is None:
        raise run.UsageError("expected images for --dequantization, got vectors")
    if _DEQUANTIZATION.value == "variational" and dequantizer is None:
        model = run.output_dir() if is_run else source.SAVED_MODEL.value
        raise run.UsageError(f"expected a model with --dequantization=variational, got one with uniform noise, {model}")
    if _DEQUANTIZATION.value == "uniform":
        dequantizer = None
    if events.levels is None and (events.types is None or events.types.is_exact) and _IMPORTANCE_SAMPLES.value > 1:
        raise run.UsageError("expected images for --importance_samples, got vectors, which have no noise")
    splits = _SPLITS if _SPLIT.value == "all" else [_SPLIT.value]
    bar = terminal.bar(sum(map(events.num_examples, splits)), "event")
    score = evaluation.evaluate(
        distribution,
        itertools.chain.from_iterable(events.evaluation_batches(split, _BATCH_SIZE.value) for split in splits),
        levels=events.levels,
        classes=events.classes,
        dequantizer=dequantizer,
        columns=events.types,
        importance_samples=_IMPORTANCE_SAMPLES.value,
        seed=run.SEED.value,
        jit_compile=run.jit_compile(),
        progress=lambda so_far: bar.update(so_far.count, [(so_far.unit, so_far.mean)]),
    )
    low, high = score.interval()
    print(f"{events.name} {_SPLIT.value}: {score}, 95 % interval {low:.4f} ... {high:.4f}")


def _of_run() -> tuple[data.Events, FlowDistribution, Dequantizer | None]:
    preset = run.trained_preset()
    model = run.trained_config()["model"]
    made = {name: model.get(name) for name in data_flags.KEPT}
    events = run.load_data(
        preset.dataset,
        preset.event_shape,
        run.levels_of(preset),
        preset.classes,
        model.get("columns"),
        run.typing_of(preset),
        **made,
    )
    run.warn_of_other_files(events, preset.dataset, model.get("files"))
    dequantizer = preset.build_dequantizer()
    return events, run.trained_distribution(preset, dequantizer), dequantizer


def _of_export() -> tuple[data.Events, FlowDistribution, Dequantizer | None]:
    model = source.open_model()
    return source.open_data(model), model.distribution, model.dequantizer


if __name__ == "__main__":
    run.start(main)
