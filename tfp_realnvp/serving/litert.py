"""Conversion to LiteRT (TensorFlow Lite), for phones, browsers and microcontrollers."""

import math
import os
import tempfile

import tensorflow as tf

from tfp_realnvp import paths
from tfp_realnvp.serving.description import describe


def save_litert(path: str | os.PathLike[str], file: str | os.PathLike[str], *, batch_size: int = 1) -> None:
    """Converts an export to a LiteRT model with the signatures `log_prob` and `decode`, in built-in operations.

        log_prob: images float32 [batch_size, *event_shape]  -> log_prob float32 [batch_size], nats
        decode:   latents float32 [batch_size, *event_shape] -> images float32 [batch_size, *event_shape]

    They equal the signatures of `save`, in float32 and without checks: pixels outside the support get a `log_prob` near
    the lowest float32, to which the converter maps minus infinity. To sample, `decode` normal numbers. Vectors are
    named `vectors`.

    Args:
      path: an export, `NAME/VERSION`, of a flow over images or vectors without a context, whose base is a standard
        normal.
      file: the file to write, usually `.tflite`; replaces an existing file and creates parent folders.
      batch_size: number of rows.

    Raises:
      FileNotFoundError: if there is no export of this package at `path`.
      ValueError: for a conditional flow, a table with columns of several types, another base, or no rows.

    ```python
    save_litert("saved_models/digits/1", "digits.tflite")
    interpreter = tf.lite.Interpreter("digits.tflite")  # or ai_edge_litert's
    interpreter.get_signature_runner("log_prob")(images=np.full([1, 8, 8, 1], 3.5, np.float32))
    ```
    """
    path, file = paths.local(path), paths.local(file)
    about = describe(path)
    if about["context_size"] or about["classes"]:
        raise ValueError(f"expected a flow that takes no context, got a conditional one in {path}")
    if "column_types" in about:  # Its rows are encoded, and its log-densities are theirs.
        raise ValueError(f"expected a flow over images or vectors, got one over rows of a table in {path}")
    if batch_size < 1:
        raise ValueError(f"expected a batch_size of 1 or more, got {batch_size}")
    event_shape = about["event_shape"]
    events = "images" if len(event_shape) == 3 else "vectors"
    module = tf.Module()
    with paths.plain(path) as plain:
        module.served = served = tf.saved_model.load(plain)
    if hasattr(served, "base_log_prob"):
        raise ValueError(f"expected a flow with a standard normal base, got one with another in {path}")
    entropy = 0.5 * math.prod(event_shape) * math.log(2 * math.pi)
    # TFP's normal distribution would convert to operations that LiteRT lacks.
    axes = list(range(1, 1 + len(event_shape)))

    def log_prob(x: tf.Tensor) -> dict[str, tf.Tensor]:
        z, log_det = served.forward(tf.cast(x, about["dtype"]))
        nats = log_det - 0.5 * tf.reduce_sum(tf.square(z), axes) - entropy
        return {"log_prob": tf.cast(nats, tf.float32)}

    def decode(z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {events: tf.cast(served.inverse(tf.cast(z, about["dtype"]))[0], tf.float32)}

    shape = [batch_size, *event_shape]
    signatures = {
        name: tf.function(answer, input_signature=[tf.TensorSpec(shape, tf.float32, name=given)])
        for name, answer, given in (("log_prob", log_prob, events), ("decode", decode, "latents"))
    }
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        content = converter.convert()
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.write_bytes(content)
    unfinished.rename(file)
