"""One of each bijector and of each flow, for tests that hold for all of them.

Add a line here and the invariant tests run on it. A public bijector or flow factory without one is
a failure.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

nvb = nvp.bijectors
nvt = nvp.transformers

_IMAGE = (4, 4, 2)
_VECTOR = (5,)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A bijector, or a flow's distribution, in one setting.

    Attributes:
      name: unique, and fit for a test's name.
      make: from the flow's dtype and the networks' dtype policy to a bijector or a distribution.
      event_shape: shape of one event.
      levels: pixels lie in [0, levels); None for events on the whole real line.
      context_size: size of the context, None where there is none.
      context_axes: sizes of its axes before that one: an image's height and width.
      has_angles: whether entries are angles, which come back within [-pi, pi].
      has_one_size: whether images of another height and width are refused.
      factory: name of the flow factory that `make` calls, None for a bijector.
      has_variables: whether it learns anything.
      has_networks: whether it has conditioners that are Keras layers.
      forward_evaluations: how often the forward pass evaluates each conditioner.
      inverse_evaluations: how often the inverse does.
    """

    name: str
    make: Callable[[str, str], Any]
    event_shape: tuple[int, ...]
    levels: int | None = None
    context_size: int | None = None
    context_axes: tuple[int, ...] = ()
    has_angles: bool = False
    has_one_size: bool = False
    factory: str | None = None
    has_variables: bool = True
    has_networks: bool = False
    forward_evaluations: int = 1
    inverse_evaluations: int = 1

    def build(self, dtype: str = "float32", dtype_policy: str | None = None) -> Any:
        """A new one, its weights random: see `randomize`."""
        return randomize(self.make(dtype, dtype_policy or dtype))

    def bijector(self, dtype: str = "float32", dtype_policy: str | None = None) -> nvb.Bijector:
        """A new one, the flow alone where it is a distribution."""
        built = self.build(dtype, dtype_policy)
        return built.flow if self.factory else built

    def events(self, batch_shape: Sequence[int], dtype: str = "float32", seed: int = 1) -> tf.Tensor:
        """Events within the domain."""
        shape = (*batch_shape, *self.event_shape)
        if self.levels is None:
            return self.within_period(tf.random.stateless_normal(shape, (seed, 0), dtype=dtype))
        return tf.random.stateless_uniform(shape, (seed, 0), 0, self.levels, dtype=dtype)

    def within_period(self, x: tf.Tensor) -> tf.Tensor:
        """Events or latents, those with angles within the period that comes back."""
        return tf.clip_by_value(x, -3.1, 3.1) if self.has_angles else x

    def context(self, batch_shape: Sequence[int], dtype: str = "float32", seed: int = 2) -> tf.Tensor | None:
        """A context for them, or None."""
        if self.context_size is None:
            return None
        shape = (*batch_shape, *self.context_axes, self.context_size)
        return tf.random.stateless_normal(shape, (seed, 0), dtype=dtype)


def randomize(module: Any, seed: int = 0) -> Any:
    """Gives every variable of a bijector, distribution or layer a random value; the seed decides.

    At initialisation tests are near vacuous: gains and biases are zero, moving moments those of no
    batch. Here no value is near zero, and variances are positive.
    """
    for i, variable in enumerate(module.variables):
        random = np.random.default_rng([seed, i])
        shape = tuple(variable.shape)
        if "variance" in variable.name:
            value = random.uniform(0.5, 2.0, shape)
        else:
            value = random.uniform(0.3, 0.9, shape) * random.choice([-1.0, 1.0], shape)
            value /= np.sqrt(np.prod(shape[:-1]))  # By the fan-in, so that activations keep their size.
        variable.assign(value.astype(tf.as_dtype(variable.dtype).as_numpy_dtype))
    return module


@functools.cache
def built(name: str, dtype: str = "float32") -> Any:
    """The bijector of the entry `name`, built once: for tests that do not write to its weights."""
    return BY_NAME[name].bijector(dtype)


def parts(module: tf.Module, cls: type | tuple[type, ...]) -> list[Any]:
    """All of a class within a bijector or distribution, itself included."""
    return [part for part in (module, *module.submodules) if isinstance(part, cls)]


@contextlib.contextmanager
def counted_conditioners(module: tf.Module) -> Iterator[list[int]]:
    """Counts the evaluations of each conditioner, into a list."""
    couplings = [part for part in parts(module, nvb.Bijector) if hasattr(part, "conditioner")]
    counts = [0] * len(couplings)

    def counting(i, function):
        def count(*args, **kwargs):
            counts[i] += 1
            return function(*args, **kwargs)

        return count

    with contextlib.ExitStack() as stack:
        for i, coupling in enumerate(couplings):
            is_layer = isinstance(coupling.conditioner, keras.layers.Layer)
            target, attribute = (coupling.conditioner, "call") if is_layer else (coupling, "conditioner")
            counted = counting(i, getattr(target, attribute))
            stack.enter_context(mock.patch.object(target, attribute, counted))
        yield counts


class Affine(tf.Module):
    """A conditioner that is no Keras layer."""

    def __init__(self, inputs: int, outputs: int, dtype: str):
        super().__init__()
        self.kernel = tf.Variable(tf.zeros([inputs, outputs], dtype))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.sin(x) @ self.kernel


def _conditioner(
    mask: nvb.Mask, size: int, policy: str, context_size: int | None = None, **kwargs: Any
) -> keras.layers.Layer:
    per_entry = kwargs.pop("per_entry", 2)
    kwargs |= dict(outputs=per_entry * mask.changed_size(size), context_size=context_size, dtype=policy)
    if mask.event_ndims == 3:
        network = nvp.conditioners.ResidualNetwork(
            width=3, blocks=1, mask_channel=isinstance(mask, nvb.Checkerboard), **kwargs
        )
        network.build((None, None, None, mask.kept_size(size)))
    else:
        network = nvp.conditioners.MLP(hidden_units=(6,), **kwargs)
        network.build((None, mask.kept_size(size)))
    return network


def _coupling(
    mask: nvb.Mask,
    size: int,
    dtype: str,
    policy: str,
    *,
    transformer: Callable[[], nvt.Transformer] = nvt.Affine,
    context_size: int | None = None,
) -> nvb.Coupling:
    scalar_map = transformer()
    conditioner = _conditioner(mask, size, policy, context_size, per_entry=scalar_map.outputs)
    return nvb.Coupling(scalar_map, conditioner, mask, dtype=dtype)


def _coupling_entry(
    name: str, mask: nvb.Mask, event_shape: tuple[int, ...], context_size: int | None = None, **kwargs: Any
) -> Entry:
    def make(dtype: str, policy: str) -> nvb.Bijector:
        return _coupling(mask, event_shape[-1], dtype, policy, context_size=context_size, **kwargs)

    return Entry(f"coupling_{name}", make, event_shape, context_size=context_size, has_networks=True)


def _autoregressive_entry(
    name: str, transformer: Callable[[], nvt.Transformer], size: int, context_size: int | None = None
) -> Entry:
    def make(dtype: str, policy: str) -> nvb.Bijector:
        scalar_map = transformer()
        network = nvp.conditioners.MaskedMLP(
            outputs_per_entry=scalar_map.outputs, hidden_units=(6, 7), context_size=context_size, dtype=policy
        )
        network.build((None, size))
        return nvb.Autoregressive(scalar_map, network, size, dtype=dtype)

    settings = dict(context_size=context_size, has_networks=True, inverse_evaluations=size)
    return Entry(f"autoregressive_{name}", make, (size,), **settings)


_scale_first = functools.partial(nvt.Affine, "scale_first")
_shift_first = functools.partial(nvt.Affine, "shift_first")
# Splines of some of the events, and for others their ends.
_spline = functools.partial(nvt.RationalQuadraticSpline, bins=4, bound=1.5)
_linear_spline = functools.partial(nvt.LinearSpline, bins=4, bound=1.5)
_quadratic_spline = functools.partial(nvt.QuadraticSpline, bins=4, bound=1.5)
_bernstein = functools.partial(nvt.Bernstein, degree=4, bound=1.5)
_squares = functools.partial(nvt.SumOfSquares, degree=2, bound=1.5)
_monotonic = functools.partial(nvt.UnconstrainedMonotonic, 2, (3, 3), bound=1.5)
_circular = functools.partial(nvt.CircularSpline, bins=3)
_deep_sigmoidal = functools.partial(nvt.Sigmoidal, 3, depth=2)


def _with_angles(entry: Entry) -> Entry:
    return dataclasses.replace(entry, has_angles=True)


def _mixture() -> nvt.Transformer:
    return nvt.Compose(nvt.Sigmoidal(2), nvt.Affine())


def _conditional_blocks(dtype: str, policy: str) -> nvb.Bijector:
    network = nvp.conditioners.MLP(outputs=6, hidden_units=(3,), context_size=2, dtype=policy)
    network.build((None, 0))
    return nvb.BlockAutoregressive(3, units=2, depth=2, conditioner=network, dtype=dtype)


def _residual_entry(name: str, size: int, context_size: int | None = None, **settings: Any) -> Entry:
    def make(dtype: str, policy: str) -> nvb.Bijector:
        network = nvp.conditioners.LipschitzMLP(
            outputs=size, hidden_units=(4, 5), coefficient=0.6, context_size=context_size, dtype=dtype
        )
        network.build((None, size))
        return nvb.Residual(network, size, **settings)

    return Entry(f"residual_{name}", make, (size,), context_size=context_size)


def _continuous_entry(name: str, size: int, context_size: int | None = None, **settings: Any) -> Entry:
    def make(dtype: str, policy: str) -> nvb.Bijector:
        hidden_units = (3,) * settings.get("depth", 2)
        network = nvp.conditioners.VelocityMLP(
            outputs=size, hidden_units=hidden_units, context_size=context_size, dtype=dtype
        )
        network.build((None, size))
        return nvb.Continuous(network, size, steps=_steps(dtype), trace=settings.get("trace", "exact"))

    return Entry(f"continuous_{name}", make, (size,), context_size=context_size)


def _steps(dtype: str) -> int:
    """Those that solve to near the end of what the dtype resolves."""
    return 10 if dtype == "float32" else 50


def _ffjord(dtype: str, policy: str) -> nvp.FlowDistribution:
    return nvp.ffjord(event_shape=(2,), hidden_units=(3,), steps=_steps(dtype), dtype=dtype)


def _batch_norm_entry(name: str, event_shape: tuple[int, ...], mask: nvb.Mask | None = None, **kwargs: Any) -> Entry:
    channels = mask.changed_size(event_shape[-1]) if mask else event_shape[-1]

    def make(dtype: str, policy: str) -> nvb.Bijector:
        return nvb.BatchNorm(channels, mask=mask, dtype=dtype, **kwargs)

    return Entry(f"batch_norm_{name}", make, event_shape)


def _logit_entry(name: str, event_shape: tuple[int, ...], levels: int, **kwargs: Any) -> Entry:
    def make(dtype: str, policy: str) -> nvb.Bijector:
        return nvb.DequantizedLogit(levels, **kwargs)

    return Entry(f"dequantized_logit_{name}", make, event_shape, levels=levels, has_variables=False)


def _squeeze_entry(order: str, event_shape: tuple[int, ...]) -> Entry:
    def make(dtype: str, policy: str) -> nvb.Bijector:
        return nvb.Squeeze(order)

    return Entry(f"squeeze_{order}", make, event_shape, has_variables=False)


def _mixed_chain(dtype: str, policy: str) -> nvb.Bijector:
    """Ours and TFP's, with variables, inverted, and chains of either kind within."""
    squeeze = nvb.Squeeze("diagonal")
    curve = tfp.bijectors.SinhArcsinh(tf.constant(0.3, dtype))
    inner = nvb.Chain([nvb.BatchNorm(8, dtype=dtype), curve], name="inner")
    return nvb.Chain(
        [
            _coupling(nvb.Checkerboard(1), 2, dtype, policy),
            tfp.bijectors.Scale(tf.Variable(tf.ones([2], dtype))),
            squeeze,
            inner,
            tfp.bijectors.Invert(squeeze),
            tfp.bijectors.Chain([_coupling(nvb.ChannelHalves("first"), 2, dtype, policy), curve]),
            tfp.bijectors.Invert(_coupling(nvb.Checkerboard(0), 2, dtype, policy)),
        ]
    )


def _contextual_chain(dtype: str, policy: str) -> nvb.Bijector:
    return nvb.Chain(
        [
            tfp.bijectors.SinhArcsinh(skewness=tf.Variable(tf.zeros([3], dtype))),
            _coupling(nvb.Alternating(0), 3, dtype, policy, context_size=2),
            tfp.bijectors.Invert(_coupling(nvb.Alternating(1), 3, dtype, policy, context_size=2)),
        ]
    )


def _split(dtype: str, policy: str) -> nvb.Bijector:
    return nvb.Split(nvb.Chain([_coupling(nvb.Checkerboard(1), 2, dtype, policy), nvb.BatchNorm(2, dtype=dtype)]))


def _conditioner_entry(
    name: str, mask: nvb.Mask, event_shape: tuple[int, ...], make_network: Callable[..., Any], **settings: Any
) -> Entry:
    """A layer with a conditioner that is called with `outputs` and the networks' policy, and built."""

    def make(dtype: str, policy: str) -> nvb.Bijector:
        size = event_shape[-1]
        network = make_network(2 * mask.changed_size(size), dtype=policy, context_size=settings.get("context_size"))
        network.build((*[None] * len(event_shape), mask.kept_size(size)))
        if isinstance(mask, nvb.Preceding):
            return nvb.Autoregressive(nvt.Affine(), network, size, dtype=dtype)
        return nvb.Coupling(nvt.Affine(), network, mask, dtype=dtype)

    return Entry(f"conditioner_{name}", make, event_shape, has_networks=True, **settings)


def _attention(outputs: int, **kwargs: Any) -> nvp.conditioners.AttentionNetwork:
    return nvp.conditioners.AttentionNetwork(
        outputs_per_entry=2, entries=outputs // 2, width=4, blocks=1, heads=2, zero_output=False, **kwargs
    )


def _residual_mlp(outputs: int, **kwargs: Any) -> nvp.conditioners.ResidualMLP:
    return nvp.conditioners.ResidualMLP(
        outputs_per_entry=2, entries=outputs // 2, width=4, blocks=1, zero_output=False, **kwargs
    )


def _gated(outputs: int, **kwargs: Any) -> nvp.conditioners.GatedNetwork:
    return nvp.conditioners.GatedNetwork(outputs=outputs, width=4, blocks=1, heads=2, **kwargs)


def _dense(outputs: int, **kwargs: Any) -> nvp.conditioners.DenseNetwork:
    return nvp.conditioners.DenseNetwork(outputs=outputs, width=3, blocks=2, growth=2, **kwargs)


def _elementwise_entry(name: str, event_shape: tuple[int, ...], transformer: Callable[[], nvt.Transformer]) -> Entry:
    def make(dtype: str, policy: str) -> nvb.Bijector:
        return nvb.Elementwise(transformer(), event_shape, dtype=dtype)

    return Entry(f"elementwise_{name}", make, event_shape, has_one_size=True)


def _conditional_elementwise(dtype: str, policy: str) -> nvb.Bijector:
    network = nvp.conditioners.MLP(outputs=64, hidden_units=(3,), context_size=3, dtype=policy)
    network.build((None, 0))
    return nvb.Elementwise(nvt.Affine(), _IMAGE, network, dtype=dtype)


BIJECTORS = (
    _coupling_entry("checkerboard_0", nvb.Checkerboard(0), _IMAGE, transformer=_scale_first),
    _coupling_entry("checkerboard_1", nvb.Checkerboard(1), _IMAGE, transformer=_shift_first),
    _coupling_entry("channels_first", nvb.ChannelHalves("first"), _IMAGE, transformer=_shift_first),
    _coupling_entry("channels_second_odd", nvb.ChannelHalves("second"), (4, 2, 3), transformer=_scale_first),
    _coupling_entry("halves_first", nvb.Halves("first"), _VECTOR, transformer=_scale_first),
    _coupling_entry("alternating_0", nvb.Alternating(0), _VECTOR, transformer=_scale_first),
    _coupling_entry("image_context", nvb.Checkerboard(1), _IMAGE, context_size=3),
    _coupling_entry("vector_context", nvb.Alternating(0), _VECTOR, context_size=2),
    _coupling_entry("affine_tanh", nvb.Checkerboard(0), _IMAGE, transformer=lambda: nvt.Affine(scale="tanh")),
    _coupling_entry("affine_sigmoid", nvb.Halves("first"), _VECTOR, transformer=lambda: nvt.Affine(scale="sigmoid")),
    _coupling_entry("shift", nvb.ChannelHalves("first"), _IMAGE, transformer=nvt.Shift),
    _coupling_entry("spline", nvb.Alternating(0), _VECTOR, transformer=_spline),
    _coupling_entry("linear_spline", nvb.Alternating(1), _VECTOR, transformer=_linear_spline),
    _coupling_entry("quadratic_spline", nvb.ChannelHalves("first"), _IMAGE, transformer=_quadratic_spline),
    _coupling_entry("bernstein", nvb.Checkerboard(1), (2, 2, 1), transformer=_bernstein),
    _coupling_entry("sum_of_squares", nvb.Halves("first"), _VECTOR, transformer=_squares),
    _coupling_entry("monotonic", nvb.Halves("second"), (3,), transformer=_monotonic),
    _with_angles(_coupling_entry("circular", nvb.Alternating(0), _VECTOR, transformer=_circular)),
    _coupling_entry("sigmoidal", nvb.Halves("second"), (2,), transformer=_deep_sigmoidal),
    _coupling_entry("mixture_image", nvb.Checkerboard(1), _IMAGE, transformer=_mixture),
    Entry(
        "coupling_callable",
        lambda dtype, policy: nvb.Coupling(nvt.Affine(), Affine(3, 4, dtype), nvb.Alternating(0), dtype=dtype),
        _VECTOR,
    ),
    _autoregressive_entry("spline", _spline, 3),
    _autoregressive_entry("bernstein", _bernstein, 2),
    _autoregressive_entry("monotonic", _monotonic, 2),
    _with_angles(_autoregressive_entry("by_entry", lambda: nvt.ByEntry([2, 0], _circular(), nvt.Affine()), 3)),
    _autoregressive_entry("sigmoidal", _deep_sigmoidal, 2),
    _conditioner_entry("attention", nvb.Halves("first"), _VECTOR, _attention, context_size=2),
    _conditioner_entry(
        "causal_attention", nvb.Preceding(), (3,), functools.partial(_attention, is_causal=True), inverse_evaluations=3
    ),
    _conditioner_entry("residual_mlp", nvb.Halves("first"), _VECTOR, _residual_mlp, context_size=2),
    _conditioner_entry(
        "causal_residual_mlp",
        nvb.Preceding(),
        (3,),
        functools.partial(_residual_mlp, is_causal=True),
        inverse_evaluations=3,
    ),
    _conditioner_entry("gated", nvb.Checkerboard(1), _IMAGE, _gated, context_size=3),
    _conditioner_entry("dense", nvb.ChannelHalves("second"), _IMAGE, _dense, context_size=2),
    _elementwise_entry("spline", _VECTOR, _spline),
    _elementwise_entry("mixture_image", _IMAGE, _mixture),
    Entry(
        "elementwise_context", _conditional_elementwise, _IMAGE, context_size=3, has_networks=True, has_one_size=True
    ),
    _batch_norm_entry("vector", _VECTOR),
    _batch_norm_entry("image", _IMAGE),
    _batch_norm_entry("checkerboard", _IMAGE, nvb.Checkerboard(1)),
    _batch_norm_entry("channels_rho", (4, 2, 3), nvb.ChannelHalves("first"), rho=0.9),
    _batch_norm_entry("alternating", _VECTOR, nvb.Alternating(1)),
    Entry("act_norm_image", lambda dtype, policy: nvb.ActNorm(2, event_ndims=3, dtype=dtype), _IMAGE),
    Entry("act_norm_vector", lambda dtype, policy: nvb.ActNorm(5, dtype=dtype), _VECTOR),
    Entry("invertible_linear_lu", lambda dtype, policy: nvb.InvertibleLinear(2, event_ndims=3, dtype=dtype), _IMAGE),
    Entry("invertible_linear_full", lambda dtype, policy: nvb.InvertibleLinear(5, form="full", dtype=dtype), _VECTOR),
    Entry(
        "invertible_linear_householder",
        lambda dtype, policy: nvb.InvertibleLinear(5, form="householder", dtype=dtype),
        _VECTOR,
    ),
    Entry(
        "invertible_linear_triangular",
        lambda dtype, policy: nvb.InvertibleLinear(2, event_ndims=3, form="triangular", dtype=dtype),
        _IMAGE,
    ),
    Entry("planar", lambda dtype, policy: nvb.Planar(5, dtype=dtype), _VECTOR),
    Entry("radial", lambda dtype, policy: nvb.Radial(5, dtype=dtype), _VECTOR),
    Entry("sylvester", lambda dtype, policy: nvb.Sylvester(5, dtype=dtype), _VECTOR),
    Entry("sylvester_few_units", lambda dtype, policy: nvb.Sylvester(3, units=2, dtype=dtype), (3,)),
    Entry("block_autoregressive", _conditional_blocks, (3,), context_size=2, has_networks=True),
    _residual_entry("exact", 3),
    _residual_entry("roulette", 2, context_size=2, log_det="roulette"),
    _continuous_entry("exact", 3),
    _continuous_entry("hutchinson", 2, context_size=2, depth=3, trace="hutchinson"),
    Entry("standardize", lambda dtype, policy: nvb.Standardize(np.zeros(5), np.ones(5), dtype=dtype), _VECTOR),
    Entry("chain_mixed", _mixed_chain, _IMAGE, has_networks=True),
    Entry("chain_context", _contextual_chain, (3,), context_size=2, has_networks=True),
    Entry(
        "chain_elementwise",
        lambda dtype, policy: nvb.Chain([nvb.DequantizedLogit(17), tfp.bijectors.SinhArcsinh(tf.constant(0.3, dtype))]),
        (3, 2),
        levels=17,
        has_variables=False,
    ),
    _logit_entry("256", _IMAGE, 256),
    _logit_entry("17", (3,), 17, alpha=0.01),
    Entry("split", _split, (2, 4, 4), has_networks=True),
    _squeeze_entry("channel_major", _IMAGE),
    _squeeze_entry("position_major", _IMAGE),
    _squeeze_entry("diagonal", (2, 4, 3)),
)


def _real_nvp(name: str, event_shape: tuple[int, ...], **settings: Any) -> Entry:
    def make(dtype: str, policy: str) -> nvp.FlowDistribution:
        small = dict(width=3, blocks=1) if len(event_shape) == 3 else dict(couplings=4, hidden_units=(6,))
        return nvp.real_nvp(event_shape=event_shape, dtype=dtype, dtype_policy=policy, **{**small, **settings})

    return Entry(
        f"real_nvp_{name}",
        make,
        event_shape,
        levels=settings.get("levels", 256) if len(event_shape) == 3 else None,
        context_size=settings.get("context_size"),
        factory="real_nvp",
        has_networks=True,
    )


def _vector_flow(factory: str, name: str, event_shape: tuple[int, ...] = (4,), **settings: Any) -> Entry:
    without = ("planar", "radial", "sylvester", "residual", "gaussianization", "bnaf", "triangular_spline")
    has_networks = factory not in without

    def make(dtype: str, policy: str) -> nvp.FlowDistribution:
        count = {"glow": "steps", "flowpp": "couplings", "nice": "couplings", "nsf": "couplings"}
        small = {count.get(factory, "layers"): 3}
        if has_networks:
            small |= dict(dtype_policy=policy)
        if has_networks or factory == "residual":
            small |= dict(hidden_units=(6,))
        return getattr(nvp, factory)(event_shape=event_shape, dtype=dtype, **{**small, **settings})

    return Entry(
        f"{factory}_{name}",
        make,
        event_shape,
        context_size=settings.get("context_size"),
        factory=factory,
        has_networks=has_networks,
        forward_evaluations=event_shape[0] if factory == "iaf" else 1,
        inverse_evaluations=event_shape[0] if factory in ("maf", "naf") else 1,
    )


def _image_flow(factory: str, name: str, event_shape: tuple[int, ...], **settings: Any) -> Entry:
    def make(dtype: str, policy: str) -> nvp.FlowDistribution:
        small = dict(event_shape=event_shape, dtype=dtype, dtype_policy=policy, width=3, blocks=1)
        return getattr(nvp, factory)(**small, **settings)

    return Entry(
        f"{factory}_{name}",
        make,
        event_shape,
        levels=settings.get("levels", 256),
        context_size=settings.get("context_size"),
        factory=factory,
        has_networks=True,
    )


def _standardized(dtype: str, policy: str) -> nvp.FlowDistribution:
    flow = nvp.nice(event_shape=(3,), couplings=2, hidden_units=(6,), dtype=dtype, dtype_policy=policy)
    return nvp.standardized(flow, mean=[1, 2, 3], std=[0.5, 1, 2])


def _dequantizer(dtype: str, policy: str) -> nvp.Dequantizer:
    small = dict(event_shape=(4, 2, 2), levels=17, couplings=2, width=3, blocks=1)
    return nvp.dequantizer(dtype=dtype, dtype_policy=policy, **small)


def _mixture_base(size: int, dtype: str) -> tfp.distributions.Distribution:
    """A mixture of two Gaussians, all of it learned."""
    tfd = tfp.distributions
    locs = tf.Variable(tf.random.stateless_normal([2, size], (0, 0), dtype=dtype), name="locs")
    components = tfd.MultivariateNormalDiag(locs, tf.ones([2, size], dtype))
    return tfd.MixtureSameFamily(tfd.Categorical(logits=tf.Variable(tf.zeros([2], dtype), name="logits")), components)


def _with_base(factory: str, size: int, **settings: Any) -> Entry:
    def make(dtype: str, policy: str) -> nvp.FlowDistribution:
        small = dict(event_shape=(size,), hidden_units=(6,), dtype=dtype, dtype_policy=policy)
        return getattr(nvp, factory)(base=_mixture_base(size, dtype), **small, **settings)

    inverse_evaluations = size if factory == "autoregressive_flow" else 1
    return Entry(
        f"{factory}_base", make, (size,), factory=factory, has_networks=True, inverse_evaluations=inverse_evaluations
    )


def _angles(factory: str, size: int, **settings: Any) -> Entry:
    def make(dtype: str, policy: str) -> nvp.FlowDistribution:
        small = dict(hidden_units=(6,), circular_bins=3, dtype=dtype, dtype_policy=policy)
        return getattr(nvp, factory)(event_shape=size, **small, **settings)

    inverse_evaluations = size if factory == "autoregressive_flow" else 1
    given = dict(factory=factory, has_networks=True, has_angles=True, inverse_evaluations=inverse_evaluations)
    return Entry(f"{factory}_angles", make, (size,), **given)


def _multiscale(dtype: str, policy: str) -> nvp.FlowDistribution:
    def layers(scale: int, channels: int, is_last: bool) -> list[nvb.Bijector]:
        return [
            nvb.ActNorm(channels, event_ndims=3, dtype=dtype),
            _coupling(nvb.Checkerboard(scale % 2), channels, dtype, policy, transformer=_mixture),
        ]

    return nvp.multiscale(event_shape=(4, 4, 1), layers=layers, scales=2, squeeze="position_major", dtype=dtype)


FLOWS = (
    _with_base("coupling_flow", 2, couplings=2),
    _with_base("autoregressive_flow", 2, layers=1, transformer=_spline),
    _angles("coupling_flow", 3, circular=(0, 2), couplings=3),
    _angles("autoregressive_flow", 2, circular=(0, 1), layers=2),
    Entry("multiscale", _multiscale, (4, 4, 1), levels=256, factory="multiscale", has_networks=True),
    _real_nvp("two_scales", (4, 4, 2), scales=2),
    _real_nvp("three_scales", (8, 8, 1), scales=3, levels=None),
    _real_nvp("one_scale", (3, 4, 1), levels=None, rho=0.9),
    _real_nvp("no_skips", (2, 4, 1), levels=17, alpha=0.01, form="scale_first", use_skips=False),
    _real_nvp("layer_norm", (4, 4, 1), normalization="layer", context_size=2, norm=None, base="conditional_normal"),
    _real_nvp("no_norm", (4, 2, 3), width=4, normalization="none", base="learned_normal"),
    _real_nvp("remat", (4, 2, 1), levels=None, backprop="remat"),
    _real_nvp("invert", (4, 2, 1), levels=None, backprop="invert"),
    _real_nvp("vector", (6,), norm="batch"),
    _real_nvp("odd_vector", (5,), couplings=3, form="shift_first"),
    _real_nvp("pair", (2,)),
    _real_nvp("vector_context", (3,), context_size=2),
    _vector_flow("nice", "vector"),
    _vector_flow("nice", "odd_context", (5,), context_size=2, backprop="invert"),
    # With random linear maps between them splines invert to 1e-13 in float64, and to 1e-3 in float32.
    _vector_flow("nsf", "vector", bins=4, mix="alternate"),
    _vector_flow("nsf", "context", (3,), context_size=2, bins=3, mix="alternate", norm=None),
    _vector_flow("maf", "vector", norm="batch"),
    _vector_flow("maf", "context", (3,), context_size=2),
    _vector_flow("iaf", "vector"),
    _vector_flow("iaf", "context", (3,), context_size=2),
    _vector_flow("naf", "vector", (3,), layers=2, components=2),
    _vector_flow("naf", "context", (2,), layers=1, components=2, depth=2, context_size=2, norm=None),
    _image_flow("glow", "image", (4, 4, 1), steps=1, scales=2, context_size=2),
    _image_flow("glow", "one_scale", (4, 2, 1), steps=1, scales=1, levels=None, linear_form="full", backprop="invert"),
    _vector_flow("glow", "vector"),
    _image_flow("flowpp", "image", (4, 2, 2), components=2, checkerboards=(1, 0), channel_couplings=1, levels=None),
    _image_flow(
        "flowpp",
        "grey",
        (4, 2, 1),
        components=2,
        checkerboards=(0, 1),
        channel_couplings=0,
        levels=None,
        context_size=2,
    ),
    _vector_flow("flowpp", "vector", components=2),
    Entry(
        "dequantizer",
        _dequantizer,
        (4, 2, 2),
        levels=1,
        context_size=2,
        context_axes=(4, 2),
        factory="dequantizer",
        has_networks=True,
    ),
    Entry("standardized", _standardized, (3,), factory="standardized", has_networks=True),
    _vector_flow("planar", "density"),
    _vector_flow("planar", "sampling", sampling=True),
    _vector_flow("sylvester", "density", units=2),
    _vector_flow("sylvester", "sampling", units=2, sampling=True),
    _vector_flow("residual", "vector", (2,), layers=1, coefficient=0.6),
    Entry("ffjord", _ffjord, (2,), factory="ffjord"),
    _vector_flow("bnaf", "vector", (3,), layers=2, units=2, depth=1),
    _vector_flow("triangular_spline", "vector", layers=2, bins=3),
    _vector_flow("gaussianization", "vector", (3,), layers=2, components=2),
    _vector_flow("radial", "density"),
    _vector_flow("radial", "sampling", sampling=True),
)

ENTRIES = BIJECTORS + FLOWS
BY_NAME = {entry.name: entry for entry in ENTRIES}
