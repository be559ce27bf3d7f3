"""The planar and the radial flow, for vectors."""

from collections.abc import Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Planar, Radial
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers


@composition_of(flow_of_layers, sets="layers backprop flow_name")
def planar(
    *,
    event_shape: int | Sequence[int],
    layers: int = 16,
    sampling: bool = False,
    dtype: str = "float32",
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    """A planar flow: many steps across planes, each of a few parameters.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of `Planar` layers.
      sampling: whether a layer maps latents to data, as in the paper, and not data to latents. The direction of the
        layers is a closed form, the other solves by bisection: choose the direction that you call more often.
      dtype: of the flow and its log-dets.
      seed: of the layers' first weights.
      **options: `base` and others that [flows share](#options-that-flows-share).

    Raises:
      ValueError: when the shape is not that of vectors.

    ```python
    distribution = nvp.planar(event_shape=(2,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770.
    """
    size = size_of(event_shape, least=1)
    steps = [Planar(size, seed=seed + i, dtype=dtype, name=f"planar_{i}") for i in range(layers)]
    return _flow(steps, sampling, event_shape=[size], dtype=dtype, flow_name="planar", **options)


@composition_of(flow_of_layers, sets="layers backprop flow_name")
def radial(
    *,
    event_shape: int | Sequence[int],
    layers: int = 16,
    sampling: bool = False,
    dtype: str = "float32",
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    """A radial flow: many steps around points, each of a few parameters.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of `Radial` layers.
      sampling: whether a layer maps latents to data, as in the paper, and not data to latents. Both directions are
        closed forms; they make different families.
      dtype: of the flow and its log-dets.
      seed: of the layers' first weights.
      **options: `base` and others that [flows share](#options-that-flows-share).

    Raises:
      ValueError: when the shape is not that of vectors.

    ```python
    distribution = nvp.radial(event_shape=(2,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770.
    """
    size = size_of(event_shape, least=1)
    steps = [Radial(size, seed=seed + i, dtype=dtype, name=f"radial_{i}") for i in range(layers)]
    return _flow(steps, sampling, event_shape=[size], dtype=dtype, flow_name="radial", **options)


def _flow(steps: Sequence[Planar | Radial], sampling: bool, **options: Any) -> FlowDistribution:
    return flow_of_layers([tfp.bijectors.Invert(step) for step in steps] if sampling else steps, **options)
