"""A flow as a readable list."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Bijector, Chain, Split
from tfp_realnvp.flows.distribution import FlowDistribution, flow_distribution

_NAME_WIDTH, _SHAPE_WIDTH = 76, 12


def trainable_parameters(distribution: FlowDistribution) -> int:
    """The number of trainable parameters."""
    return sum(math.prod(variable.shape) for variable in flow_distribution(distribution).trainable_variables)


def summary(distribution: FlowDistribution) -> str:
    """The layers of a flow from data to latent: what each is, the shape it gives, its trainable parameters.

    Args:
      distribution: what a factory such as `real_nvp` returned.

    Returns:
      A table as text; print it.

    #### Examples

    ```python
    print(nvp.summary(nvp.real_nvp(event_shape=(8, 8, 3))))
    ```
    """
    distribution = flow_distribution(distribution)
    lines = [_line("layer", "output shape", "parameters"), _line("", "", "").replace(" ", "-")]
    lines += _rows(distribution.flow, distribution.event_shape, indent=0)
    lines.append(f"{trainable_parameters(distribution):,} trainable parameters")
    return "\n".join(lines)


def _line(name: str, shape: str, parameters: str) -> str:
    return f"{name:{_NAME_WIDTH}}  {shape:{_SHAPE_WIDTH}}  {parameters:>12}"


def _rows(bijector: tfp.bijectors.Bijector, shape: tf.TensorShape, indent: int) -> list[str]:
    if isinstance(bijector, Chain):
        rows = []
        for part in bijector.bijectors:
            rows += _rows(part, shape, indent)
            shape = part.forward_event_shape(shape)
        return rows
    shape = bijector.forward_event_shape(shape)
    parameters = sum(math.prod(v.shape) for v in bijector.trainable_variables)
    count = "" if isinstance(bijector, Split) or not parameters else f"{parameters:,}"
    sizes = "x".join("?" if size is None else str(size) for size in shape.as_list())
    rows = [_line("  " * indent + describe(bijector), sizes, count)]
    if isinstance(bijector, Split):
        rows += _rows(bijector.flow, shape[:-1].concatenate(shape[-1] // 2), indent + 1)
    return rows


def describe(bijector: tfp.bijectors.Bijector) -> str:
    """One bijector in a few words."""
    if isinstance(bijector, Bijector):
        return bijector.describe()
    if isinstance(getattr(bijector, "bijector", None), Bijector):
        return f"Inverse of {describe(bijector.bijector)}"
    return bijector.name
