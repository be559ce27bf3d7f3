"""A readable summary of a flow."""

import math
import re
import textwrap

from tfp_realnvp.flows.distribution import FlowDistribution, flow_distribution


def trainable_parameters(distribution: FlowDistribution) -> int:
    """The number of trainable parameters."""
    return sum(math.prod(variable.shape) for variable in flow_distribution(distribution).trainable_variables)


def summary(distribution: FlowDistribution, line_length: int | None = None) -> str:
    """A table of a flow's layers from data to latent: description, output shape and number of trainable parameters.

    Args:
      distribution: the flow.
      line_length: characters in a line, at least 60. A layer's description that is longer continues in the next line.
        By default every layer has one line of 104 characters or more.

    ```python
    print(nvp.summary(nvp.real_nvp(event_shape=(8, 8, 3))))
    ```
    """
    distribution = flow_distribution(distribution)
    leaves = list(distribution.flow.leaves(distribution.event_shape))
    listed, containers = {id(leaf.bijector) for leaf in leaves}, {id(part) for leaf in leaves for part in leaf.path}
    width = 76 if line_length is None else line_length - 28
    lines = [_line("layer", "output shape", "parameters", width), _line("", "", "", width).replace(" ", "-")]
    for leaf in leaves:
        indent = "  " * sum(id(container) in listed for container in leaf.path)
        sizes = "x".join("?" if size is None else str(size) for size in leaf.shape or ())
        # A container's parameters are listed with its parts.
        own = [] if id(leaf.bijector) in containers else leaf.bijector.trainable_variables
        count = sum(math.prod(variable.shape) for variable in own)
        name, more = indent + leaf.describe(), []
        if line_length is not None:
            name, *more = _wrapped(leaf.describe(), width, indent)
        lines += [_line(name, sizes, f"{count:,}" if count else "", width), *more]
    lines.append(f"{trainable_parameters(distribution):,} trainable parameters")
    return "\n".join(lines)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """Lines that end after a comma or a colon."""
    phrases = re.sub("(?<![,:]) ", "\xa0", text)
    lines = textwrap.wrap(
        phrases,
        width,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in lines]


def _line(name: str, shape: str, parameters: str, width: int) -> str:
    return f"{name:{width}}  {shape:12}  {parameters:>12}"
