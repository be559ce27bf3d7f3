"""The time of an export's signatures by TensorFlow, OpenVINO and onnxruntime, beside each other.

    pip install openvino tf2onnx onnxruntime
    python -m benchmarks.runtimes --saved_model=saved_models/digits/1
    python -m benchmarks.runtimes --saved_model=served/mine/1 --runtimes=openvino --signatures=log_prob

Runtimes take turns, each in a process of its own, on the same rows. "openvino" is in float32; "openvino, fastest" has
the precision that OpenVINO chooses, bfloat16 on processors with units for it. The error is the largest difference
from TensorFlow's answer, relative to the largest answer. Where a runtime does not read a signature, the table has the
reason: OpenVINO reads exports of Real NVP as they are, of Glow all but `decode`.
"""

from __future__ import annotations

import pathlib
import runpy
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import interleaved
from benchmarks.interleaved import Work

_RESULTS = pathlib.Path(__file__).parent / "results"
_TO_ONNX = pathlib.Path(__file__).parent.parent / "examples" / "serving" / "to_onnx.py"
RUNTIMES = {
    "tensorflow": ("of_tensorflow", {}),
    "openvino": ("of_openvino", {"precision": "f32"}),
    "openvino, fastest": ("of_openvino", {"precision": None}),
    "onnxruntime": ("of_onnxruntime", {}),
}
# The output that is compared.
_OUTPUTS = {"log_prob": "log_prob", "encode": "latents", "decode": "images"}

Answer = Callable[[], np.ndarray]


def define_flags() -> None:
    flags.DEFINE_string("saved_model", None, "An export, NAME/VERSION, of images without classes.", required=True)
    flags.DEFINE_list("signatures", list(_OUTPUTS), "Signatures.")
    flags.DEFINE_list(
        "runtimes", ["openvino", "onnxruntime"], "Runtimes beside TensorFlow; openvino is both precisions."
    )
    flags.DEFINE_integer("batch_size", 64, "Rows in a call.", lower_bound=1)
    flags.DEFINE_integer("repeats", 20, "Rounds.", lower_bound=1)
    flags.DEFINE_string("output", str(_RESULTS / "runtimes.md"), "File to write the table to.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    path = str(pathlib.Path(values.saved_model).resolve())
    lines = interleaved.heading("benchmarks.runtimes", f"{values.batch_size} rows in a call.")
    rows = []
    for signature in values.signatures:
        settings = dict(saved_model=path, signature=signature, rows=values.batch_size)
        candidates = [
            interleaved.Candidate(name, f"benchmarks.runtimes:{function}", settings | own)
            for name, (function, own) in RUNTIMES.items()
            if name.split(",")[0] in {"tensorflow", *values.runtimes}
        ]
        results = interleaved.measure(candidates, values.repeats)
        rows += table_rows(signature, values.batch_size, results)
    columns = ["signature, runtime", "first call, s", "again, ms", "rows/s", "time, of TensorFlow's", "relative error"]
    interleaved.publish([*lines, *interleaved.table(columns, rows)], values.output)


def table_rows(signature: str, count: int, results: dict[str, interleaved.Result]) -> list[list[str]]:
    """A row for each runtime."""
    rows, baseline = [], results["tensorflow"]
    for name, result in results.items():
        if result.error:
            rows.append([f"{signature}, {name}", result.error, "", "", "", ""])
            continue
        rows.append(
            [
                f"{signature}, {name}",
                f"{result.first_seconds:.2f}",
                f"{1e3 * result.median:.2f}",
                f"{count / result.median:,.0f}",
                f"{result.ratio(baseline):.2f}",
                f"{result.facts['error']:.1e}",
            ]
        )
    return rows


def of_tensorflow(saved_model: str, signature: str, rows: int) -> Work:
    """A candidate of `benchmarks.interleaved`."""
    model = tf.saved_model.load(saved_model)
    name, given = inputs_of(model, signature, rows)
    given = tf.constant(given)

    def answer() -> np.ndarray:
        return model.signatures[signature](**{name: given})[_OUTPUTS[signature]].numpy()

    return _work(answer, answer())


def of_openvino(saved_model: str, signature: str, rows: int, precision: str | None) -> Work:
    """A candidate; OpenVINO chooses the precision if there is none."""
    import openvino

    model = tf.saved_model.load(saved_model)
    name, given = inputs_of(model, signature, rows)
    expected = model.signatures[signature](**{name: tf.constant(given)})[_OUTPUTS[signature]].numpy()
    config = {} if precision is None else {"INFERENCE_PRECISION_HINT": precision}
    converted = openvino.convert_model(model.signatures[signature])
    compiled = openvino.Core().compile_model(converted, "CPU", config)
    return _work(lambda: compiled({name: given})[_OUTPUTS[signature]], expected)


def of_onnxruntime(saved_model: str, signature: str, rows: int) -> Work:
    """A candidate, of the file that examples/serving/to_onnx.py writes."""
    import onnxruntime

    model = tf.saved_model.load(saved_model)
    name, given = inputs_of(model, signature, rows)
    expected = model.signatures[signature](**{name: tf.constant(given)})[_OUTPUTS[signature]].numpy()
    with tempfile.TemporaryDirectory() as folder:
        runpy.run_path(str(_TO_ONNX))["convert"](saved_model, pathlib.Path(folder))
        content = (pathlib.Path(folder) / f"{signature}.onnx").read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    asked = {session.get_inputs()[0].name: given}
    return _work(lambda: session.run([_OUTPUTS[signature]], asked)[0], expected)


def inputs_of(model: Any, signature: str, rows: int) -> tuple[str, np.ndarray]:
    """The name of a signature's input, and samples of the model or normal latents."""
    ((name, _),) = model.signatures[signature].structured_input_signature[1].items()
    asked = dict(count=tf.constant(rows), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))
    images = model.signatures["sample"](**asked)["images"].numpy()
    if signature == "decode":
        return name, np.random.default_rng(0).normal(size=images.shape).astype(np.float32)
    return name, images


def _work(answer: Answer, expected: np.ndarray) -> Work:
    def report() -> dict[str, float]:
        return {"error": float(np.max(np.abs(answer() - expected)) / np.max(np.abs(expected)))}

    return Work(answer, report=report)


if __name__ == "__main__":
    define_flags()
    app.run(main)
