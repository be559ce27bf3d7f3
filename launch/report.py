"""Write a run as one HTML page: settings, training curves, bits/dim beside baselines, pictures, errors, timing.

    python -m launch.report --output_dir=runs/mnist --data_dir=DIR
    python -m launch.report --output_dir=runs/mnist --data_dir=DIR --report=mnist.html

Writes OUTPUT_DIR/report.html, which needs no other file and no network: pictures are within it. The run must be
finished. Figures are those of its results.json; pictures and the inversion error are made anew of its best checkpoint.
"""

from __future__ import annotations

import base64
import html
import io
import math
import pathlib
import statistics
import time
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.figure
import numpy as np
import tensorflow as tf

from launch import arguments, compression_rows, results, run, source
from tfp_realnvp import evaluation, flows, presets, storage, training

_REPORT = arguments.DEFINE_path("report", None, "File to write; by default OUTPUT_DIR/report.html.")

_STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: .5em 0; }
th, td { text-align: left; padding: .15em 1.2em .15em 0; border-bottom: 1px solid #ddd; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; image-rendering: pixelated; }
code { overflow-wrap: anywhere; }
"""
# Enough for a mean and a maximum that mean something, and a second of work.
_IMAGES = 64


def main() -> None:
    if source.SAVED_MODEL.value is not None:
        raise run.UsageError("expected a run's folder for a report, got --saved_model, which holds no training")
    config = run.trained_config()
    scores = results.read(run.output_dir())
    metrics = _read_metrics()
    model = source.open_model()
    progress = source.progress(5, unit="part")
    parts = [_settings(config), _scores(config, scores), _curves(metrics)]
    progress(1)
    if isinstance(model, source.ImageModel):
        pixels, labels = source.some_examples(model, "test", _IMAGES, at_most=True)
        progress(2)
        parts.append(_samples(model))
        progress(3)
        parts += [*_manifold(model), *_compression(model, pixels[:10], labels[:10])]
        progress(4)
        parts.append(_inversion(model, pixels, labels))
    parts.append(_timing(model, metrics))
    progress(5)
    path = pathlib.Path(_REPORT.value) if _REPORT.value else run.output_dir() / "report.html"
    preset = presets.of_settings(config["model"])
    storage.write(path, _page(f"{preset.flow} on {preset.dataset}", parts))
    source.wrote(path)


def _read_metrics() -> list[dict[str, Any]]:
    path = run.output_dir() / "metrics.jsonl"
    lines = training.read_metrics(path) if path.is_file() else []
    if not lines:
        raise run.UsageError(f"expected a run with figures of its training for a report, found none in {path}")
    return lines


def _settings(config: dict[str, Any]) -> str:
    given = {name: value for name, value in config["model"].items() if value is not None}
    rows = [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)) for name, value in given.items()
    ]
    versions = ", ".join(f"{package} {number}" for package, number in config.get("versions", {}).items())
    rows += [("preset", config["preset"]), ("epochs", str(config.get("epochs", "unknown"))), ("versions", versions)]
    commit = str(config.get("commit") or "unknown")
    rows.append(("commit", f"{commit}, and changes" if config.get("uncommitted_changes") else commit))
    command = html.escape(run.command_line(config.get("command", ["launch/train.py"])))
    return f"<h2>Settings</h2>\n<p><code>{command}</code></p>\n{_table(('setting', 'value'), rows)}"


def _scores(config: dict[str, Any], scores: dict[str, evaluation.Score]) -> str:
    """The table of what the run and its baselines got on the test set."""
    first = next(iter(scores.values()))
    rows = [(name, _number(score.mean), _number(score.standard_error)) for name, score in scores.items()]
    published = results.published(presets.of_settings(config["model"]), presets.get(config["preset"]))
    rows += [(name, f"{figure:.2f}", "") for name, figure in published.items()]
    better, unit = "more is better" if first.unit == "nats" else "less is better", first.unit
    return (
        f"<h2>Test {unit}</h2>\n{_table(('model', unit, '+- standard error'), rows)}\n"
        f"<p>On {first.count:,} examples; {better}. The error is that of the mean over them.</p>"
    )


def _number(figure: float) -> str:
    return f"{figure:.4f}" if math.isfinite(figure) else "not finite"


def _curves(metrics: list[dict[str, Any]]) -> str:
    """Training and validation against the step, and what steered the steps."""
    figure = matplotlib.figure.Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    of_images = any("bits_per_dim" in line for line in metrics)
    names = ("bits_per_dim", "val_bits_per_dim") if of_images else ("loss", "val_loss")
    for name, label in zip(names, ("training", "validation"), strict=True):
        left.plot(*_series(metrics, name), label=label, marker="." if name.startswith("val") else None)
    left.set(xlabel="step", ylabel="bits/dim" if of_images else "loss, nats")
    left.legend()
    right.plot(*_series(metrics, "learning_rate"), color="C2")
    right.set(xlabel="step", ylabel="learning rate")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return f"<h2>Training</h2>\n{_image(buffer.getvalue(), 'Training curves')}"


def _series(metrics: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    lines = [line for line in metrics if line.get(name) is not None]
    return [line["step"] for line in lines], [line[name] for line in lines]


def _samples(model: source.ImageModel) -> str:
    temperatures = (0.7, 1.0)
    z = evaluation.draw_latents(model.distribution, 10, seed=(run.SEED.value, 0))
    labels = source.labels_in_turn(model, 10, None)
    scaled = np.concatenate([temperature * z for temperature in temperatures])
    rows = np.split(source.decode(model, scaled, np.tile(labels, len(temperatures))), len(temperatures))
    names = [f"T = {temperature:g}" for temperature in temperatures]
    return f"<h2>Samples</h2>\n{_picture(model, rows, names, 'Samples at two temperatures')}"


def _manifold(model: source.ImageModel) -> list[str]:
    """The surface between four images of the test set, of one class where there are classes; nothing of fewer."""
    label = None if model.classes is None else 0
    pixels, labels = source.some_examples(model, "test", 4, label, at_most=True)
    if len(pixels) < 4:
        return []
    angles = np.arange(8) * np.pi / 4
    z = evaluation.manifold(source.encode(model, pixels, labels), angles, angles)
    decoded = source.decode(model, z.reshape(-1, *model.shape), source.labels_in_turn(model, 64, label))
    degrees = [f"{angle:.0f}°" for angle in np.degrees(angles)]
    rows = decoded.reshape(8, 8, *model.shape)
    picture = _picture(model, rows, [f"phi {name}" for name in degrees], "Manifold", degrees)
    return [f"<h2>Between four images</h2>\n{picture}"]


def _compression(model: source.ImageModel, pixels: np.ndarray, labels: np.ndarray) -> list[str]:
    """Images from their coarser latents, of a flow of several scales."""
    orders = flows.split_orders(model.distribution.flow)
    if not orders:
        return []
    rows, names = compression_rows.draw(model, orders, pixels, labels)
    return [f"<h2>From the coarser latents</h2>\n{_picture(model, rows, names, 'Compression')}"]


def _inversion(model: source.Source, pixels: np.ndarray, labels: np.ndarray) -> str:
    x = source.dequantized(model, pixels)
    error = evaluation.inversion_error(model.distribution, x, source.one_hot(model, labels))
    return (
        f"<h2>Reconstruction</h2>\n<p>{len(x)} test images, encoded and decoded, differ from themselves by "
        f"{error.maximum:.2g} levels at most and by {error.mean:.2g} in the mean.</p>"
    )


def _timing(model: source.Source, metrics: list[dict[str, Any]]) -> str:
    rows = []
    # Of a run that was interrupted, the time it stood still counts.
    if len(metrics) > 1:
        seconds = metrics[-1]["time"] - metrics[0]["time"]
        rows.append(("from the first line of the log to the last", f"{seconds:,.0f} s"))
    for name, label in (("steps_per_second", "training, steps a second"), ("examples_per_second", "examples a second")):
        if found := [line[name] for line in metrics if name in line]:
            rows.append((f"{label}, median", f"{statistics.median(found):.3g}"))
    labels = source.labels_in_turn(model, _IMAGES, None)
    z = evaluation.draw_latents(model.distribution, _IMAGES, seed=(run.SEED.value, 0))
    flow = model.distribution.flow
    ways = {"sampling": flow.inverse_and_log_det, "encoding with its log-det": flow.forward_and_log_det}
    events, context = tf.constant(z), source.one_hot(model, labels)
    given = () if context is None else (tf.constant(context),)
    for name, way in ways.items():
        timed = tf.function(way, jit_compile=run.jit_compile(), autograph=False)
        found, _ = timed(events, *given)
        found.numpy()  # Traced and done; what is timed comes next.
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            timed(events, *given)[0].numpy()
            seconds.append(time.perf_counter() - started)
        rows.append((f"{name}, an event in a batch of {_IMAGES}", f"{statistics.median(seconds) / _IMAGES:.2g} s"))
        events = found
    devices = ", ".join(sorted({device.device_type for device in tf.config.list_logical_devices()}))
    return f"<h2>Timing</h2>\n{_table(('what', 'figure'), rows)}\n<p>The last two here and now, on {devices}.</p>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first cell of a row is its heading."""

    def row(tag: str, cells: Sequence[str]) -> str:
        first, *others = (html.escape(cell) for cell in cells)
        rest = "".join(f'<{tag} class="number">{cell}</{tag}>' for cell in others)
        return f'<tr><th scope="{"row" if tag == "td" else "col"}">{first}</th>{rest}</tr>'

    return "\n".join(["<table>", row("th", head), *(row("td", cells) for cells in rows), "</table>"])


def _picture(
    model: source.ImageModel,
    rows: Sequence[np.ndarray] | np.ndarray,
    names: Sequence[str],
    alt: str,
    columns: Sequence[str] | None = None,
) -> str:
    picture = evaluation.labelled_grid(rows, names, columns, model.levels)
    return _image(tf.io.encode_png(picture).numpy(), alt)


def _image(png: bytes, alt: str) -> str:
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _page(title: str, parts: Sequence[str]) -> str:
    title = html.escape(title)
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


if __name__ == "__main__":
    run.start(main)
