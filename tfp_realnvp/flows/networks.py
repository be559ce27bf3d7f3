"""The conditioners of a flow's layers: built by name, or by a function of the user's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.bijectors import Checkerboard, Mask, Preceding
from tfp_realnvp.conditioners import MLP, MaskedMLP, ResidualNetwork
from tfp_realnvp.transformers import Transformer

# From a mask, the event's channels and the size of the output's last axis, to a built layer.
MakeConditioner = Callable[[Mask, int, int], keras.layers.Layer]
# A class of transformers, or another callable without arguments that makes one.
MakeTransformer = Callable[[], Transformer]


def networks_policy(
    dtype: str, dtype_policy: str | keras.DTypePolicy | None
) -> str | keras.DTypePolicy:
    """The dtype policy of the networks of a flow: what was asked for, or what goes with the flow's dtype.

    Raises:
      ValueError: for weights in half precision, which small steps of training would leave as they are.
    """
    if dtype_policy is None:
        dtype = tf.as_dtype(dtype).name
        dtype_policy = keras.config.dtype_policy() if dtype == "float32" else dtype
    policy = keras.dtype_policies.get(dtype_policy)
    if policy.variable_dtype in ("float16", "bfloat16"):
        raise ValueError(
            f"expected networks with weights in float32 or float64, got the dtype policy {policy.name}: "
            f"mixed_{policy.variable_dtype} computes in half precision and keeps weights in float32"
        )
    return dtype_policy


def mlp(mask: Mask, channels: int, outputs: int, **options: Any) -> keras.layers.Layer:
    """An `MLP` of vectors; a `MaskedMLP` where each entry is conditioned on the entries before it."""
    if isinstance(mask, Preceding):
        network = MaskedMLP(outputs_per_entry=outputs // mask.changed_size(channels), **options)
    else:
        network = MLP(outputs=outputs, **options)
    network.build((None, mask.kept_size(channels)))
    return network


def residual(mask: Mask, channels: int, outputs: int, **options: Any) -> keras.layers.Layer:
    """A `ResidualNetwork` of images."""
    network = ResidualNetwork(outputs=outputs, mask_channel=isinstance(mask, Checkerboard), **options)
    network.build((None, None, None, mask.kept_size(channels)))
    return network


CONDITIONERS = {"mlp": mlp, "residual": residual}


def conditioner_maker(conditioner: str | MakeConditioner, event_ndims: int, **options: Any) -> Callable[..., Any]:
    """From what a factory was given as its `conditioner` to a function `(mask, channels, outputs, **more)`.

    Args:
      conditioner: a name in `CONDITIONERS`, or a function of a mask, the number of channels of an event and the size of
        the output's last axis, which returns a built Keras layer, or any callable.
      event_ndims: of the events: 1 for vectors, 3 for images.
      **options: of a named conditioner; a function gets none, nor what it is called with beside the three.

    Raises:
      ValueError: for an unknown name, or one that does not read such events.
    """
    if callable(conditioner):
        return lambda mask, channels, outputs, **unused: conditioner(mask, channels, outputs)
    fitting = "mlp" if event_ndims == 1 else "residual"
    if conditioner != fitting:
        kind = "vectors" if event_ndims == 1 else "images"
        raise ValueError(
            f'expected the conditioner of {kind} to be "{fitting}" or a function (mask, channels, outputs) -> layer, '
            f"got {conditioner!r}"
        )
    return functools.partial(CONDITIONERS[conditioner], **options)
