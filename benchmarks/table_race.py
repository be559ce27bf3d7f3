"""Held-out nats after as many minutes of training: ours beside zuko, nflows and normflows on five tables.

    python -m benchmarks.table_race --torch_python=PYTHON                      an hour and a half on one core
    python -m benchmarks.table_race --torch_python=PYTHON --sets=california --minutes=1 --output=/tmp/race.md
    python -m benchmarks.table_race --norun                                    the table of all finished runs

PYTHON is an interpreter with the packages that `benchmarks.tabular` names. All train a neural spline flow of the same
layout by the same recipe, on one thread. A library's own speed, measured for some seconds beforehand, says how many
steps it makes in the time, so that its cosine ends with the clock. A hundredth of the steps lies between two looks at
the validation rows; the weights that are best on them are evaluated on the test rows. Each run is a line of a JSONL
file.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved, steadiness, tabular

_RESULTS = pathlib.Path(__file__).parent / "results"
_RECIPE = "steady"
_LOOKS = 100
# Steps before the speed is measured, and seconds of measuring it.
_WARM_UP, _SECONDS = 30, 5.0

LIBRARIES = ("ours", "zuko", "nflows", "normflows")


def define_flags() -> None:
    flags.DEFINE_string("torch_python", sys.executable, "The interpreter that has PyTorch and the peers.")
    flags.DEFINE_string("data_dir", "../shared/data/tabular", "Folder of the tables.")
    flags.DEFINE_list("sets", list(tabular.SETS), f"Some of {', '.join(tabular.SETS)}.")
    flags.DEFINE_list("libraries", list(LIBRARIES), f"Some of {', '.join(LIBRARIES)}.")
    flags.DEFINE_list("seeds", ["0"], "Of the weights and the order of the rows.")
    flags.DEFINE_float("minutes", 5, "Of training and validation.", lower_bound=0.01)
    flags.DEFINE_integer("batch_size", 256, "Rows in a training step.", lower_bound=1)
    flags.DEFINE_bool("run", True, "Whether to run what is missing.")
    flags.DEFINE_string("rows", str(_RESULTS / "table_race.jsonl"), "The file of all runs.")
    flags.DEFINE_string("output", str(_RESULTS / "table_race.md"), "File to write the table to.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    for name, known in (("sets", tabular.SETS), ("libraries", LIBRARIES)):
        if unknown := sorted(set(getattr(values, name)) - set(known)):
            raise app.UsageError(f"expected --{name} to be some of {', '.join(known)}, got {', '.join(unknown)}")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    jobs, file = list(_jobs()), pathlib.Path(values.rows)
    missing = [job for job in jobs if values.run and tabular.row_of(job, tabular.read(file)) is None]
    for number, job in enumerate(missing):
        row = job | run(job)
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        about = f"{job['set']}, {job['library']}, seed {job['seed']}: {row['test']:.3f} after {row['steps']:,} steps"
        print(f"{number + 1}/{len(missing)} {about}, {row['seconds']} s", file=sys.stderr, flush=True)
    interleaved.publish(report(jobs, tabular.read(file)), values.output)


def _jobs() -> Iterator[dict[str, Any]]:
    values = flags.FLAGS
    layout = dict(layers=5, hidden_units=[128, 128], bins=8, bound=5.0)
    for seed in values.seeds:
        for name in values.sets:
            for library in values.libraries:
                job = dict(set=name, library=library, seed=int(seed), minutes=values.minutes, flow="nsf")
                yield job | layout | dict(recipe=_RECIPE, batch_size=values.batch_size)


class Ours(steadiness.Ours):
    """Our spline flow in training."""

    def flow(self, size: int) -> nvp.FlowDistribution:
        return tabular.build(self.job["flow"], tabular.layout_of(self.job, size))


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Trains for the job's minutes; what it reached."""
    values = flags.FLAGS
    data = tabular.prepare(job["set"], values.data_dir)
    unit = float(data.pop("unit"))
    recipe = {name: steadiness.RECIPES[_RECIPE][name] for name in ("learning_rate", "schedule", "clip_norm")}
    recipe["average_decay"] = steadiness.RECIPES[_RECIPE]["average_decay"]

    def started(model: Any, steps: int, folder: str) -> None:
        data["order"] = tabular.order(len(data["train"]), job["batch_size"], steps, job["seed"])
        path = os.path.join(folder, "data.npz")
        np.savez(path, **data)
        model.job = job | dict(steps=steps)
        model.start(path, **({} if job["library"] == "ours" else recipe))

    with tempfile.TemporaryDirectory() as folder, tabular.learner(job, values.torch_python, ours=Ours) as model:
        started(model, 20_000, folder)
        start, per_step, per_look = _speed(model)
        steps = max(int((60 * job["minutes"] - start - _LOOKS * per_look) / per_step), _LOOKS)
        started(model, steps, folder)
        began = time.monotonic()
        found = tabular.fit(model, steps, -(-steps // _LOOKS))
    found["test"] += unit
    found["validation"] += unit
    return found | dict(steps=steps, seconds=round(time.monotonic() - began, 1))


def _speed(model: Any) -> tuple[float, float, float]:
    """Seconds of the first step and look, which trace, of a later step, and of a later look at the validation rows."""
    begin = time.monotonic()
    model.train(0, 1)
    model.evaluate("validation")
    traced = time.monotonic()
    model.evaluate("validation")
    per_look = time.monotonic() - traced
    model.train(1, _WARM_UP)
    began, done = time.monotonic(), 0
    while (spent := time.monotonic() - began) < _SECONDS:
        model.train(_WARM_UP + done, _WARM_UP + done + 10)
        done += 10
    return traced - begin, spent / done, per_look


def report(jobs: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of the Markdown file."""
    values = flags.FLAGS
    about = (
        f"Test nats after {values.minutes:g} minutes of training on one thread, the mean of the seeds "
        f"{', '.join(values.seeds)}, +- the standard error over test rows; in parentheses the thousands of steps of "
        f"{values.batch_size} rows. A neural spline flow of 5 couplings, hidden 128x128, 8 bins on [-5, 5]; "
        f"{steadiness.words(steadiness.RECIPES[_RECIPE] | dict(validate_every=None))}, the weights kept that are best "
        "on validation rows. The tables are prepared as for `benchmarks.tabular`. Level is within one standard error."
    )
    lines = interleaved.heading("benchmarks.table_race", about, machines=None if values.run else ())
    body = []
    for name in values.sets:
        found: dict[str, list[dict[str, Any]]] = {}
        for job in jobs:
            if job["set"] == name and (row := tabular.row_of(job, rows)) is not None:
                found.setdefault(job["library"], []).append(row)
        body.append([name, *(_cell(found.get(library, [])) for library in values.libraries), _verdict(found)])
    return [*lines, *interleaved.table(["table", *values.libraries, "ours"], body)]


def _cell(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "-"
    steps = statistics.fmean(row["steps"] for row in rows) / 1_000
    return f"{_mean(rows, 'test'):.3f} +- {_mean(rows, 'standard_error'):.3f} ({steps:.1f})"


def _verdict(found: dict[str, list[dict[str, Any]]]) -> str:
    """Whether ours is first, or at most one standard error of its mean below the best peer."""
    peers = {name: _mean(rows, "test") for name, rows in found.items() if name != "ours"}
    if not peers or "ours" not in found:
        return "-"
    best = max(peers, key=lambda name: peers[name])
    ahead = _mean(found["ours"], "test") - peers[best]
    place = "first" if ahead >= 0 else "level" if -ahead <= _mean(found["ours"], "standard_error") else "behind"
    return f"{place}, {ahead:+.3f} ({best})"


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float:
    return statistics.fmean(row[name] for row in rows)


if __name__ == "__main__":
    define_flags()
    app.run(main)
