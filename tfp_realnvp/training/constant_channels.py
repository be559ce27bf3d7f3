"""Columns of the data that do not vary, as a trained flow shows them."""

import warnings

import numpy as np

from tfp_realnvp.bijectors import BatchNorm
from tfp_realnvp.flows import FlowDistribution


def warn_of_constant_channels(distribution: FlowDistribution) -> None:
    """Warns where a `BatchNorm` has seen next to no variance: its `log_prob` is then one of rounding errors.

    Each such layer multiplies the lag of its moving mean by `1 / sqrt(epsilon)`, while the training loss falls.

    Args:
      distribution: whose flow was trained.
    """
    for part in (distribution.flow, *distribution.flow.submodules):
        if not isinstance(part, BatchNorm):
            continue
        variance = part.moving_variance.value.numpy()
        if (least := np.min(variance)) < part.epsilon / 10:
            warnings.warn(
                f"expected data that vary, got channel {np.argmin(variance)} of {part.name} with a moving variance of "
                f"{least:.2g}, far below its epsilon of {part.epsilon:g}: densities in inference mode mean nothing; "
                "leave constant columns out of the data, and scale small ones",
                stacklevel=3,
            )
            return
