"""Bits/dim against time: ours and the PyTorch port, trained on the same images and machine for equal times.

    python -m benchmarks.race --torch_python=PYTHON --data_dir=DIR                     5 minutes each
    python -m benchmarks.race --torch_python=PYTHON --data_dir=DIR --seeds=1,2 --contestants='ours, float32'
    python -m benchmarks.race --torch_python=PYTHON --data_dir=DIR --seconds=60 --output=build/race.md
    python -m benchmarks.race --torch_python=PYTHON --preset=cifar10_glow --output=build/race_glow.md
    python -m benchmarks.race --norun                                                  the picture of all finished runs

Same layout and parameter count, batches of the same images in the same order, optimizer, warm-up, clipping and L2
term, and no schedule after the warm-up; starts and noise are drawn by each, from the seed. They take turns of some
seconds. The clock of each runs during its own training steps only, without the first step, which compiles, and without
evaluation, which uses validation images and moving averages. A run adds its points to the existing ones; the table
shows all that are comparable.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import matplotlib.figure
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved, peers
from benchmarks.race_batches import batches
from launch import machine
from tfp_realnvp import presets, training

_ROOT = pathlib.Path(__file__).parent.parent
_RESULTS = pathlib.Path(__file__).parent / "results"

OURS = {"ours, float32": "float32", "ours, bfloat16": "mixed_bfloat16"}
PORTS = {
    "port, float32": dict(bfloat16=False, tuned=False),
    "tuned port, float32": dict(bfloat16=False, tuned=True),
    "tuned port, bfloat16": dict(bfloat16=True, tuned=True),
}


def define_flags() -> None:
    flags.DEFINE_enum("preset", "cifar10_cpu", presets.IMAGE_NAMES, "The model and its recipe.")
    flags.DEFINE_string("data_dir", "../shared/data/tfds", "Folder of prepared TFDS sets.")
    flags.DEFINE_string("torch_python", sys.executable, "The interpreter that has PyTorch.")
    flags.DEFINE_multi_string("contestants", None, f"Some of: {'; '.join([*OURS, *PORTS])}. All by default.")
    flags.DEFINE_list("seeds", ["0"], "Of weights and noise; all contestants run with the first, then with the next.")
    flags.DEFINE_float("seconds", 300, "How long each trains.", lower_bound=1)
    flags.DEFINE_float("turn", 15, "Seconds of training between two evaluations, and of a turn.", lower_bound=0.1)
    flags.DEFINE_integer("validation", 1_000, "Images to evaluate on.", lower_bound=1)
    flags.DEFINE_bool("run", True, "Whether to run, or to draw what was run.")
    flags.DEFINE_string("output", str(_RESULTS / "race.md"), "The table; the points and the picture lie beside it.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    output = pathlib.Path(values.output)
    points_file, picture = output.with_suffix(".jsonl"), output.with_suffix(".png")
    preset = presets.get(values.preset)
    points = [json.loads(line) for line in points_file.read_text().splitlines()] if points_file.exists() else []
    if values.run:
        points = merged(points, run(preset, [int(seed) for seed in values.seeds]))
        points_file.write_text("".join(json.dumps(point) + "\n" for point in points))
    # Of other settings, and from other machines, there may be points, too.
    points = [point for point in points if point["of"] == _settings()]
    points = [point for point in points if point["machine"] == points[-1]["machine"]]
    if not points:
        raise app.UsageError(f"expected points of {_settings()} in {points_file}, found none")
    about = (
        f"The `{values.preset}` preset, batches of {preset.recipe.batch_size}, for {values.seconds:g} s of training "
        f"each, in turns of {values.turn:g} s; bits/dim of {values.validation:,} validation images, between two turns "
        "on the line between them."
    )
    lines = interleaved.heading("benchmarks.race", about, machines={points[-1]["machine"]})
    draw(points, picture)
    interleaved.publish([*lines, *table(points), f"![Bits/dim against time]({picture.name})"], values.output)


def run(preset: presets.Preset, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The points of the contestants that the flags name, with each seed."""
    names = flags.FLAGS.contestants or [*OURS, *PORTS]
    if unknown := sorted(set(names) - {*OURS, *PORTS}):
        raise app.UsageError(f"expected contestants among {'; '.join([*OURS, *PORTS])}, got {'; '.join(unknown)}")
    peers.layout(preset)  # Whether there is a port.
    points = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "images.npz")
        _write_images(preset, path)
        for seed in seeds:
            with contextlib.ExitStack() as stack:
                contestants = {name: stack.enter_context(_contestant(name, preset, path, seed)) for name in names}
                found = race(contestants, flags.FLAGS.seconds, flags.FLAGS.turn)
                on = {name: contestant.library() for name, contestant in contestants.items()}
            of_all = {"of": _settings(), "seed": seed, "machine": machine.processor()}
            points += [{**point, **of_all, "on": on[point["name"]]} for point in found]
    return points


def _settings() -> dict[str, Any]:
    """What points must share to be compared."""
    return {name: flags.FLAGS[name].value for name in ("preset", "seconds", "turn", "validation")}


def merged(before: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All points, those found in place of those before of the same contestant, seed, settings and machine."""

    def run_of(point: dict[str, Any]) -> str:
        return json.dumps([point[name] for name in ("name", "seed", "of", "machine")])

    anew = set(map(run_of, found))
    return [point for point in before if run_of(point) not in anew] + list(found)


def _write_images(preset: presets.Preset, path: str) -> None:
    images = nvp.data.load(preset.dataset, flags.FLAGS.data_dir)
    parts = {
        split: np.concatenate([*images.evaluation_batches(split, 1000).as_numpy_iterator()])
        for split in ("train", "validation")
    }
    np.savez(path, train=parts["train"], validation=parts["validation"][: flags.FLAGS.validation])


def race(contestants: dict[str, Any], seconds: float, turn: float) -> list[dict[str, Any]]:
    """Lets them train in turns until each has had its time; a point for each after each turn.

    Args:
      contestants: by name, with the methods of `Ours`.
      seconds: of training, for each.
      turn: seconds of a turn.
    """
    points = []
    clocks = dict.fromkeys(contestants, 0.0)
    while min(clocks.values()) < seconds:
        for name, contestant in contestants.items():
            if clocks[name] >= seconds:
                continue
            trained, images = contestant.train(min(turn, seconds - clocks[name]))
            clocks[name] += trained
            bits = contestant.evaluate()
            points.append(dict(name=name, seconds=round(clocks[name], 2), images=images, bits_per_dim=round(bits, 4)))
            print(f"{name}: {clocks[name]:.0f} s, {images:,} images, {bits:.3f} bits/dim", file=sys.stderr, flush=True)
    return points


class Ours:
    """A model of ours in training; `benchmarks.torch_race` has the same methods behind a pipe."""

    def __init__(self, preset: presets.Preset, dtype_policy: str, path: str, seed: int = 0):
        keras.utils.set_random_seed(seed)
        with np.load(path) as file:
            self._validation = file["validation"]
            self._batches = batches(file["train"], preset.recipe.batch_size)
        self._distribution = preset.build(dtype_policy=dtype_policy)
        self._model = nvp.FlowModel(
            self._distribution, levels=preset.levels, l2=preset.recipe.l2, clip_norm=preset.recipe.clip_norm, seed=seed
        )
        self._recipe, self._steps = preset.recipe, 0
        self._model.compile(training.optimizer(preset.recipe.optimizer, preset.recipe.learning_rate))
        self._model.optimizer.build(self._model.trainable_variables)
        self._step = tf.function(self._model.train_step, autograph=False, jit_compile=self._model.jit_compile)
        self._log_prob = tf.function(self._distribution.log_prob, reduce_retracing=True)
        self._levels, self._images = preset.levels, 0
        self._train_once()

    def _train_once(self) -> None:
        batch = next(self._batches)
        if self._steps < self._recipe.warmup_steps:
            rate = self._recipe.learning_rate * (self._steps + 1) / self._recipe.warmup_steps
            self._model.optimizer.learning_rate.assign(rate)
        self._steps += 1
        self._step(tf.constant(batch))["loss"].numpy()
        self._images += len(batch)

    def train(self, seconds: float) -> tuple[float, int]:
        """Trains for so long; returns how long it was, and the images seen so far."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            self._train_once()
        return time.monotonic() - started, self._images

    def evaluate(self) -> float:
        """Bits/dim of the validation images."""
        bits = []
        for i in range(0, len(self._validation), 100):
            images = self._validation[i : i + 100]
            pixels = nvp.dequantize(images, seed=(0, i), levels=self._levels)
            bits.append(nvp.bits_per_dim(self._log_prob(pixels).numpy(), images.shape[1:]))
        return float(np.mean(np.concatenate(bits)))

    def library(self) -> str:
        return f"TensorFlow {tf.__version__}"


class _Remote:
    """A contestant of `benchmarks.torch_race`."""

    def __init__(self, process: subprocess.Popen):
        self._process = process

    def train(self, seconds: float) -> tuple[float, int]:
        return tuple(self._ask("train", seconds))

    def evaluate(self) -> float:
        return self._ask("evaluate")

    def library(self) -> str:
        return self._ask("library")

    def _ask(self, *request: Any) -> Any:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the port ended with exit code {self._process.wait()}")
        return json.loads(line)


@contextlib.contextmanager
def _contestant(name: str, preset: presets.Preset, path: str, seed: int) -> Iterator[Ours | _Remote]:
    if name in OURS:
        yield Ours(preset, OURS[name], path, seed)
        return
    settings = dict(
        layout=peers.layout(preset),
        parameters=nvp.trainable_parameters(preset.build()),
        path=path,
        batch_size=preset.recipe.batch_size,
        seed=seed,
        warmup_steps=preset.recipe.warmup_steps,
        **peers.recipe_of_step(preset),
        **PORTS[name],
    )
    command = [flags.FLAGS.torch_python, "-m", "benchmarks.torch_race", json.dumps(settings)]
    # Threads that wait do not spin while others have their turn.
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen(command, **pipes, text=True, cwd=_ROOT, env=environment) as process:
        yield _Remote(process)


def runs_of(points: Sequence[dict[str, Any]]) -> dict[str, list[list[dict[str, Any]]]]:
    """The points of each run, by the contestant's name."""
    runs: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for point in points:
        runs.setdefault((point["name"], point["seed"]), []).append(point)
    names = sorted({name for name, _ in runs}, key=[*OURS, *PORTS].index)
    return {name: [own for (of, _), own in runs.items() if of == name] for name in names}


def table(points: Sequence[dict[str, Any]]) -> list[str]:
    """What each had reached after a third, two thirds and all of its time: the mean over starts, their deviation."""
    runs = runs_of(points)
    end = min(own[-1]["seconds"] for of_name in runs.values() for own in of_name)
    rows = []
    for name, of_name in runs.items():
        cells = []
        for share in (1 / 3, 2 / 3, 1):
            reached = [_at(share * end, own, "bits_per_dim") for own in of_name]
            spread = f" (deviation {statistics.stdev(reached):.3f})" if len(reached) > 1 else ""
            cells.append(f"{statistics.fmean(reached):.3f}{spread}")
        images = statistics.fmean(_at(end, own, "images") for own in of_name)
        rows.append([name, *cells, f"{images:,.0f}", str(len(of_name)), of_name[-1][0]["on"]])
    columns = ["bits/dim", *(f"after {share * end:.0f} s" for share in (1 / 3, 2 / 3, 1)), "images", "starts", "on"]
    return interleaved.table(columns, rows)


def _at(seconds: float, run: Sequence[dict[str, Any]], field: str) -> float:
    return float(np.interp(seconds, [point["seconds"] for point in run], [point[field] for point in run]))


def draw(points: Sequence[dict[str, Any]], file: pathlib.Path) -> None:
    """Bits/dim against seconds, a line for each run."""
    figure = matplotlib.figure.Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, (name, of_name) in enumerate(runs_of(points).items()):
        style = dict(color=f"C{number}", linestyle="-" if name.startswith("ours") else "--")
        for i, own in enumerate(of_name):
            label = None if i else name
            axes.plot([p["seconds"] for p in own], [p["bits_per_dim"] for p in own], label=label, **style)
    axes.set(xlabel="seconds of training", ylabel="validation bits/dim")
    # The first seconds would leave no room for the rest.
    low = min(point["bits_per_dim"] for point in points)
    axes.set_ylim(low - 0.1, low + 2.5)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    define_flags()
    app.run(main)
