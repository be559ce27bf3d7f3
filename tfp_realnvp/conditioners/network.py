"""The base class of the networks."""

import inspect
from typing import Any

import keras


class Network(keras.layers.Layer):
    """A Keras layer that keeps each argument of its constructor as an attribute of that name: its configuration."""

    def get_config(self) -> dict[str, Any]:
        parameters = inspect.signature(type(self)).parameters.values()
        config = {p.name: getattr(self, p.name) for p in parameters if p.kind is not p.VAR_KEYWORD}
        if "activation" in config:
            config["activation"] = keras.activations.serialize(self.activation)
        return {**super().get_config(), **config}

    def compute_output_shape(self, input_shape: tuple[int | None, ...], **unused: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.outputs)
