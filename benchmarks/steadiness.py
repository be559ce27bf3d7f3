"""How far the starts of a flow of a table differ, by recipe, beside zuko: nine starts each.

    python -m benchmarks.steadiness --torch_python=PYTHON             everything that has no row yet
    python -m benchmarks.steadiness --recipes=plain,steady --libraries=ours --sets=wine_red --starts=3     some of it
    python -m benchmarks.steadiness --norun                           the tables of all finished runs

Real NVP of 8 couplings on the tables of `benchmarks.tabular`. A start is another seed of the weights and of the order
of the rows. Without validation a recipe keeps the weights of the last step.
PYTHON is an interpreter with the packages that `benchmarks.tabular` names. Each run is a line of a JSONL file.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved, tabular
from tfp_realnvp import training

_RESULTS = pathlib.Path(__file__).parent / "results"

SETS = ("wine_red", "wine_white", "parkinsons", "california")
LIBRARIES = ("ours", "zuko")
# Options of a training run: `scale` is the affine transformer's, which only ours has.
_PLAIN = dict(learning_rate=1e-3, schedule="constant", clip_norm=None, average_decay=None, validate_every=None)
_STEADY = dict(learning_rate=2e-3, schedule="cosine", clip_norm=10.0, average_decay=0.99, validate_every=50)
RECIPES: dict[str, dict[str, Any]] = {
    "plain": _PLAIN,
    "plain, validated": _PLAIN | dict(validate_every=50),
    "steady": _STEADY,
    "steady, 1e-3": _STEADY | dict(learning_rate=1e-3),
    "steady, 5e-3": _STEADY | dict(learning_rate=5e-3),
    "steady, tanh": _STEADY | dict(scale="tanh"),
}


def define_flags() -> None:
    flags.DEFINE_string("torch_python", sys.executable, "The interpreter that has PyTorch and zuko.")
    flags.DEFINE_string("data_dir", "../shared/data/tabular", "Folder of the tables.")
    flags.DEFINE_list("sets", list(SETS), f"Some of {', '.join(SETS)}.")
    flags.DEFINE_list("libraries", list(LIBRARIES), f"Some of {', '.join(LIBRARIES)}.")
    flags.DEFINE_multi_string("recipes", ["plain", "steady"], f"One of {'; '.join(RECIPES)}; may be repeated.")
    flags.DEFINE_integer("starts", 9, "Seeds.", lower_bound=2)
    flags.DEFINE_integer("steps", 1_000, "Training steps.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 256, "Rows in a training step.", lower_bound=1)
    flags.DEFINE_integer("layers", 8, "Couplings.", lower_bound=1)
    flags.DEFINE_list("hidden_units", ["64", "64"], "Hidden sizes of each network.")
    flags.DEFINE_bool("run", True, "Whether to run what is missing.")
    flags.DEFINE_string("rows", str(_RESULTS / "steadiness.jsonl"), "The file of all runs.")
    flags.DEFINE_string("output", str(_RESULTS / "steadiness.md"), "File to write the tables to.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    for name, known in (("sets", SETS), ("libraries", LIBRARIES), ("recipes", RECIPES)):
        if unknown := sorted(set(getattr(values, name)) - set(known)):
            raise app.UsageError(f"expected --{name} to be some of {', '.join(known)}, got {', '.join(unknown)}")
    jobs, file = list(_jobs()), pathlib.Path(values.rows)
    if values.run:
        _run(jobs, file)
    interleaved.publish(_report(jobs, tabular.read(file)), values.output)


def _jobs() -> Iterator[dict[str, Any]]:
    """What is to be run; a line of the file begins with it."""
    values = flags.FLAGS
    layout = dict(layers=values.layers, hidden_units=[int(size) for size in values.hidden_units], bins=8, bound=5.0)
    for seed in range(values.starts):
        for name in values.sets:
            for recipe in values.recipes:
                for library in values.libraries:
                    if library == "ours" or "scale" not in RECIPES[recipe]:
                        job = dict(set=name, flow="real_nvp", library=library, recipe=recipe, seed=seed)
                        yield job | layout | dict(steps=values.steps, batch_size=values.batch_size)


class Ours(tabular.Ours):
    """A flow of ours in training by one of `RECIPES`."""

    def flow(self, size: int) -> nvp.FlowDistribution:
        shape = dict(event_shape=[size], hidden_units=self.job["hidden_units"], couplings=self.job["layers"])
        if (scale := RECIPES[self.job["recipe"]].get("scale")) is None:
            return nvp.real_nvp(**shape)
        return nvp.coupling_flow(transformer=functools.partial(nvp.transformers.Affine, scale=scale), **shape)

    def model(self, distribution: nvp.FlowDistribution) -> nvp.FlowModel:
        recipe = RECIPES[self.job["recipe"]]
        options = dict(clip_norm=recipe["clip_norm"], average_decay=recipe["average_decay"])
        model = nvp.FlowModel(distribution, **options)
        rate = recipe["learning_rate"]
        if recipe["schedule"] == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, self.job["steps"])
        model.compile(training.Adam(rate), jit_compile=False)
        return model


def _run(jobs: Sequence[dict[str, Any]], file: pathlib.Path) -> None:
    values = flags.FLAGS
    missing = [job for job in jobs if tabular.row_of(job, tabular.read(file)) is None]
    for i, job in enumerate(missing):
        data = tabular.prepare(job["set"], values.data_dir)
        del data["unit"]
        data["order"] = tabular.order(len(data["train"]), job["batch_size"], job["steps"], job["seed"])
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, tabular.learner(job, values.torch_python, ours=Ours) as model:
            path = os.path.join(folder, "data.npz")
            np.savez(path, **data)
            recipe = RECIPES[job["recipe"]]
            of_optimizer = ("learning_rate", "schedule", "clip_norm", "average_decay")
            model.start(path, **({} if job["library"] == "ours" else {name: recipe[name] for name in of_optimizer}))
            found = tabular.fit(model, job["steps"], recipe["validate_every"] or job["steps"])
        row = job | found | dict(seconds=round(time.monotonic() - started, 1))
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        about = f"{job['set']}, {job['library']}, {job['recipe']}, start {job['seed']}"
        print(f"{i + 1}/{len(missing)} {about}: {found['test']:.3f}", file=sys.stderr, flush=True)
        tf.keras.backend.clear_session()


def _report(jobs: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[str]:
    values = flags.FLAGS
    about = (
        f"Log-likelihoods in nats after {values.steps:,} steps of {values.batch_size} rows: the mean of "
        f"{values.starts} starts, and in parentheses their deviation. Real NVP of {values.layers} couplings, hidden "
        f"{'x'.join(values.hidden_units)}; the tables are prepared as for `benchmarks.tabular`, and all see the same "
        "batches. A recipe is chosen by the validation rows."
    )
    recipes = [f"- `{name}`: {words(RECIPES[name])}." for name in values.recipes]
    lines = interleaved.heading("benchmarks.steadiness", about, "", *recipes, "")
    for split in ("validation", "test"):
        columns = list(dict.fromkeys((job["library"], job["recipe"]) for job in jobs))
        cells = []
        for name in values.sets:
            cells.append([name])
            for library, recipe in columns:
                of_cell = [
                    row[split]
                    for job in jobs
                    if (job["set"], job["library"], job["recipe"]) == (name, library, recipe)
                    and (row := tabular.row_of(job, rows)) is not None
                ]
                spread = f" ({statistics.stdev(of_cell):.3f})" if len(of_cell) > 1 else ""
                cells[-1].append(f"{statistics.fmean(of_cell):.3f}{spread}" if of_cell else "-")
        lines += interleaved.table([split, *(f"{library}, {recipe}" for library, recipe in columns)], cells)
    return lines


def words(recipe: dict[str, Any]) -> str:
    """The recipe in words."""
    words = [f"Adam at {recipe['learning_rate']:g}"]
    words += ["falling to 0 as a cosine"] if recipe["schedule"] == "cosine" else []
    words += [f"gradients clipped to {recipe['clip_norm']:g}"] if recipe["clip_norm"] else []
    words += [f"weights averaged with a decay of {recipe['average_decay']:g}"] if recipe["average_decay"] else []
    if every := recipe["validate_every"]:
        words.append(f"the weights kept that are best on validation rows, looked at every {every} steps")
    words += ["log-scales `2 tanh(s/2)`"] if "scale" in recipe else []
    return ", ".join(words)


if __name__ == "__main__":
    define_flags()
    app.run(main)
