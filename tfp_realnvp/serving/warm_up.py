"""Warm-up requests that TensorFlow Serving runs before a model is ready, since first requests are slow."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfp_realnvp.extras import extra

NAME = "tf_serving_warmup_requests"


def write(
    path: str | os.PathLike[str],
    signatures: Mapping[str, tf.types.experimental.PolymorphicFunction],
    event_shape: Sequence[int],
    rows: np.ndarray | None = None,
) -> None:
    """Writes one single-row request for each signature that takes rows.

    Other signatures (`sample`) are left out: a batching server refuses them, and does not load a model whose warm-up
    fails.

    Args:
      path: path of the file, in a version's `assets.extra`.
      signatures: `tf.function`s of tensors, by name.
      event_shape: event shape of a row.
      rows: example row of a table, `[1, size]`, that has a density; other events are zeros.

    Raises:
      MissingExtraError: if the protocol buffers of TensorFlow Serving are not installed.
    """
    with extra("serve"):
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    with tf.io.TFRecordWriter(os.fspath(path)) as file:
        for name, function in signatures.items():
            specs = function.get_concrete_function().structured_input_signature[0]
            if not all(spec.shape.rank and spec.shape[0] is None for spec in specs):
                continue
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = name
            for spec in specs:
                shape = [known if size is None else size for size, known in zip(spec.shape, (1, *event_shape))]
                values = rows if spec.name == "rows" and rows is not None else tf.zeros(shape, spec.dtype)
                request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(values))
            log = prediction_log_pb2.PredictLog(request=request)
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
