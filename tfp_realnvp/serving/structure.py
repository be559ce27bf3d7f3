"""Properties of a flow's layers that an export needs."""

from tfp_realnvp.bijectors import DequantizedLogit
from tfp_realnvp.flows import FlowDistribution


def levels_of(distribution: FlowDistribution) -> int | None:
    """The number of levels of a pixel, if the flow starts with a `DequantizedLogit`."""
    flow = distribution.flow
    levels = [part.levels for part in (flow, *flow.submodules) if isinstance(part, DequantizedLogit)]
    return levels[0] if levels else None


def least_side(distribution: FlowDistribution) -> int:
    """The number that heights and widths must be multiples of."""
    height, width, channels = distribution.event_shape.as_list()
    side = 1
    while side < min(height, width):
        try:
            distribution.flow.inverse_event_shape([side, side, channels])
            return side
        except ValueError:
            side *= 2
    return side
