"""Planar, radial and Sylvester flows over vectors."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Bijector, Planar, Radial, Sylvester
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers


@composition_of(flow_of_layers, sets="layers backprop context_size")
def _flow_of_steps(
    make_step: Callable[..., Bijector],
    *,
    event_shape: int | Sequence[int],
    layers: int = 16,
    sampling: bool = False,
    dtype: str = "float32",
    seed: int = 0,
    flow_name: str,
    **options: Any,
) -> FlowDistribution:
    size = size_of(event_shape, least=1)
    steps = [make_step(size, seed=seed + i, dtype=dtype, name=f"{flow_name}_{i}") for i in range(layers)]
    if sampling:
        steps = [tfp.bijectors.Invert(step) for step in steps]
    return flow_of_layers(steps, event_shape=[size], dtype=dtype, flow_name=flow_name, **options)


@composition_of(_flow_of_steps, sets="make_step flow_name")
def planar(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """A planar flow: many shifts across planes, each with few parameters.

    Args:
      event_shape: `[size]`, or the size.
      **options: `base` and other [options that flows share](#options-that-flows-share), and these.

        * layers: number of layers.
        * sampling: whether a layer maps latents to data, as in the paper, instead of data to latents. The layers'
          direction has a closed form, the other is solved by bisection: choose the direction that you call more often.
        * seed: seed of the layers' initial weights.

    Raises:
      ValueError: if the event shape is not a vector's.

    ```python
    distribution = nvp.planar(event_shape=(2,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770.
    """
    return _flow_of_steps(Planar, event_shape=event_shape, flow_name="planar", **options)


@composition_of(_flow_of_steps, sets="make_step flow_name")
def radial(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """A radial flow: many expansions and contractions around centres, each with few parameters.

    Args:
      event_shape: `[size]`, or the size.
      **options: `base` and other [options that flows share](#options-that-flows-share), and these.

        * layers: number of layers.
        * sampling: whether a layer maps latents to data, as in the paper, instead of data to latents. Both directions
          have closed forms; the two settings give different families.
        * seed: seed of the layers' initial weights.

    Raises:
      ValueError: if the event shape is not a vector's.

    ```python
    distribution = nvp.radial(event_shape=(2,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770.
    """
    return _flow_of_steps(Radial, event_shape=event_shape, flow_name="radial", **options)


@composition_of(_flow_of_steps, sets="make_step flow_name")
def sylvester(*, event_shape: int | Sequence[int], units: int | None = None, **options: Any) -> FlowDistribution:
    """A Sylvester flow: planar layers with several hidden units each, along orthonormal directions.

    Args:
      event_shape: `[size]`, or the size.
      units: number of hidden units of each layer, from 1 to the size; by default the size.
      **options: `base` and other [options that flows share](#options-that-flows-share), and these.

        * layers: number of layers.
        * sampling: whether a layer maps latents to data, as in the paper, instead of data to latents. The layers'
          direction has a closed form, the other takes a bisection per unit: choose the direction that you call more
          often.
        * seed: seed of the layers' initial weights.

    Raises:
      ValueError: if the event shape is not a vector's, or for a number of units beyond the size.

    ```python
    distribution = nvp.sylvester(event_shape=(3,), units=2, layers=4)
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Van den Berg, Hasenclever, Tomczak, Welling. Sylvester normalizing flows for variational inference. UAI 2018. arXiv
    1803.05649.
    """
    make_step = functools.partial(Sylvester, units=units)
    return _flow_of_steps(make_step, event_shape=event_shape, flow_name="sylvester", **options)
