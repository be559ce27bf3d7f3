"""An export with TensorFlow alone: its size, loading time, and the time of each signature.

    python -m benchmarks.serving                             (the cifar10 preset; makes a fresh virtual environment)
    python -m benchmarks.serving --preset=digits --python=PYTHON
    python -m benchmarks.serving --saved_model=saved_models/mnist/1

Makes a virtual environment with `pip install tensorflow` and nothing else, unless --python names an interpreter that
has it, and runs every signature there in a process of its own. Weights are untrained unless --saved_model names an
export.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tempfile
import venv

import tensorflow as tf
from absl import app, flags, logging

import tfp_realnvp as nvp
from benchmarks import interleaved
from tfp_realnvp import presets, serving

_MOST_BYTES, _MOST_SECONDS = 200 * 2**20, 10

# Run by the other interpreter. Prints a JSON object: what was imported, seconds of each step.
_CLIENT = r"""
import json, sys, time
import tensorflow as tf

started = time.monotonic()
model = tf.saved_model.load(sys.argv[1])
seconds = {"load": time.monotonic() - started}
rows, shape = int(sys.argv[2]), json.loads(sys.argv[3])
values = {"count": tf.constant(rows), "seed": tf.constant([0, 1]), "temperature": tf.constant(1.0)}
for name, function in model.signatures.items():
    inputs = {
        key: values[key] if key in values else tf.zeros([rows, *shape], spec.dtype)
        for key, spec in function.structured_input_signature[1].items()
    }
    for kind in ("first", "again"):
        started = time.monotonic()
        outputs = function(**inputs)
        for output in outputs.values():
            output.numpy()
        seconds[f"{name}, {kind}"] = time.monotonic() - started
absent = [name for name in ("tensorflow_probability", "tfp_realnvp", "tensorflow_datasets") if name in sys.modules]
print(json.dumps({"seconds": seconds, "imported": absent, "version": tf.__version__}))
"""


def define_flags() -> None:
    flags.DEFINE_enum("preset", "cifar10", presets.NAMES, "The model to export, untrained.")
    flags.DEFINE_string("saved_model", None, "An export, NAME/VERSION, instead.")
    flags.DEFINE_string("python", None, "An interpreter that has TensorFlow; by default one is made with pip.")
    flags.DEFINE_integer("batch_size", 64, "Rows in a call.", lower_bound=1)
    flags.DEFINE_string("output", None, "File to write the tables to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    logging.set_verbosity(logging.WARNING)  # TensorFlow logs every captured variable.
    with tempfile.TemporaryDirectory() as folder:
        python = values.python or _fresh_environment(os.path.join(folder, "environment"))
        exports = {}
        if values.saved_model:
            exports["as saved"] = pathlib.Path(values.saved_model)
        else:
            distribution = presets.get(values.preset).build()
            for dtype in serving.WEIGHTS_DTYPES:
                path = os.path.join(folder, dtype)
                exports[f"{dtype} weights"] = nvp.publish(distribution, path, weights_dtype=dtype)
        what = f"`{values.saved_model}`" if values.saved_model else f"The `{values.preset}` preset, untrained"
        environment = "an environment with the packages of `pip install tensorflow`" if not values.python else "PYTHON"
        lines = interleaved.heading("benchmarks.serving", f"{what}, in {environment}.")
        rows, times = [], []
        for name, path in exports.items():
            found = _ask(python, path, values.batch_size)
            size, seconds = _size(path), found["seconds"]
            imported = ", ".join(found["imported"]) or "none"
            rows.append([name, interleaved.mebibytes(size), f"{seconds['load']:.1f}", imported])
            for signature in sorted({key.split(", ")[0] for key in seconds} - {"load"}):
                first, again = (seconds[f"{signature}, {kind}"] for kind in ("first", "again"))
                times.append([f"{signature}, {name}", f"{first:.2f}", f"{again:.3f}"])
            if size > _MOST_BYTES or seconds["load"] > _MOST_SECONDS:
                lines += ["", f"**{name}: expected at most 200 MiB and 10 s to load.**"]
    lines += interleaved.table(["export", "on disk, MiB", "load, s", "of TFP and this package, imported"], rows)
    lines += interleaved.table([f"signature, {values.batch_size} rows", "first call, s", "again, s"], times)
    interleaved.publish(lines, values.output)


def _fresh_environment(folder: str) -> str:
    """The interpreter of a new virtual environment with TensorFlow alone."""
    venv.create(folder, with_pip=True)
    python = os.path.join(folder, "bin", "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"tensorflow=={tf.__version__}"], check=True)
    return python


def _ask(python: str, path: pathlib.Path, rows: int) -> dict:
    path = path.resolve()
    command = [python, "-c", _CLIENT, str(path), str(rows), json.dumps(serving.describe(path)["event_shape"])]
    # Where nothing of this checkout can be imported.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=path, env=environment)
    return json.loads(found.stdout.splitlines()[-1])


def _size(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


if __name__ == "__main__":
    define_flags()
    app.run(main)
