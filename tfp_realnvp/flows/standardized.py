"""Flows over raw vectors with built-in standardisation."""

from numpy.typing import ArrayLike

from tfp_realnvp.bijectors import Chain, Standardize
from tfp_realnvp.flows.distribution import FlowDistribution, flow_distribution


def standardized(distribution: FlowDistribution, mean: ArrayLike, std: ArrayLike) -> FlowDistribution:
    """Turns a flow over standardised vectors into a flow over raw vectors by prepending `Standardize`.

        log p(x) = log p_distribution((x - mean) / std) - sum log std

    The result shares the layers of `distribution`. Checkpoints and exports include the mean and standard deviation.

    Args:
      distribution: a flow over vectors, for example from `maf`.
      mean: mean of each entry of the training data.
      std: standard deviation of each entry, positive.

    ```python
    data = 3 + 2 * np.random.default_rng(0).normal(size=[100, 2])
    distribution = nvp.standardized(nvp.maf(event_shape=(2,)), data.mean(0), data.std(0))
    ```
    """
    distribution = flow_distribution(distribution)
    flow, parameters = distribution.flow, distribution.parameters
    own, backprop = (flow.bijectors, flow.backprop) if isinstance(flow, Chain) else ([flow], "store")
    layers = [Standardize(mean, std, dtype=distribution.dtype.name), *own]
    return FlowDistribution(**parameters | {"flow": Chain(layers, backprop=backprop, name=flow.name)})
