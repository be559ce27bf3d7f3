"""A readable summary of a flow."""

import math

from tfp_realnvp.flows.distribution import FlowDistribution, flow_distribution


def trainable_parameters(distribution: FlowDistribution) -> int:
    """The number of trainable parameters."""
    return sum(math.prod(variable.shape) for variable in flow_distribution(distribution).trainable_variables)


def summary(distribution: FlowDistribution) -> str:
    """A table of a flow's layers from data to latent: description, output shape and number of trainable parameters.

    ```python
    print(nvp.summary(nvp.real_nvp(event_shape=(8, 8, 3))))
    ```
    """
    distribution = flow_distribution(distribution)
    leaves = list(distribution.flow.leaves(distribution.event_shape))
    listed, containers = {id(leaf.bijector) for leaf in leaves}, {id(part) for leaf in leaves for part in leaf.path}
    lines = [_line("layer", "output shape", "parameters"), _line("", "", "").replace(" ", "-")]
    for leaf in leaves:
        indent = "  " * sum(id(container) in listed for container in leaf.path)
        sizes = "x".join("?" if size is None else str(size) for size in leaf.shape or ())
        # A container's parameters are listed with its parts.
        own = [] if id(leaf.bijector) in containers else leaf.bijector.trainable_variables
        count = sum(math.prod(variable.shape) for variable in own)
        lines.append(_line(indent + leaf.describe(), sizes, f"{count:,}" if count else ""))
    lines.append(f"{trainable_parameters(distribution):,} trainable parameters")
    return "\n".join(lines)


def _line(name: str, shape: str, parameters: str) -> str:
    return f"{name:76}  {shape:12}  {parameters:>12}"
