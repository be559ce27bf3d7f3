"""Benchmarks candidates that take turns, each in its own process.

A machine's speed drifts, so timings from different minutes are not comparable. Every candidate therefore runs in a
process that waits for its turn: A B C A B C ... In a turn a candidate runs twice, and the second run is timed:
during the first, caches still hold the data of others. Results are medians over rounds of the ratio of two candidates'
seconds in the same round.

A candidate is a function, `module:function`, that prepares the work and returns it. Its process needs Python's
standard library and what the function imports, so that TensorFlow and PyTorch may live in different environments:

    PYTHON -m benchmarks.interleaved MODULE:FUNCTION SETTINGS-AS-JSON

Each line on its standard input is an order to take a turn; each line on its standard output is a JSON object about it.
Memory is the resident memory of a Linux process, as the kernel counts it.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

_ROOT = pathlib.Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Work:
    """What a candidate's function returns.

    Attributes:
      run: does the work once, and returns when it is done.
      small_run: the same program on one example; the first run then begins with it, and what `run` takes more is what
        grows with the batch.
      gradient_bytes: of the gradients that a run makes and drops.
      slot_bytes: of the optimizer's slots that the first run makes.
      report: facts for the table, asked for after each run.
    """

    run: Callable[[], Any]
    small_run: Callable[[], Any] | None = None
    gradient_bytes: int = 0
    slot_bytes: int = 0
    report: Callable[[], dict[str, Any]] = dict


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A row of a table.

    Attributes:
      name: of the row, unique.
      function: "module:function", returns `Work`.
      settings: keywords of the function, fit for JSON.
      python: the interpreter.
    """

    name: str
    function: str
    settings: dict[str, Any]
    python: str = sys.executable


@dataclasses.dataclass
class Result:
    """What a candidate took.

    Attributes:
      first_seconds: of the first run, or small run, with tracing and compilation.
      seconds: of each round.
      peak_bytes: the largest resident memory from the first run on.
      training_bytes: by how much that is above the process before its first run, gradients and slots taken off. What
        a framework keeps of a traced program is in it.
      activation_bytes: by how much the first run's peak is above the process after the small run: that program,
        gradients and slots are there then.
      idle_cores: processor time over time, while the other candidates ran.
      facts: what the work reported after the last run.
      error: why there is nothing of the above, or None.
    """

    first_seconds: float = 0.0
    seconds: list[float] = dataclasses.field(default_factory=list)
    peak_bytes: int = 0
    training_bytes: int = 0
    activation_bytes: int = 0
    idle_cores: float = 0.0
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ratio(self, other: Result) -> float:
        """The median over rounds of this one's seconds over the other's."""
        return statistics.median(mine / its for mine, its in zip(self.seconds, other.seconds, strict=True))


def measure(candidates: Sequence[Candidate], repeats: int) -> dict[str, Result]:
    """Runs all candidates in turns; one that fails has an error for a result, and the others go on.

    Args:
      candidates: what to run. All are in memory at the same time.
      repeats: timed rounds, after a first run.
    """
    results = {candidate.name: Result() for candidate in candidates}
    if len(results) < len(candidates):
        raise ValueError(f"expected unique names, got {[candidate.name for candidate in candidates]}")
    with contextlib.ExitStack() as stack:
        processes = {}
        for candidate in candidates:
            started = time.monotonic()
            process = processes[candidate.name] = stack.enter_context(_process(candidate))
            result = results[candidate.name]
            if _reply(process, result) is not None and (reply := _run(process, result)) is not None:
                result.first_seconds, result.activation_bytes = reply["first_seconds"], reply["activation_bytes"]
            outcome = result.error or f"first run after {time.monotonic() - started:.0f} s"
            print(f"{candidate.name}: {outcome}", file=sys.stderr, flush=True)
        for _ in range(repeats):
            for name, result in results.items():
                reply = None if result.error else _run(processes[name], result)
                if reply is None:
                    continue
                result.seconds.append(reply["seconds"])
                result.idle_cores = max(result.idle_cores, reply["idle_cores"])
                result.peak_bytes = reply["peak_bytes"]
                result.training_bytes = reply["training_bytes"]
                result.facts = reply["facts"]
    return results


def _process(candidate: Candidate) -> subprocess.Popen:
    # Closing its standard input, as leaving the context does, ends it. What libraries log is read by nobody: what goes
    # wrong comes as a reply.
    return subprocess.Popen(
        [candidate.python, "-m", "benchmarks.interleaved", candidate.function, json.dumps(candidate.settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=_ROOT,
    )


def _run(process: subprocess.Popen, result: Result) -> dict[str, Any] | None:
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write("run\n")
        process.stdin.flush()
    return _reply(process, result)


def _reply(process: subprocess.Popen, result: Result) -> dict[str, Any] | None:
    line = process.stdout.readline()
    reply = json.loads(line) if line else {"error": f"ended with exit code {process.wait()}"}
    result.error = reply.get("error")
    return None if result.error else reply


def _serve(function: str, settings: dict[str, Any]) -> None:
    """The candidate's side."""
    # Whatever a library prints must not get between the replies.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def reply(**facts: Any) -> None:
        print(json.dumps(facts), file=replies, flush=True)

    try:
        module, _, name = function.partition(":")
        work = getattr(importlib.import_module(module), name)(**settings)
        before = peak = _start_peak()
        reply(ready=True)
        idle_since = time.monotonic(), time.process_time()
        for number, _ in enumerate(sys.stdin):
            idle_cores = (time.process_time() - idle_since[1]) / (time.monotonic() - idle_since[0])
            first, base = {}, None
            if number == 0 and work.small_run is not None:
                first["first_seconds"] = _seconds(work.small_run)
                peak = max(peak, _memory("VmHWM"))
                ctypes.CDLL(None).malloc_trim(0)
                base = _start_peak()
            elif number > 0:
                work.run()
            seconds = _seconds(work.run)
            highest = _memory("VmHWM")
            peak = max(peak, highest)
            reply(
                **{"first_seconds": seconds, **first},
                seconds=seconds,
                idle_cores=idle_cores,
                peak_bytes=peak,
                training_bytes=peak - before - work.gradient_bytes - work.slot_bytes,
                activation_bytes=0 if base is None else highest - base,
                facts=work.report(),
            )
            idle_since = time.monotonic(), time.process_time()
    except Exception as error:  # Reported in the table.
        reply(error=f"{type(error).__name__}: {error}".split("\n")[0][:200])


def _seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _start_peak() -> int:
    """The resident memory. Resets the kernel's peak to it where that is permitted."""
    # Not `getrusage`, whose peak starts at the peak of the parent process.
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as clear_refs:
        clear_refs.write("5")
    return _memory("VmRSS")


def _memory(field: str) -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))


def _load() -> str:
    return f"load average {os.getloadavg()[0]:.1f} at the start"


def versions(*packages: str) -> str:
    """Of imported packages."""
    return ", ".join(f"{package} {sys.modules[package].__version__}" for package in packages)


def command(module: str) -> str:
    """The command line, paths of this machine left out."""
    flags = []
    for flag in sys.argv[1:]:
        name, is_pair, value = flag.partition("=")
        if name.lstrip("-") != "output":
            flags.append(f"{name}={name.lstrip('-').upper()}" if is_pair and os.path.isabs(value) else flag)
    return " ".join(["python", "-m", module, *flags])


def heading(module: str, *about: str, machines: Collection[str] | None = None) -> list[str]:
    """The lines above a table: what was run, where and with which versions.

    Args:
      module: of the benchmark.
      *about: lines of its own.
      machines: on which rows were run that this call did not run, if that is known.
    """
    lines = [f"# {module}", "", f"`{command(module)}`, {time.strftime('%Y-%m-%d')}", "", *about]
    if machines is None:
        from launch import machine  # It needs TensorFlow, which a peer's interpreter lacks.

        packages = versions("tensorflow", "keras", "tensorflow_probability")
        return [*lines, f"Machine: {machine.processor()}; {_load()}.", f"{packages}.", ""]
    return [*lines, *(f"Machine: {name}." for name in sorted(machines)), ""]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table: the first column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        return f"| {' | '.join(cells)} |"

    rule = "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
    return [line(columns), f"|{rule}|", *(line(row) for row in rows), ""]


def idle(results: Sequence[Result]) -> list[str]:
    """How much the waiting processes disturbed the running one."""
    most = max((result.idle_cores for result in results), default=0.0)
    return [f"A waiting process used at most {100 * most:.1f} % of a core.", ""]


def publish(lines: Sequence[str], output: str | None) -> None:
    """Prints the lines, and writes them to a file if one is named."""
    text = "\n".join(lines).rstrip() + "\n"
    print(text, end="")
    if output:
        pathlib.Path(output).write_text(text)


def mebibytes(size: float) -> str:
    return f"{size / 2**20:,.0f}"


if __name__ == "__main__":
    _serve(sys.argv[1], json.loads(sys.argv[2]))
