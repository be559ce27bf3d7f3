"""Refuses, on import, Keras backends other than TensorFlow: TFP cannot use their variables."""

import importlib


def _check() -> None:
    failure = None
    try:
        backend = importlib.import_module("keras").config.backend()
    except Exception as error:  # The backend is not installed or unknown.
        failure, backend = error, getattr(error, "name", None)
        if backend in (None, "keras", "tensorflow"):
            raise
    if backend != "tensorflow":
        raise ImportError(
            f"tfp_realnvp needs the TensorFlow backend of Keras, got {backend!r}: set KERAS_BACKEND=tensorflow in the "
            'environment, or "backend": "tensorflow" in ~/.keras/keras.json'
        ) from failure


_check()
