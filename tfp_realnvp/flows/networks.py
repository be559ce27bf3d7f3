"""The transformers and conditioners of a flow's layers, created by name or by a user's function."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.bijectors import Autoregressive, Checkerboard, Coupling, Mask, Preceding
from tfp_realnvp.conditioners import MLP, MaskedMLP, ResidualNetwork
from tfp_realnvp.named import all_named
from tfp_realnvp.transformers import Affine, Compose, RationalQuadraticSpline, Shift, Sigmoidal, Transformer

# Maps a mask, the event's channels and the size of the output's last axis to a built layer.
MakeConditioner = Callable[[Mask, int, int], keras.layers.Layer]
# A transformer class, or another callable without arguments that returns a transformer.
MakeTransformer = Callable[[], Transformer]


def networks_policy(dtype: str, dtype_policy: str | keras.DTypePolicy | None) -> str | keras.DTypePolicy:
    """The dtype policy of a flow's networks: the requested one, or the one that matches the flow's dtype."""
    if dtype_policy is None:
        dtype = tf.as_dtype(dtype).name
        dtype_policy = keras.config.dtype_policy() if dtype == "float32" else dtype
    policy = keras.dtype_policies.get(dtype_policy)
    if policy.variable_dtype in ("float16", "bfloat16"):  # Small training steps would round to nothing.
        raise ValueError(
            f"expected networks with weights in float32 or float64, got the dtype policy {policy.name}: "
            f"mixed_{policy.variable_dtype} computes in half precision and keeps weights in float32"
        )
    return dtype_policy


def mlp(mask: Mask, channels: int, outputs: int, **options: Any) -> keras.layers.Layer:
    """An `MLP`, or a `MaskedMLP` if each entry is conditioned on the preceding entries."""
    if isinstance(mask, Preceding):
        network = MaskedMLP(outputs_per_entry=outputs // mask.changed_size(channels), **options)
    else:
        network = MLP(outputs=outputs, **options)
    network.build((None, mask.kept_size(channels)))
    return network


def residual(mask: Mask, channels: int, outputs: int, **options: Any) -> keras.layers.Layer:
    """A `ResidualNetwork` for images."""
    network = ResidualNetwork(outputs=outputs, mask_channel=isinstance(mask, Checkerboard), **options)
    network.build((None, None, None, mask.kept_size(channels)))
    return network


_CONDITIONERS = {"mlp": mlp, "residual": residual}
_TRANSFORMERS = {"affine": Affine, "shift": Shift, "spline": RationalQuadraticSpline, "sigmoidal": Sigmoidal}


def transformer_of(transformer: str | MakeTransformer) -> Transformer:
    """A new transformer, from a factory's `transformer` argument."""
    if callable(transformer):
        return transformer()
    if not isinstance(transformer, str):  # Each layer needs its own transformer.
        raise TypeError(f"expected the name of a transformer or a callable that returns one, got {transformer!r}")
    parts = [make() for make in all_named(transformer, _TRANSFORMERS, "transformer")]
    return parts[0] if len(parts) == 1 else Compose(*parts)


def layer_maker(
    conditioner: str | MakeConditioner,
    *,
    event_ndims: int,
    dtype: str,
    dtype_policy: str | keras.DTypePolicy | None,
    **options: Any,
) -> Callable[..., Coupling | Autoregressive]:
    """A function `(transformer, mask, channels, name, **more)` that makes layers.

    A layer is `Autoregressive` if the mask is `Preceding()`, otherwise a `Coupling`. `options` and `more` are passed to
    a conditioner given by name. That conditioner must fit `event_ndims`: 1 for vectors, 3 for images.
    """
    policy = networks_policy(dtype, dtype_policy)
    kind, fitting = ("vectors", "mlp") if event_ndims == 1 else ("images", "residual")
    if not callable(conditioner) and conditioner != fitting:
        raise ValueError(
            f'expected the conditioner of {kind} to be "{fitting}" or a function (mask, channels, outputs) -> layer, '
            f"got {conditioner!r}"
        )

    def make(transformer: str | MakeTransformer, mask: Mask, channels: int, name: str, **more: Any) -> Any:
        built = transformer_of(transformer)
        read = mask, channels, built.outputs * mask.changed_size(channels)
        if callable(conditioner):
            network = conditioner(*read)
        else:
            given = {**options, **more, "dtype": policy, "name": f"{name.removesuffix('_coupling')}_network"}
            network = _CONDITIONERS[conditioner](*read, **given)
        if isinstance(mask, Preceding):
            return Autoregressive(built, network, channels, dtype=dtype, name=name)
        return Coupling(built, network, mask, dtype=dtype, name=name)

    return make
