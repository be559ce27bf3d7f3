"""Importing this refuses a Keras that does not compute with TensorFlow: variables of other backends are not TFP's."""

import importlib
import sys


def _check() -> None:
    failure = None
    try:
        importlib.import_module("keras")
    except Exception as error:  # Where the backend is not installed, or not known.
        failure = error
    config = sys.modules.get("keras.src.backend.config")
    backend = getattr(failure, "name", None) if config is None else config.backend()
    if failure is not None and backend in (None, "keras", "tensorflow"):
        raise failure
    if backend != "tensorflow":
        raise ImportError(
            f"tfp_realnvp needs the TensorFlow backend of Keras, got {backend!r}: set KERAS_BACKEND=tensorflow in the "
            'environment, or "backend": "tensorflow" in ~/.keras/keras.json'
        ) from failure


_check()
