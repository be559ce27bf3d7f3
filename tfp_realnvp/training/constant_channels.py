"""Detects constant columns of the data from a trained flow's batch norms."""

import warnings

import numpy as np

from tfp_realnvp.bijectors import BatchNorm
from tfp_realnvp.flows import FlowDistribution


def warn_of_constant_channels(distribution: FlowDistribution) -> None:
    """Warns if a `BatchNorm` has seen almost no variance: rounding errors then dominate `log_prob`.

    Each such layer multiplies the lag of its moving mean by `1 / sqrt(epsilon)`, while the training loss still falls.

    Args:
      distribution: the trained distribution.
    """
    for part in (distribution.flow, *distribution.flow.submodules):
        if not isinstance(part, BatchNorm):
            continue
        variance = part.moving_variance.value.numpy()
        if (least := np.min(variance)) < part.epsilon / 10:
            warnings.warn(
                f"expected data that vary, got channel {np.argmin(variance)} of {part.name} with a moving variance of "
                f"{least:.2g}, far below its epsilon of {part.epsilon:g}: densities in inference mode are meaningless; "
                "remove constant columns from the data, and rescale small ones",
                stacklevel=3,
            )
            return
