"""The transformers and conditioners of a flow's layers, created by name or by a user's function."""

import inspect
import zlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.bijectors import Autoregressive, Checkerboard, Coupling, Mask, Preceding
from tfp_realnvp.bijectors.precision import reads_context
from tfp_realnvp.conditioners import (
    MLP,
    AttentionNetwork,
    DenseNetwork,
    GatedNetwork,
    MaskedMLP,
    ResidualMLP,
    ResidualNetwork,
)
from tfp_realnvp.named import all_named, named
from tfp_realnvp.transformers import (
    Affine,
    Bernstein,
    Compose,
    LinearSpline,
    QuadraticSpline,
    RationalQuadraticSpline,
    Shift,
    Sigmoidal,
    SumOfSquares,
    Transformer,
    UnconstrainedMonotonic,
)
from tfp_realnvp.transformers.transformer import check_transformer

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
    return _of_image(
        ResidualNetwork(outputs=outputs, mask_channel=isinstance(mask, Checkerboard), **options), mask, channels
    )


def attention(
    mask: Mask, channels: int, outputs: int, *, width: int = 64, blocks: int = 2, heads: int = 4, **options: Any
) -> keras.layers.Layer:
    """An `AttentionNetwork`, causal if each entry is conditioned on the preceding entries."""
    given: dict[str, Any] = dict(width=width, blocks=blocks, heads=heads, **options)
    return _by_entry(AttentionNetwork, mask, channels, outputs, **given)


def residual_mlp(
    mask: Mask, channels: int, outputs: int, *, width: int = 64, blocks: int = 2, dropout: float = 0.0, **options: Any
) -> keras.layers.Layer:
    """A `ResidualMLP`, causal if each entry is conditioned on the preceding ones; its name makes the dropout's seed."""
    given: dict[str, Any] = dict(width=width, blocks=blocks, dropout=dropout, **options)
    return _by_entry(ResidualMLP, mask, channels, outputs, seed=zlib.crc32(options["name"].encode()), **given)


def _by_entry(cls: Callable[..., Any], mask: Mask, channels: int, outputs: int, **options: Any) -> keras.layers.Layer:
    """A network of vectors that knows how many entries its outputs are of."""
    entries = mask.changed_size(channels)
    options |= dict(outputs_per_entry=outputs // entries, entries=entries, is_causal=isinstance(mask, Preceding))
    network = cls(**options)
    network.build((None, mask.kept_size(channels)))
    return network


def gated(
    mask: Mask, channels: int, outputs: int, *, heads: int = 4, dropout: float = 0.0, **options: Any
) -> keras.layers.Layer:
    """A `GatedNetwork` for images; the flow's names make the seeds of the dropout."""
    given: dict[str, Any] = dict(
        outputs=outputs, heads=heads, dropout=dropout, seed=zlib.crc32(options["name"].encode())
    )
    return _of_image(GatedNetwork(**given, **_own_of_images(options)), mask, channels)


def dense(mask: Mask, channels: int, outputs: int, *, growth: int = 32, **options: Any) -> keras.layers.Layer:
    """A `DenseNetwork` for images."""
    return _of_image(DenseNetwork(outputs=outputs, growth=growth, **_own_of_images(options)), mask, channels)


def _of_image(network: keras.layers.Layer, mask: Mask, channels: int) -> keras.layers.Layer:
    network.build((None, None, None, mask.kept_size(channels)))
    return network


def _own_of_images(options: dict[str, Any]) -> dict[str, Any]:
    """The options of an image flow, without an output scale where the network's own is asked for."""
    return {name: value for name, value in options.items() if name != "output_scale" or value is not None}


# Conditioners by name, for events with that many axes.
CONDITIONERS: dict[int, dict[str, Callable[..., keras.layers.Layer]]] = {
    1: {"mlp": mlp, "residual": residual_mlp, "attention": attention},
    3: {"residual": residual, "gated": gated, "dense": dense},
}
# Options of a flow's networks, by the event's axes, and those that a conditioner by name does not read.
_OPTIONS: dict[int, tuple[str, ...]] = {
    1: ("hidden_units", "activation"),
    3: ("width", "blocks", "use_skips", "normalization", "output_scale", "activation"),
}
_UNREAD: dict[int, dict[str, tuple[str, ...]]] = {
    1: {"residual": ("hidden_units",), "attention": ("hidden_units",)},
    3: {"gated": ("use_skips", "normalization"), "dense": ("use_skips", "normalization")},
}
TRANSFORMERS = {
    "affine": Affine,
    "shift": Shift,
    "spline": RationalQuadraticSpline,
    "linear_spline": LinearSpline,
    "quadratic_spline": QuadraticSpline,
    "sigmoidal": Sigmoidal,
    "bernstein": Bernstein,
    "sum_of_squares": SumOfSquares,
    "unconstrained_monotonic": UnconstrainedMonotonic,
}


def transformer_of(transformer: str | MakeTransformer) -> Transformer:
    """A new transformer, from a factory's `transformer` argument."""
    if callable(transformer):
        made = transformer()
        check_transformer(made)
        return made
    if not isinstance(transformer, str):  # Each layer needs its own transformer.
        raise TypeError(f"expected the name of a transformer or a callable that returns one, got {transformer!r}")
    parts = [make() for make in all_named(transformer, TRANSFORMERS, "transformer")]
    return parts[0] if len(parts) == 1 else Compose(*parts)


def unread(conditioner: str | MakeConditioner, event_ndims: int) -> tuple[str, ...]:
    """The options of a flow's networks that a conditioner does not read; a function reads none of them.

    Raises:
      TypeError: for a conditioner that is neither a name nor a function.
    """
    if callable(conditioner):
        return _OPTIONS[event_ndims]
    if not isinstance(conditioner, str):
        raise TypeError(f"expected the name of a conditioner or a function that makes one, got {conditioner!r}")
    return _UNREAD.get(event_ndims, {}).get(conditioner.partition("(")[0].strip(), ())


def check_read(factory: Callable[..., Any], conditioner: str | MakeConditioner, event_ndims: int, **given: Any) -> None:
    """Refuses options of a factory that its conditioner does not read, unless they have their defaults.

    Raises:
      ValueError: for such an option.
    """
    for name in unread(conditioner, event_ndims):
        if given[name] != inspect.signature(factory).parameters[name].default:
            kind = "a conditioner that is a function" if callable(conditioner) else f"the conditioner {conditioner!r}"
            raise ValueError(f"expected no {name} beside {kind}, which does not read it, got {given[name]!r}")


def layer_maker(
    conditioner: str | MakeConditioner,
    *,
    event_ndims: int,
    dtype: str,
    dtype_policy: str | keras.DTypePolicy | None,
    **options: Any,
) -> Callable[..., Coupling | Autoregressive]:
    """A function `(transformer, mask, channels, name, **more)` that makes layers.

    A layer is `Autoregressive` if the mask is `Preceding()`, otherwise a `Coupling`. Of `options` and `more` a
    conditioner given by name gets those that it reads. It must fit `event_ndims`: 1 for vectors, 3 for images.
    """
    policy = networks_policy(dtype, dtype_policy)
    kind = "vectors" if event_ndims == 1 else "images"
    make_network: Callable[..., keras.layers.Layer]
    if callable(conditioner):
        make_network = conditioner
    else:
        make_network = named(conditioner, CONDITIONERS[event_ndims], f"conditioner of {kind}")
    skipped = unread(conditioner, event_ndims)

    def make(transformer: str | MakeTransformer, mask: Mask, channels: int, name: str, **more: Any) -> Any:
        built = transformer_of(transformer)
        read = mask, channels, built.outputs * mask.changed_size(channels)
        given: dict[str, Any] = {}
        if not callable(conditioner):
            read_options = {name: value for name, value in {**options, **more}.items() if name not in skipped}
            given = {**read_options, "dtype": policy, "name": f"{name.removesuffix('_coupling')}_network"}
        network = make_network(*read, **given)
        if (size := options.get("context_size")) is not None and not reads_context(network):
            raise ValueError(
                f"expected a conditioner whose call takes a context for context_size={size}, got {network}"
            )
        if isinstance(mask, Preceding):
            return Autoregressive(built, network, channels, dtype=dtype, name=name)
        return Coupling(built, network, mask, dtype=dtype, name=name)

    return make
