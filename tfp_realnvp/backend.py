"""Importing this refuses a Keras that does not compute with TensorFlow: variables of other backends are not TFP's."""

import importlib


def _check() -> None:
    failure = None
    try:
        backend = importlib.import_module("keras").config.backend()
    except Exception as error:  # The backend is not installed, or not known.
        failure, backend = error, getattr(error, "name", None)
        if backend in (None, "keras", "tensorflow"):
            raise
    if backend != "tensorflow":
        raise ImportError(
            f"tfp_realnvp needs the TensorFlow backend of Keras, got {backend!r}: set KERAS_BACKEND=tensorflow in the "
            'environment, or "backend": "tensorflow" in ~/.keras/keras.json'
        ) from failure


_check()
