"""Models so small that a step of training takes no time, and their data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tests import registry

nvb = nvp.bijectors

LEVELS = 17


def image_flow(**settings: Any) -> nvp.FlowDistribution:
    """A flow over images [4, 4, 1] of 17 levels, its weights random."""
    defaults = dict(event_shape=(4, 4, 1), scales=1, width=2, blocks=1, levels=LEVELS)
    return registry.randomize(nvp.real_nvp(**{**defaults, **settings}))


def two_couplings(
    blocks: int = 1, normalization: str = "batch", rho: float | None = None, dtype: str = "float32"
) -> nvp.FlowDistribution:
    """A flow over the same images of one coupling of each kind, for what is traced or compiled."""

    def step(mask: nvb.Mask, channels: int, name: str) -> list[nvb.Bijector]:
        is_checkerboard = isinstance(mask, nvb.Checkerboard)
        changed = mask.changed_size(channels)
        network = nvp.conditioners.ResidualNetwork(
            outputs=2 * changed,
            width=2,
            blocks=blocks,
            mask_channel=is_checkerboard,
            normalization=normalization,
            dtype=dtype,
            name=f"{name}_network",
        )
        network.build((None, None, None, mask.kept_size(channels)))
        coupling = nvb.Coupling(nvp.transformers.Affine(form="shift_first"), network, mask, dtype=dtype, name=name)
        if normalization == "none":
            return [coupling]
        return [coupling, nvb.BatchNorm(changed, mask=mask, rho=rho, dtype=dtype, name=f"{name}_batch_norm")]

    squeeze = nvb.Squeeze("channel_major")
    layers = [nvb.DequantizedLogit(LEVELS), *step(nvb.Checkerboard(1), 1, "checkerboard"), squeeze]
    layers += [*step(nvb.ChannelHalves("first"), 4, "channels"), tfp.bijectors.Invert(squeeze)]
    return registry.randomize(nvp.FlowDistribution(nvb.Chain(layers), (4, 4, 1), dtype=dtype))


def vector_flow(**settings: Any) -> nvp.FlowDistribution:
    """A flow over vectors of 4 entries, its weights random."""
    defaults = dict(event_shape=(4,), couplings=2, hidden_units=(4,), norm="batch")
    return registry.randomize(nvp.real_nvp(**{**defaults, **settings}))


def images(count: int, seed: int = 0) -> np.ndarray:
    """Images of which neighbours have much in common, uint8 [count, 4, 4, 1]."""
    random = np.random.default_rng(seed)
    brightness = random.integers(0, LEVELS - 4, [count, 1, 1, 1])
    return (brightness + random.integers(0, 4, [count, 4, 4, 1])).astype(np.uint8)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """Vectors of entries that go together, float32 [count, 4]."""
    random = np.random.default_rng(seed)
    return (random.normal(size=[count, 1]) + 0.3 * random.normal(size=[count, 4])).astype(np.float32)


def values(variables: Iterable[tf.Variable]) -> list[np.ndarray]:
    """What the variables hold now."""
    return [variable.numpy() for variable in variables]
