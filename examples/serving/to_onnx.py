"""Converts an export to ONNX files for onnxruntime, and compares their answers with TensorFlow's.

    pip install tf2onnx onnxruntime
    python examples/serving/to_onnx.py --saved_model=saved_models/digits/1 --output_dir=onnx

writes log_prob.onnx, encode.onnx and decode.onnx, for any number of rows, and fails if an answer differs by more than
1e-3 of the largest. Like a LiteRT model they have no checks. Signatures that draw or add noise (`sample`, `..._uint8`)
are not converted: ONNX has no counterpart of TensorFlow's stateless random numbers.
"""

from __future__ import annotations

import argparse
import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx

SIGNATURES = ("log_prob", "encode", "decode")
_OPSET = 18
_TOLERANCE = 1e-3


def _log1p(graph: Any, node: Any, name: str, args: list[Any]) -> None:
    """log(1 + x), which ONNX lacks. A small x loses digits; the logit's is 0.05 or more."""
    one = graph.make_const(f"{name}/one", np.ones([], np.float32))
    total = graph.make_node("Add", [node.input[0], one.output[0]])
    node.type = "Log"
    graph.replace_input(node, node.input[0], total.output[0], 0)


def convert(saved_model: str, output_dir: pathlib.Path) -> dict[str, float]:
    """Writes a file per signature; returns the largest relative difference of each output from TensorFlow's."""
    model = tf.saved_model.load(saved_model)
    output_dir.mkdir(parents=True, exist_ok=True)
    found = {}
    for signature in SIGNATURES:
        served = model.signatures[signature]
        inputs = served.structured_input_signature[1]
        if len(inputs) != 1 or hasattr(model, "base_log_prob"):
            raise SystemExit("expected a flow without a context and with a standard normal base")
        ((name, spec),) = inputs.items()
        # `decode` takes images of any size; the file only those of the model's.
        events = next(iter(model.signatures["log_prob"].structured_input_signature[1].values()))
        specs = [tf.TensorSpec(events.shape, spec.dtype, name=name)]
        function = tf.function(_log_prob(model) if signature == "log_prob" else served, input_signature=specs)
        file = output_dir / f"{signature}.onnx"
        handlers = {"Log1p": (_log1p, [])}
        tf2onnx.convert.from_function(function, specs, opset=_OPSET, custom_op_handlers=handlers, output_path=str(file))
        rows = _rows(model, signature, events)
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        answers = dict(zip(names, session.run(None, {session.get_inputs()[0].name: rows}), strict=True))
        for output, answer in served(**{name: tf.constant(rows)}).items():
            # Decoded entries near an integer may round to either pixel; bits/dim are the nats in another unit.
            if output not in ("pixels", "bits_per_dim"):
                expected = answer.numpy().astype(np.float64)
                difference = np.max(np.abs(answers[output] - expected)) / np.max(np.abs(expected))
                found[f"{signature}: {output}"] = float(difference)
    return found


def _log_prob(model: Any) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The signature with its base written out: TFP's normal has an operation that tf2onnx lacks, BroadcastArgs."""

    def log_prob(x: tf.Tensor) -> dict[str, tf.Tensor]:
        z, log_det = model.forward(x)
        normal = -0.5 * (tf.square(z) + math.log(2 * math.pi))
        return {"log_prob": tf.reduce_sum(normal, axis=list(range(1, z.shape.rank))) + log_det}

    return log_prob


def _rows(model: Any, signature: str, events: tf.TensorSpec) -> np.ndarray:
    """Normal latents, or samples of the model."""
    if signature == "decode":
        return np.random.default_rng(0).normal(size=[3, *events.shape[1:]]).astype(np.float32)
    asked = dict(count=tf.constant(3), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))
    return model.signatures["sample"](**asked)[events.name].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--saved_model", required=True, help="an export, NAME/VERSION, of a flow without a context")
    parser.add_argument("--output_dir", required=True, type=pathlib.Path, help="folder of the ONNX files")
    values = parser.parse_args()
    found = convert(values.saved_model, values.output_dir)
    for output, difference in found.items():
        print(f"{output}: relative difference {difference:.1e}")
    worst = np.max([*found.values()])  # NaN if one is.
    if not worst <= _TOLERANCE:
        raise SystemExit(f"expected answers as TensorFlow's within {_TOLERANCE}, got a difference of {worst:.1e}")


if __name__ == "__main__":
    main()
