"""The test bits/dim of trained models with their standard errors, and the commands that reproduce them.

    python -m benchmarks.quality                                           the table of what was run
    python -m benchmarks.quality --run=mnist,cifar10_cpu --data_dir=DIR    train or resume these and add their rows
    python -m benchmarks.quality --check --data_dir=DIR                    evaluate every released model again
    python -m benchmarks.quality --importance=mnist_glow --data_dir=DIR         add the bound with 100 noise samples

A row is a command of `launch.train` with the folder `runs/quality/NAME`. An interrupted run resumes, and a finished run
is only read. Rows are lines of `results/quality.jsonl`, their curves are in `results/curves/`.

`--check` fails where a model in `saved_models/` is further than 0.01 bits/dim from its row, or where 100 test images do
not come back from their latents within 0.1 of a level in float32. A model with learned noise is compared by its bound
with that noise.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved
from launch import machine
from tfp_realnvp import presets

_RESULTS = pathlib.Path(__file__).parent / "results"
_ROOT = _RESULTS.parent.parent
_TOLERANCE = 0.01
# Of a level.
_INVERSION_TOLERANCE = 0.1
_NOISE_SAMPLES = 100


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A model to train.

    Attributes:
      data: the data set, in a few words.
      model: the flow and its settings, in a few words.
      flags: of `launch.train`, but for the folders.
      released: its folder in `saved_models/`, if it is there.
    """

    data: str
    model: str
    flags: tuple[str, ...]
    released: str | None = None


def _of(preset: str, *flags: str) -> tuple[str, ...]:
    return (f"--flagfile=launch/flagfiles/{preset}.flags", *flags)


_LONG = ("--ema=0.999", "--schedule=cosine")
_CIFAR = ("--dtype_policy=mixed_bfloat16", *_LONG, "--warmup_steps=200", "--epochs=4")
_SMALL_BATCHES = ("--dtype_policy=mixed_bfloat16", *_LONG, "--warmup_steps=500", "--batch_size=16", "--epochs=12")
_NOISE = "--dequantization=variational(couplings=4, width=64, blocks=1, normalization=none, squeeze=True)"
RECIPES = {
    "digits": Recipe("digits, 8x8, 17 levels", "Real NVP", _of("digits")),
    "digits_variational": Recipe(
        "digits, 8x8, 17 levels", "Real NVP, learned noise", _of("digits", "--dequantization=variational")
    ),
    "digits_glow": Recipe(
        "digits, 8x8, 17 levels", "Glow, mixtures of 8 logistics", _of("digits_glow"), released="digits"
    ),
    "digits_flowpp": Recipe(
        "digits, 8x8, 17 levels", "Flow++ couplings, 4 components", _of("digits", "--flow=flowpp", "--components=4")
    ),
    "mnist": Recipe("MNIST", "Real NVP", _of("mnist", "--epochs=6", *_LONG)),
    "mnist_glow": Recipe("MNIST", "Glow, mixtures of 4 logistics", _of("mnist_glow", "--epochs=5"), released="mnist"),
    "cifar10_cpu": Recipe(
        "CIFAR-10",
        "Real NVP, narrow, bfloat16, batches of 64",
        _of("cifar10_cpu", *_CIFAR),
    ),
    "cifar10_cpu_long": Recipe(
        "CIFAR-10",
        "Real NVP, narrow, bfloat16, batches of 16",
        _of("cifar10_cpu", *_SMALL_BATCHES),
    ),
    "cifar10_glow_1": Recipe("CIFAR-10", "Glow, mixtures of 4 logistics, bfloat16", _of("cifar10_glow", "--epochs=5")),
    "cifar10_glow_2": Recipe(
        "CIFAR-10",
        "the same, gone on with",
        _of("cifar10_glow", "--epochs=7", "--seed=1", "--init_from=runs/quality/cifar10_glow_1"),
    ),
    "cifar10_glow_3": Recipe(
        "CIFAR-10",
        "the same, gone on with again",
        _of("cifar10_glow", "--epochs=6", "--seed=2", "--init_from=runs/quality/cifar10_glow_2"),
    ),
    "cifar10_glow_4": Recipe(
        "CIFAR-10",
        "the same, gone on with, learned noise",
        _of("cifar10_glow", "--epochs=3", "--seed=3", "--init_from=runs/quality/cifar10_glow_3", _NOISE),
    ),
    "cifar10_glow_5": Recipe(
        "CIFAR-10",
        "the same with learned noise, gone on with",
        _of("cifar10_glow", "--epochs=4", "--seed=4", "--init_from=runs/quality/cifar10_glow_4", _NOISE),
    ),
    "cifar10_glow_6": Recipe(
        "CIFAR-10",
        "the same at half the rate",
        _of(
            "cifar10_glow",
            *("--epochs=3", "--seed=5", "--init_from=runs/quality/cifar10_glow_5", _NOISE, "--learning_rate=0.006"),
        ),
    ),
    "cifar10_glow": Recipe(
        "CIFAR-10",
        "the same at a quarter of the rate",
        _of(
            "cifar10_glow",
            *("--epochs=1", "--seed=6", "--init_from=runs/quality/cifar10_glow_6", _NOISE, "--learning_rate=0.003"),
        ),
        released="cifar10",
    ),
    "cifar10": Recipe(
        "CIFAR-10",
        "Real NVP of the paper, on a GPU",
        _of("cifar10", "--dtype_policy=mixed_bfloat16", "--ema=0.999", "--warmup_steps=200", "--epochs=25"),
    ),
    "tiny_imagenet": Recipe(
        "Tiny ImageNet, 64x64, a subset of 10,000",
        "Real NVP, 3 scales, a smoke run",
        (
            "--preset=imagenet64",
            "--dataset=tiny_imagenet",
            *("--scales=3", "--width=8", "--blocks=1", "--epochs=1"),
            *_LONG,
            "--dtype_policy=mixed_bfloat16",
        ),
    ),
}


def define_flags() -> None:
    flags.DEFINE_list("run", [], f"Some of {', '.join(RECIPES)}: to be trained, or gone on with, and added.")
    flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS sets; digits needs none.")
    flags.DEFINE_bool("check", False, "Whether to evaluate the released models again, and compare with the table.")
    flags.DEFINE_list(
        "importance", [], f"Rows of released models that get the bound with {_NOISE_SAMPLES} noise samples."
    )
    flags.DEFINE_integer("images", 1_000, "Test images of that bound.", lower_bound=1)
    flags.DEFINE_string("runs", str(_ROOT / "runs/quality"), "The folder of the runs.")
    flags.DEFINE_string("rows", str(_RESULTS / "quality.jsonl"), "The file of all rows.")
    flags.DEFINE_string("curves", str(_RESULTS / "curves"), "The folder of the curves.")
    flags.DEFINE_string("output", str(_RESULTS / "quality.md"), "File to write the table to.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    if unknown := sorted(set(values.run) - set(RECIPES)):
        raise app.UsageError(f"expected --run to be some of {', '.join(RECIPES)}, got {', '.join(unknown)}")
    file = pathlib.Path(values.rows)
    if values.check:
        sys.exit(not check(read(file), values.data_dir))
    for name in values.importance:
        row = read(file).get(name)
        if row is None or (folder := _released(RECIPES[name])) is None:
            raise app.UsageError(f"expected --importance to name rows of released models, got {name}")
        add(row | {"importance": importance(folder, values.data_dir, values.images)}, file)
    for name in values.run:
        folder = pathlib.Path(values.runs) / name
        train(RECIPES[name], folder, values.data_dir)
        add(row_of(name, folder), file)
        pathlib.Path(values.curves).mkdir(exist_ok=True)
        write_curve(folder, pathlib.Path(values.curves) / f"{name}.jsonl")
    interleaved.publish(table(read(file)), values.output)


def train(recipe: Recipe, folder: pathlib.Path, data_dir: str | None) -> None:
    """Runs `launch.train`, which resumes an interrupted run; a finished run is left as it is."""
    if (folder / "results.json").exists():
        return
    data = [] if data_dir is None else [f"--data_dir={data_dir}"]
    command = [sys.executable, "-m", "launch.train", *recipe.flags, f"--output_dir={folder}", *data, "--verbose=2"]
    subprocess.run(command, check=True, cwd=_ROOT)


def read(file: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The rows of a JSONL file by their names; the last of a name."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {row["name"]: row for row in map(json.loads, lines)}


def add(row: dict[str, Any], file: pathlib.Path) -> None:
    """Puts a row into the file, in place of one of its name."""
    rows = read(file) | {row["name"]: row}
    file.write_text("".join(json.dumps(rows[name]) + "\n" for name in RECIPES if name in rows))


def row_of(name: str, folder: pathlib.Path) -> dict[str, Any]:
    """The row of a finished run, read from its folder."""
    config, results = (json.loads((folder / f"{file}.json").read_text()) for file in ("config", "results"))
    scores = {title: nvp.evaluation.Score.from_json(row) for title, row in results.items()}
    preset = presets.of_settings(config["model"])
    ours = {title: score for title, score in scores.items() if not title.startswith(("independent", "full-covariance"))}
    figures = {
        score.bound.partition(" ")[0]: {"bits_per_dim": score.mean, "standard_error": score.standard_error}
        for score in ours.values()
    }
    lines = _log(folder)
    learned = [preset.build(), preset.build_dequantizer()]
    parts = parts_of(config)
    return {
        "name": name,
        "test": figures,
        "histogram": scores["independent pixel histogram"].mean,
        "parameters": sum(nvp.trainable_parameters(part) for part in learned if part is not None),
        "images": lines[-1]["step"] * preset.recipe.batch_size + config.get("init_from", {}).get("images", 0),
        "seconds": round(seconds(lines)[-1]),
        "versions": config["versions"],
        **parts[-1],
        "before": parts[:-1],
    }


def importance(folder: pathlib.Path, data_dir: str | None, count: int) -> dict[str, Any]:
    """The importance bound of a released model, and the bound with one noise sample, on as many test images."""
    distribution, noise, images, levels = _open(folder, data_dir)
    found = {}
    for samples in (1, _NOISE_SAMPLES):
        some = (batch[:count] for batch in itertools.islice(images.evaluation_batches("test", 100), -(-count // 100)))
        score = nvp.evaluate(distribution, some, levels=levels, dequantizer=noise, importance_samples=samples)
        found[str(samples)] = {"bits_per_dim": score.mean, "standard_error": score.standard_error}
    return found | {"images": score.count}


def parts_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Where a run came from, and before it the runs that it was initialised from."""
    before = config.get("init_from")
    part = {
        "flags": flags_of(config["command"]),
        "commit": config["commit"],
        "uncommitted_changes": config.get("uncommitted_changes"),
        "machine": config.get("machine") or machine.processor(),
    }
    return [*(parts_of(before) if before else []), part]


def flags_of(command: Sequence[str]) -> list[str]:
    """The flags that a run was started with, but for its folders and what it printed."""
    kept = [flag for flag in command[1:] if not flag.lstrip("-").startswith(("output_dir=", "data_dir=", "verbose="))]
    return [re.sub(r"^--?init_from=.*?([^/]+)/?$", r"--init_from=runs/quality/\1", flag) for flag in kept]


def _log(folder: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def seconds(lines: Sequence[dict[str, Any]]) -> list[float]:
    """The seconds of training up to each line, computed from the speed of the steps.

    Validation, compilation and the time between two starts do not count. The speed in a line is a mean since the
    start of its epoch, or since the run was resumed; a resumed run is recognised by too small a time.
    """
    total: list[float] = []
    so_far, first, before = 0.0, 0, lines[0]
    speed = next(line["steps_per_second"] for line in lines if "steps_per_second" in line)
    for line in lines:
        speed = line.get("steps_per_second", speed)  # A line of a start's first step has none.
        is_new = line["epoch"] != before["epoch"]
        if total and not is_new:
            elapsed = so_far + (line["step"] - first) / speed - total[-1]
            is_new = elapsed < (line["time"] - before["time"]) / 2
        if is_new:
            so_far, first = total[-1], before["step"]
        total.append(so_far + (line["step"] - first) / speed)
        before = line
    return total


def write_curve(folder: pathlib.Path, file: pathlib.Path) -> None:
    """The curve of a run: a line at each epoch's end, and about a hundred in all."""
    lines = _log(folder)
    kept = []
    for line, so_far in zip(lines, seconds(lines)):
        point = {key: line[key] for key in ("step", "epoch", "bits_per_dim", "val_bits_per_dim") if key in line}
        kept.append({**point, "seconds": round(so_far, 1)})
    stride = max(len(kept) // 100, 1)
    some = [point for i, point in enumerate(kept) if i % stride == 0 or "val_bits_per_dim" in point]
    file.write_text("".join(json.dumps(point) + "\n" for point in some))


def table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The results as Markdown."""
    about = (
        "Test bits/dim +- the standard error of the mean over the test images, one noise sample each, of the best "
        "checkpoint by validation. `images` is how many were seen in training, `minutes` the time of the steps alone, "
        "on a machine that did other work at the same time. Training runs differ by more than this error."
    )
    lines = ["# benchmarks.quality", "", about, ""]
    cells = []
    for name, row in rows.items():
        recipe = RECIPES[name]
        for dequantization, figure in row["test"].items():
            cells.append(
                [
                    recipe.data,
                    recipe.model,
                    f"{figure['bits_per_dim']:.3f} +- {figure['standard_error']:.3f}",
                    dequantization,
                    f"{row['parameters']:,}",
                    f"{row['images']:,}",
                    f"{row['seconds'] / 60:.0f}" + (" in the last part" if row.get("before") else ""),
                    f"`{name}`",
                ]
            )
    columns = ["data", "model", "bits/dim", "dequantisation", "parameters", "images", "minutes", "row"]
    lines += interleaved.table(columns, cells)
    missing = [f"`{name}` ({RECIPES[name].model})" for name in RECIPES if name not in rows]
    if missing:
        lines += [f"Not run: {', '.join(missing)}.", ""]
    for name, row in rows.items():
        recipe = RECIPES[name]
        released = f"; released in `saved_models/{recipe.released}`" if _released(recipe) else ""
        lines += [
            f"- `{name}`: {_origin(row, name)}, TensorFlow {row['versions']['tensorflow']}{released}. Histogram: "
            f"{row['histogram']:.3f}.{_bound(row)} [Curve](curves/{name}.jsonl)."
        ]
    return lines


def _bound(row: dict[str, Any]) -> str:
    if "importance" not in row:
        return ""
    one, many = (row["importance"][str(samples)] for samples in (1, _NOISE_SAMPLES))
    return (
        f" The bound with {_NOISE_SAMPLES} noise samples is {many['bits_per_dim']:.3f} +- {many['standard_error']:.3f} "
        f"on {row['importance']['images']:,} test images, where one sample gives {one['bits_per_dim']:.3f}."
    )


def _origin(row: dict[str, Any], name: str) -> str:
    """The commands of a run and of the runs that it was initialised from."""
    parts = []
    for part in reversed([*row.get("before", []), row]):
        commit = (part["commit"] or "unknown")[:7] + (" with changes" if part["uncommitted_changes"] else "")
        command = f"python -m launch.train {shlex.join(part['flags'])} --data_dir=DIR --output_dir=runs/quality/{name}"
        parts.append(f"`{command}`, commit {commit}, {part['machine']}")
        begins = [flag for flag in part["flags"] if flag.startswith("--init_from=")]
        name = begins[0].removeprefix("--init_from=runs/quality/") if begins else name
    return ", initialised from ".join(parts)


def _released(recipe: Recipe) -> pathlib.Path | None:
    folder = _ROOT / "saved_models" / (recipe.released or "")
    return folder if recipe.released is not None and folder.is_dir() else None


def _open(
    folder: pathlib.Path, data_dir: str | None
) -> tuple[nvp.FlowDistribution, nvp.Dequantizer | None, nvp.data.Events, int]:
    """A released model with its learned noise, its data set and levels."""
    about = nvp.serving.describe(nvp.serving.version_path(folder))
    return nvp.load(folder), nvp.load_dequantizer(folder), nvp.data.load(about["dataset"], data_dir), about["levels"]


def check(rows: dict[str, dict[str, Any]], data_dir: str | None) -> bool:
    """Whether every released model has the bits/dim of its row."""
    agree, known = True, set()
    for name, row in rows.items():
        folder = _released(RECIPES[name])
        if folder is None:
            continue
        known.add(folder.name)
        distribution, noise, images, levels = _open(folder, data_dir)
        tests = images.evaluation_batches("test", 100)
        found = nvp.evaluate(distribution, tests, levels=levels, dequantizer=noise)
        expected = row["test"]["uniform" if noise is None else "variational"]["bits_per_dim"]
        is_near = abs(found.mean - expected) <= _TOLERANCE
        print(f"{folder.name}: {found}, in the table {expected:.4f}: {'agrees' if is_near else 'DIFFERS'}", flush=True)
        pixels = next(iter(images.evaluation_batches("test", 100)))
        events = tf.cast(pixels, tf.float32) + 0.5
        error = nvp.evaluation.inversion_error(distribution, events).maximum
        inverts = error <= _INVERSION_TOLERANCE
        with nvp.bijectors.half_precision_inference():
            half = nvp.evaluation.inversion_error(distribution, events).maximum
        print(
            f"{folder.name}: images come back within {error:.2g} of a level in float32: "
            f"{'inverts' if inverts else 'DOES NOT INVERT'}; within {half:.2g} with half-precision networks, where the "
            "model has them"
        )
        agree &= is_near and inverts
    if rowless := sorted({f.name for f in (_ROOT / "saved_models").iterdir() if f.is_dir()} - known):
        print(f"No row for {', '.join(rowless)}")
        return False
    return agree


if __name__ == "__main__":
    define_flags()
    app.run(main)
