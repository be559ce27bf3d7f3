"""Kills training at random moments and compares the result with an uninterrupted run.

    python -m benchmarks.kill_drill --kills=50

Trains a tiny flow on digits with `--deterministic` to its end, then again and again in other folders, each time under a
few SIGKILLs at moments that are drawn from `--kill_seed`, uniform over the time that the first run took: while the
program starts, steps, writes checkpoints, evaluates, writes results and exports. After each kill the same command is
started again; after the last kill in a folder it runs to its end. Then these must equal the first run's, bit for bit:

- every tensor of the last and of the best checkpoint, and of the SavedModel,
- the lines of metrics.jsonl without their times, and results.json, config.json without the command, samples.png,
- the names of all files but TensorBoard's, so that no kill leaves anything behind.

Prints what each kill hit, and exits with 1 at the first difference. A life costs a few seconds: a server imports
TensorFlow once, and a copy of it is what is killed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import runpy
import shutil
import sys
import tempfile
import time
from collections import Counter
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags

_KILLS = flags.DEFINE_integer("kills", 50, "SIGKILLs in all.", lower_bound=1)
_IN_A_RUN = flags.DEFINE_integer("kills_in_a_run", 5, "SIGKILLs before a run may end.", lower_bound=1)
_SEED = flags.DEFINE_integer("kill_seed", 0, "Seed of the moments.")

_RUN = (
    *("--preset=digits", "--scales=1", "--width=2", "--blocks=0", "--batch_size=250", "--epochs=2", "--ema=0.9"),
    *("--deterministic", "--checkpoint_every=2", "--log_every=3", "--verbose=2", "--schedule=cosine"),
)
_TIMES = ("time", "steps_per_second", "examples_per_second", "waiting_for_data")
_LIVES = multiprocessing.get_context("forkserver")


def main(argv: list[str]) -> None:
    _LIVES.set_forkserver_preload(["launch.run", "tfp_realnvp"])
    random = np.random.default_rng(_SEED.value)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        _live(scratch, "whole", None)  # Prepares the data, and imports what the server did not.
        shutil.rmtree(scratch / "whole")
        started = time.monotonic()
        _live(scratch, "whole", None)
        seconds = time.monotonic() - started
        expected = _state(scratch / "whole")
        print(f"uninterrupted: {seconds:.1f} s, {len(expected)} things to compare", flush=True)
        hit, runs = Counter(), 0
        while hit.total() < _KILLS.value:
            name = f"run-{runs}"
            for moment in random.uniform(0, seconds, min(_IN_A_RUN.value, _KILLS.value - hit.total())):
                if (phase := _live(scratch, name, float(moment))) is None:
                    print(f"{name}: ended before {moment:.1f} s", flush=True)
                    break
                hit[phase] += 1
                print(f"{name}: killed after {moment:.1f} s, in {phase}", flush=True)
            else:
                _live(scratch, name, None)
            _compare(name, expected, _state(scratch / name))
            shutil.rmtree(scratch / name)
            runs += 1
    phases = ", ".join(f"{count} in {phase}" for phase, count in sorted(hit.items()))
    print(f"{hit.total()} kills in {runs} runs ({phases}): every run ended as the uninterrupted one did")


def _live(scratch: pathlib.Path, name: str, seconds: float | None) -> str | None:
    """Trains; kills the program after some seconds and returns what it did then, or None if it had ended."""
    folder, output = scratch / name, scratch / f"{name}.txt"
    life = _LIVES.Process(target=_train, args=(str(folder), str(scratch / "data"), str(output)))
    life.start()
    life.join(seconds)
    life.kill()
    life.join()
    if life.exitcode == 0:
        return None
    if seconds is None or life.exitcode != -9:
        sys.exit(f"{name}: expected a run that ends well, got exit code {life.exitcode} and\n{output.read_text()}")
    return _phase(folder, output, life.pid)


def _train(folder: str, data: str, output: str) -> None:
    for stream in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = ["launch/train.py", *_RUN, f"--data_dir={data}", f"--output_dir={folder}"]
    runpy.run_module("launch.train", run_name="__main__", alter_sys=True)


def _phase(folder: pathlib.Path, output: pathlib.Path, pid: int) -> str:
    """What a process did when it was killed, by what it left."""
    lock = folder / ".lock"
    if not lock.exists() or f"process {pid} " not in lock.read_text():
        return "start-up"
    if list(folder.glob(".unfinished.*/*saved_model")) or list(folder.glob(".unfinished.*/.unfinished.*")):
        return "export"
    if "Trained for" in output.read_text():
        return "evaluation and results"
    parts = [path for pattern in ("*_temp", "checkpoint.tmp*") for path in folder.glob(f"checkpoints/*/{pattern}")]
    return "a checkpoint" if parts else "steps"


def _state(folder: pathlib.Path) -> dict[str, Any]:
    """What two equal runs have in common, by its name."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    state = {f"line {i} of metrics.jsonl": _without(line, _TIMES) for i, line in enumerate(lines)}
    state["config.json"] = _without(json.loads((folder / "config.json").read_text()), ("command",))
    state |= {name: (folder / name).read_bytes() for name in ("results.json", "samples.png")}
    for index in sorted(folder.rglob("*.index")):
        reader = tf.train.load_checkpoint(str(index.with_suffix("")))
        of_checkpoint = index.relative_to(folder)
        # The counter is of what one process saved: names of files go by the step, not by it.
        bookkeeping = {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE"}
        names = sorted(set(reader.get_variable_to_shape_map()) - bookkeeping)
        tensors = {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}
        state |= {f"{of_checkpoint}: {name}": content for name, content in tensors.items()}
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    state["the names of files"] = [name for name in files if not name.startswith("tensorboard/")]
    return state


def _without(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _compare(name: str, expected: dict[str, Any], got: dict[str, Any]) -> None:
    for thing in sorted(expected.keys() | got.keys()):
        if expected.get(thing) != got.get(thing):
            sys.exit(f"{name}: {thing}: expected {expected.get(thing)!r:.2000}, got {got.get(thing)!r:.2000}")


if __name__ == "__main__":
    app.run(main)
