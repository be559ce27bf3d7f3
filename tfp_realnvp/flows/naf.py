"""The neural autoregressive flow, for vectors."""

import functools
from collections.abc import Sequence
from typing import Any

from tfp_realnvp.flows.autoregressive_flow import Norm, autoregressive_flow
from tfp_realnvp.flows.compositions import composition_of
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.transformers import Sigmoidal


@composition_of(autoregressive_flow, sets="transformer inverse flow_name")
def naf(
    *,
    event_shape: int | Sequence[int],
    layers: int = 3,
    components: int = 8,
    depth: int = 1,
    norm: Norm | None = "act",
    **options: Any,
) -> FlowDistribution:
    """A neural autoregressive flow: monotone networks of sigmoids, whose weights the preceding entries decide.

    A density costs one evaluation of each network, a sample one for each entry and a bisection each time.

    Args:
      event_shape: `[size]`, or the size.
      layers: number of autoregressive layers.
      components: sigmoids in each layer of an entry's monotone network.
      depth: layers of an entry's monotone network.
      norm: as of `autoregressive_flow`: "act", "batch" or None.
      **options: of `autoregressive_flow`.

    ```python
    distribution = nvp.naf(event_shape=(6,))
    distribution.log_prob(tf.random.normal([3, 6]))  # [3]
    ```

    Huang, Krueger, Lacoste, Courville. Neural autoregressive flows. ICML 2018. arXiv 1804.00779.
    """
    sigmoidal = functools.partial(Sigmoidal, components, depth=depth)
    given = dict(event_shape=event_shape, layers=layers, norm=norm, flow_name="naf", **options)
    return autoregressive_flow(transformer=sigmoidal, **given)
