"""Properties of a flow's layers that an export needs."""

import tensorflow as tf

from tfp_realnvp.bijectors import Bijector, Coupling, DequantizedLogit, Split
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


def couplings_of(distribution: FlowDistribution) -> list[tuple[Coupling, int]]:
    """The couplings of a flow in data order, each with the number of channels that its network reads."""
    found = []
    for leaf in distribution.flow.leaves(distribution.event_shape):
        if isinstance(leaf.bijector, Coupling) and leaf.shape is not None:
            found.append((leaf.bijector, leaf.bijector.mask.kept_size(leaf.shape[-1])))
    return found


def own_variables(flow: Bijector) -> list[tf.Variable]:
    """The variables of a flow's layers but for their networks', in data order: gains, norms, linear maps."""
    own: list[tf.Variable] = []
    for leaf in flow.leaves():
        if isinstance(leaf.bijector, Split):  # Its parts follow.
            continue
        network = getattr(leaf.bijector, "conditioner", None)
        of_network = {id(getattr(v, "value", v)) for v in getattr(network, "variables", ())}
        own += [variable for variable in leaf.bijector.variables if id(variable) not in of_network]
    return own
