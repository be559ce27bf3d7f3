"""The conditioners of a flow's couplings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras

from tfp_realnvp.bijectors import Checkerboard, Mask
from tfp_realnvp.conditioners import MLP, ResidualNetwork


@dataclasses.dataclass(frozen=True)
class Networks:
    """Makes a built conditioner for a mask: a `ResidualNetwork` on images, an `MLP` on vectors.

    Attributes:
      dtype_policy: of the networks.
      context_size: size of the context of a conditional flow.
      activation: of the networks.
      hidden: hidden sizes of an MLP.
      blocks: residual blocks.
      use_skips: whether each of them feeds the output.
      normalization: inside residual networks.
    """

    dtype_policy: str | keras.DTypePolicy
    context_size: int | None = None
    activation: str = "relu"
    hidden: Sequence[int] = (256, 256)
    blocks: int = 2
    use_skips: bool = True
    normalization: str = "batch"

    def __call__(
        self, mask: Mask, channels: int, parameters_per_entry: int, *, width: int, name: str
    ) -> keras.layers.Layer:
        """The network that reads `mask.kept` of events of that many channels.

        Args:
          mask: of the coupling.
          channels: of the event, or size of a vector.
          parameters_per_entry: of the coupling.
          width: channels of a residual network.
          name: of the network.
        """
        shared = dict(
            outputs=parameters_per_entry * mask.changed_size(channels),
            activation=self.activation,
            context_size=self.context_size,
            dtype=self.dtype_policy,
            name=name,
        )
        if mask.event_ndims == 1:
            network = MLP(hidden=self.hidden, **shared)
            network.build((None, mask.kept_size(channels)))
            return network
        network = ResidualNetwork(
            width=width,
            blocks=self.blocks,
            mask_channel=isinstance(mask, Checkerboard),
            use_skips=self.use_skips,
            normalization=self.normalization,
            **shared,
        )
        network.build((None, None, None, mask.kept_size(channels)))
        return network
