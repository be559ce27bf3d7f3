"""Write a run as one HTML page: its result beside baselines, pictures, timing, and the settings that apply to it.

    python -m launch.report --output_dir=runs/mnist --data_dir=DIR
    python -m launch.report --output_dir=runs/mnist --data_dir=DIR \\
      --report=mnist.html

Writes OUTPUT_DIR/report.html, which needs no other file and no network: pictures are within it. The run must be
finished. The result is read from its results.json; pictures and the inversion error are computed from its best
checkpoint.
"""

from __future__ import annotations

import datetime
import math
import pathlib
import statistics
import time
from typing import Any

import matplotlib.figure
import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from launch import arguments, image_report, outputs, page, results, run, source, vector_report
from tfp_realnvp import evaluation, presets, storage, training

_REPORT = arguments.DEFINE_path("report", None, "File to write; by default OUTPUT_DIR/report.html.")

# Enough for a mean and a maximum that mean something, and a second of work.
_EVENTS = 64
# Settings that do nothing for vectors.
_OF_IMAGES = {"levels", "classes", "flip", "l2", "dequantization"}


def main() -> None:
    if source.SAVED_MODEL.value is not None:
        raise run.UsageError("expected a run's folder for a report, got --saved_model, which holds no training")
    config = run.trained_config()
    scores = results.read(run.output_dir())
    metrics = _read_metrics()
    model = source.open_model()
    path = pathlib.Path(_REPORT.value) if _REPORT.value else run.output_dir() / "report.html"
    outputs.check(path, run.DATASET.value or model.dataset, flag="report")
    preset = presets.of_settings(config["model"])
    progress = source.progress(5, unit="part")
    parts = [_result(config, scores, metrics, model), _comparison(config, preset, scores)]
    progress(1)
    events, labels = source.some_examples(model, "test", _EVENTS, at_most=True)
    progress(2)
    if isinstance(model, source.ImageModel):
        parts += image_report.parts(model, events, labels)
    else:
        parts += vector_report.parts(model)
    progress(3)
    parts += [_curves(metrics), _reconstruction(model, events, labels)]
    progress(4)
    parts += [_timing(model, metrics, events, labels), _settings(config, preset)]
    progress(5)
    storage.write(path, page.page(f"{preset.title} on {run.without_folder(preset.dataset)}", parts))
    source.wrote(path)


def _read_metrics() -> list[dict[str, Any]]:
    path = run.output_dir() / "metrics.jsonl"
    lines = training.read_metrics(path) if path.is_file() else []
    if not lines:
        raise run.UsageError(f"expected a run with figures of its training for a report, found none in {path}")
    return lines


def _result(
    config: dict[str, Any],
    scores: dict[str, evaluation.Score],
    metrics: list[dict[str, Any]],
    model: source.Source,
) -> str:
    """The score of the model, and what it is a score of."""
    score = next(iter(scores.values()))
    kind = "images" if model.levels is not None else "vectors"
    of = f"on {score.count:,} test {kind}" + (f", with {score.bound}" if score.bound else "")
    finished = datetime.datetime.fromtimestamp(metrics[-1]["time"], datetime.UTC)
    about = [
        f"{nvp.trainable_parameters(model.distribution):,} trainable parameters",
        f"trained on {config.get('machine', 'an unknown machine')}",
        f"finished on {finished:%Y-%m-%d at %H:%M} UTC",
    ]
    return "\n".join(
        [
            page.text(f"{_number(score.mean)} ± {_number(score.standard_error)} {score.unit}", "result"),
            page.text(f"{of}; {_direction(score)}. The second number is the standard error of the mean over them."),
            page.text("; ".join(about) + ".", "quiet"),
        ]
    )


def _direction(score: evaluation.Score) -> str:
    return "more is better" if score.unit == "nats" else "less is better"


def _comparison(config: dict[str, Any], preset: presets.Preset, scores: dict[str, evaluation.Score]) -> str:
    """The table of what the model and its baselines got on the test set, and in words which is better."""
    title, ours = next(iter(scores.items()))
    rows = []
    for name, score in scores.items():
        is_ours = name.partition(", ")[0] == title.partition(", ")[0]  # With other noise, perhaps.
        words = "" if is_ours else _compared(ours, score)
        rows.append((name, _number(score.mean), _number(score.standard_error), words))
    for name, figure in results.published(preset, presets.get(config["preset"])).items():
        published = evaluation.Score(figure, math.nan, ours.count, ours.unit)
        rows.append((name, f"{figure:.2f}", "", _compared(ours, published)))
    return f"{page.heading('Against baselines')}\n{page.table(('model', ours.unit, '± error', 'this model is'), rows)}"


def _compared(ours: evaluation.Score, other: evaluation.Score) -> str:
    """Whether a score is better than another, and by how much where that can be said."""
    lead = ours.lead_over(other)
    if math.isnan(lead):
        return "not comparable"
    if lead == 0:
        return "as good"
    by = f" by {abs(lead):.4f}" if math.isfinite(lead) else ""
    # Of independent errors; those of one test set tend to be less apart.
    error = math.hypot(ours.standard_error, other.standard_error)
    within = ", which is within the errors" if abs(lead) < error else ""
    return f"{'better' if lead > 0 else 'worse'}{by}{within}"


def _number(figure: float) -> str:
    return f"{figure:.4f}" if math.isfinite(figure) else "not finite"


def _curves(metrics: list[dict[str, Any]]) -> str:
    """Training and validation against the step, and the learning rate."""
    of_images = any("bits_per_dim" in line for line in metrics)
    name, label = ("bits_per_dim", "bits/dim") if of_images else ("loss", "loss, nats")
    losses, rates = (matplotlib.figure.Figure(figsize=(5, 3.2), layout="constrained") for _ in range(2))
    axes = losses.subplots()
    axes.plot(*_series(metrics, name), label="training")
    axes.plot(*_series(metrics, f"val_{name}"), label="validation", marker=".")
    axes.set(xlabel="step", ylabel=label)
    axes.legend()
    axes = rates.subplots()
    axes.plot(*_series(metrics, "learning_rate"), color="C2")
    axes.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    pictures = (page.picture(page.drawn(losses), "Training curves"), page.picture(page.drawn(rates), "Learning rate"))
    return f"{page.heading('Training')}\n{page.beside(*pictures)}"


def _series(metrics: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    lines = [line for line in metrics if line.get(name) is not None]
    return [line["step"] for line in lines], [line[name] for line in lines]


def _reconstruction(model: source.Source, events: np.ndarray, labels: np.ndarray) -> str:
    x, context = source.flow_events(model, events, labels)
    error = evaluation.inversion_error(model.distribution, x, context)
    kind, unit = ("vectors", "") if model.levels is None else ("images", " levels")
    words = (
        f"{len(x)} test {kind}, encoded and decoded, differ from themselves by {error.maximum:.2g}{unit} at most and "
        f"by {error.mean:.2g}{unit} in the mean."
    )
    return f"{page.heading('Reconstruction')}\n{page.text(words)}"


def _timing(model: source.Source, metrics: list[dict[str, Any]], events: np.ndarray, labels: np.ndarray) -> str:
    rows = []
    # Of a run that was interrupted, the time it stood still counts.
    if len(metrics) > 1:
        seconds = metrics[-1]["time"] - metrics[0]["time"]
        rows.append(("from the first line of the log to the last", f"{seconds:,.0f} s"))
    for name, label in (("steps_per_second", "training, steps a second"), ("examples_per_second", "examples a second")):
        if found := [line[name] for line in metrics if name in line]:
            rows.append((f"{label}, median", f"{statistics.median(found):,.1f}"))
    flow, count = model.distribution.flow, len(events)
    z = tf.constant(evaluation.draw_latents(model.distribution, count, seed=(run.SEED.value, 0)))
    _, context = source.flow_events(model, events, labels)
    given = () if context is None else (tf.constant(context),)
    ways = {"sampling": flow.inverse_and_log_det, "encoding with its log-det": flow.forward_and_log_det}
    for name, way in ways.items():
        timed = tf.function(way, jit_compile=run.jit_compile(), autograph=False)
        found, _ = timed(z, *given)
        found.numpy()  # Traced and done; what is timed comes next.
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            timed(z, *given)[0].numpy()
            seconds.append(time.perf_counter() - started)
        milliseconds = 1000 * statistics.median(seconds) / count
        rows.append((f"{name}, an event in a batch of {count}", f"{milliseconds:.3f} ms"))
        z = found
    devices = ", ".join(sorted({device.device_type for device in tf.config.list_logical_devices()}))
    here = page.text(f"The last two are of this machine, on {devices}, when the report was made.", "quiet")
    return f"{page.heading('Timing')}\n{page.table(('what', 'figure'), rows)}\n{here}"


def _settings(config: dict[str, Any], preset: presets.Preset) -> str:
    """The settings that this flow has over these events, without those that are none."""
    commit = str(config.get("commit") or "unknown")
    settings = {"preset": config["preset"]} | presets.comparable(config["model"])
    settings |= {
        "dataset": run.without_folder(preset.dataset),
        "column_types": preset.columns and [f"{c.name} {c.describe()}" for c in preset.columns.columns],
        "epochs": config.get("epochs", "unknown"),
        "versions": [f"{package} {number}" for package, number in config.get("versions", {}).items()],
        "commit": f"{commit}, and changes" if config.get("uncommitted_changes") else commit,
    }
    unused = _OF_IMAGES if len(preset.event_shape) == 1 else ()
    rows = [
        (name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
        for name, value in settings.items()
        if value is not None and name not in unused
    ]
    command = page.code(run.command_line(config.get("command", ["launch/train.py"])))
    return f"{page.heading('Settings')}\n{command}\n{page.table(('setting', 'value'), rows)}"


if __name__ == "__main__":
    run.start(main)
