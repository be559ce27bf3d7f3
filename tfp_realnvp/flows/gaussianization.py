"""Gaussianization flows over vectors."""

from collections.abc import Sequence
from typing import Any

from tfp_realnvp.bijectors import ActNorm, Bijector, Elementwise, InvertibleLinear
from tfp_realnvp.conditioners import MLP
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.event_shapes import size_of
from tfp_realnvp.flows.layers import flow_of_layers
from tfp_realnvp.transformers import Compose, Probit, Sigmoidal


@composition_of(flow_of_layers, sets="layers flow_name backprop")
def gaussianization(
    *,
    event_shape: int | Sequence[int],
    layers: int = 6,
    components: int = 8,
    context_size: int | None = None,
    dtype: str = "float32",
    seed: int = 0,
    **options: Any,
) -> FlowDistribution:
    """A Gaussianization flow: learned rotations, and a mixture's CDF and the normal quantile for each entry.

        z = (gaussianize_n o rotate_{n-1} o ... o rotate_1 o gaussianize_1)(x),    z ~ base

    Without a context there is no network. A density has a closed form, a sample takes one bisection for all entries per
    layer. The logistic components give tails that are heavier than a Gaussian's, and more so with each layer. An
    `ActNorm` precedes each layer, so that the first training batch places the mixtures; the paper places their means on
    data instead.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of layers that transform each entry.
      components: number of logistic components per entry and layer.
      context_size: size of the context of a conditional flow, or None for no context. The weights, means and scales of
        the components are linear functions of the context.
      seed: seed of the initial rotations.
      **options: `base` and other [options that flows share](#options-that-flows-share).

    Raises:
      ValueError: if the event shape is not a vector's.

    ```python
    distribution = nvp.gaussianization(event_shape=(3,), layers=2)
    distribution.log_prob(distribution.sample(3, seed=1))  # [3]
    ```

    Meng, Song, Song, Ermon. Gaussianization flows. AISTATS 2020. arXiv 2003.01941.
    """
    size = size_of(event_shape, least=1)
    found: list[Bijector] = []
    for i in range(layers):
        if i:
            name = f"rotation_{i}"
            found.append(InvertibleLinear(size, form="householder", seed=seed + i, dtype=dtype, name=name))
        found.append(ActNorm(size, dtype=dtype, name=f"act_norm_{i}"))
        mixtures, name, network = Compose(Sigmoidal(components), Probit()), f"gaussianize_{i}", None
        if context_size is not None:
            of_network: dict[str, Any] = dict(hidden_units=(), context_size=context_size, dtype=dtype)
            network = MLP(outputs=mixtures.outputs * size, name=f"{name}_network", **of_network)
            network.build((None, 0))
        found.append(Elementwise(mixtures, [size], network, dtype=dtype, name=name))
    given: dict[str, Any] = dict(context_size=context_size, dtype=dtype, **options)
    return flow_of_layers(found, event_shape=[size], flow_name="gaussianization", **given)
