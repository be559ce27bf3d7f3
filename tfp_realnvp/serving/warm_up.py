"""Requests that TensorFlow Serving runs through a model before it calls it ready: the first of a kind is slow."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

NAME = "tf_serving_warmup_requests"

# Of all other inputs, zeros.
_VALUES = {"count": 1, "temperature": 1.0}


def write(path: str | os.PathLike, signatures: Mapping[str, Callable], event_shape: Sequence[int]) -> None:
    """Writes one request of a single row for each signature.

    Args:
      path: of the file, in a version's `assets.extra`.
      signatures: `tf.function`s of tensors by name.
      event_shape: of a row.
    """
    with tf.io.TFRecordWriter(os.fspath(path)) as file:
        for name, function in signatures.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = name
            for spec in function.get_concrete_function().structured_input_signature[0]:
                shape = [known if size is None else size for size, known in zip(spec.shape, (1, *event_shape))]
                value = tf.fill(shape, tf.cast(_VALUES.get(spec.name, 0), spec.dtype))
                request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
