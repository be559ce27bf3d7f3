"""The planar flow, for vectors."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Chain, Planar
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of


def planar(
    *,
    event_shape: int | Sequence[int],
    layers: int = 16,
    sampling: bool = False,
    dtype: str = "float32",
    validate_args: bool = False,
    seed: int = 0,
    name: str | None = None,
) -> FlowDistribution:
    """A planar flow: many steps across planes, each of a few parameters.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of `Planar` layers.
      sampling: whether a layer maps latents to data, as in the paper, and not data to latents. The way it maps is
        the closed form, the other a search for a root: choose by which of `sample` and `log_prob` is asked more.
      dtype: of the flow and its log-dets.
      validate_args: whether to assert at run time that events are finite.
      seed: of the layers' first weights.
      name: the distribution's name; by default its flow's, which joint distributions do not use.

    Returns:
      A `FlowDistribution`.

    Raises:
      ValueError: when the shape is not that of vectors.

    #### Examples

    ```python
    distribution = nvp.planar(event_shape=(2,))
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    #### References

    Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015. arXiv 1505.05770.
    """
    size = size_of(event_shape, least=1)
    steps = [Planar(size, seed=seed + i, dtype=dtype, name=f"planar_{i}") for i in range(layers)]
    flow = Chain([tfp.bijectors.Invert(step) for step in steps] if sampling else steps, name=name or "planar")
    return FlowDistribution(flow, [size], dtype=dtype, validate_args=validate_args, name=name)
