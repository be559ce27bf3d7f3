"""The masked autoregressive flow, and the inverse one, for vectors."""

from collections.abc import Sequence
from typing import Any

from tfp_realnvp.flows.autoregressive_flow import autoregressive_flow
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution


@composition_of(autoregressive_flow, sets="transformer inverse flow_name")
def maf(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """A masked autoregressive flow: affine autoregressive layers, the order of the entries reversed between them.

    A density costs one evaluation of each network, a sample one for each entry: the flow for density estimation. The
    paper has a batch norm after each layer: `norm="batch"`.

    Args:
      event_shape: `[size]`, or the size.
      **options: of `autoregressive_flow`.

    ```python
    distribution = nvp.maf(event_shape=(6,))
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density estimation. NeurIPS 2017. arXiv 1705.07057.
    """
    return autoregressive_flow(event_shape=event_shape, flow_name="maf", **options)


@composition_of(autoregressive_flow, sets="transformer inverse norm flow_name")
def iaf(*, event_shape: int | Sequence[int], **options: Any) -> FlowDistribution:
    """An inverse autoregressive flow: the layers of `maf`, each inverted.

    A sample, and its density with it (`experimental_sample_and_log_prob`), costs one evaluation of each network; the
    density of other events one for each entry: the flow for variational inference.

    Args:
      event_shape: `[size]`, or the size.
      **options: of `autoregressive_flow`.

    ```python
    distribution = nvp.iaf(event_shape=(6,))
    x, log_prob = distribution.experimental_sample_and_log_prob(3, seed=1)  # [3, 6], [3]
    ```

    Kingma et al. Improved variational inference with inverse autoregressive flow. NeurIPS 2016. arXiv 1606.04934.
    """
    return autoregressive_flow(event_shape=event_shape, inverse=True, flow_name="iaf", **options)
