"""The builder on which every factory rests, and the named base distributions."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfp_realnvp.bijectors import Bijector, Chain, Elementwise
from tfp_realnvp.conditioners import MLP
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.named import named
from tfp_realnvp.transformers import Affine


@dataclasses.dataclass(frozen=True)
class _Latent:
    """What a base has to know of the flow that it belongs to."""

    shape: Sequence[int]
    context_size: int | None
    dtype: str


def _normal(latent: _Latent) -> None:
    """Standard normal, the default of `FlowDistribution`."""


def _learned_normal(latent: _Latent) -> Bijector:
    """The layer that maps a learned mean and scale of each entry to 0 and 1."""
    return Elementwise(Affine(), latent.shape, dtype=latent.dtype, name="learned_normal")


def _conditional_normal(latent: _Latent, hidden_units: Sequence[int] = ()) -> Bijector:
    """The same, with the mean and scale computed from the context."""
    if latent.context_size is None:
        raise ValueError("expected a context_size for the base conditional_normal, got None")
    affine = Affine()
    network = MLP(
        outputs=affine.outputs * math.prod(latent.shape),
        hidden_units=hidden_units,
        context_size=latent.context_size,
        dtype=tf.as_dtype(latent.dtype).name,
        name="conditional_normal_network",
    )
    network.build((None, 0))
    return Elementwise(affine, latent.shape, network, dtype=latent.dtype, name="conditional_normal")


def _student_t(latent: _Latent, df: float = 5.0) -> tfd.Distribution:
    if df <= 0:
        raise ValueError(f"expected a positive df, got {df}")
    start = np.full(latent.shape, df, tf.as_dtype(latent.dtype).as_numpy_dtype)
    learned = tfp.util.TransformedVariable(start, tfp.bijectors.Softplus(), name="df")
    one = tf.ones([], latent.dtype)
    return tfd.Independent(tfd.StudentT(learned, 0 * one, one), len(latent.shape))


def _mixture(latent: _Latent, components: int = 4) -> tfd.Distribution:
    if components < 1:
        raise ValueError(f"expected at least one component, got {components}")
    shape, dtype = [components, *latent.shape], latent.dtype
    means = np.random.default_rng(0).normal(size=shape)  # Apart, or components would stay equal.
    locs, logits = (tf.Variable(tf.cast(start, dtype)) for start in (means, np.zeros(components)))
    scales = tfp.util.TransformedVariable(tf.ones(shape, dtype), tfp.bijectors.Softplus())
    parts = tfd.Independent(tfd.Normal(locs, scales), len(latent.shape))
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), parts)


# Each returns a distribution, or the flow's last layer before a standard normal base, which keeps temperatures and
# latents of one kind, and takes a context.
BASES = {
    "normal": _normal,
    "learned_normal": _learned_normal,
    "conditional_normal": _conditional_normal,
    "student_t": _student_t,
    "mixture": _mixture,
}


def flow_of_layers(
    layers: Sequence[tfp.bijectors.Bijector],
    *,
    event_shape: Sequence[int],
    base: str | tfp.distributions.Distribution | None = None,
    context_size: int | None = None,
    backprop: Literal["store", "remat", "invert"] = "store",
    dtype: str = "float32",
    validate_args: bool = False,
    flow_name: str = "flow",
    name: str | None = None,
) -> FlowDistribution:
    """The distribution defined by layers that preserve the event shape.

        z = layers[-1](... layers[0](x)),    z ~ base

    Args:
      layers: the bijectors, in data-to-latent order.
      event_shape: shape of the events.
      base: distribution of the latent: any `tfd.Distribution` of this event shape whose learned parameters are
        `tf.Variable`s; or one of these, with options in parentheses, as in "mixture(components=8)": "normal", the
        standard normal and default; "learned_normal", a mean and a scale for each entry; "conditional_normal", both
        computed from the context by an MLP (option `hidden_units`, none by default: one normal for each class of a
        class-conditional flow); "student_t" with learned degrees of freedom (option `df`, their start); or a learned
        "mixture" of Gaussians (option `components`).
      context_size: size of the context that "conditional_normal" receives.
      backprop: what training stores for the backward pass, see `Chain`: "store", "remat" or "invert".
      dtype: dtype of the flow and its log-dets.
      validate_args: whether to assert at run time that events are finite and lie in the support.
      flow_name: name of the flow's chain.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Raises:
      ValueError: for an unknown base or an unknown option, or a context that no layer reads.
    """
    layers = list(layers)
    if isinstance(base, str):
        base = named(base, BASES, "base")(_Latent(event_shape, context_size, dtype))
    if isinstance(base, Bijector):
        layers, base = [*layers, base], None
    flow = Chain(layers, backprop=backprop, name=name or flow_name)
    made = FlowDistribution(flow, event_shape, base=base, dtype=dtype, validate_args=validate_args, name=name)
    if context_size is not None and not made.takes_context:
        raise ValueError(
            f'{flow_name}: expected context_size=None or base="conditional_normal", got {context_size}: no layer reads '
            "a context"
        )
    return made
