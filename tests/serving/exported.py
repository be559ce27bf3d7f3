"""An export of images that several tests ask."""

from __future__ import annotations

import functools
import pathlib

import tfp_realnvp as nvp
from tests import once, registry
from tfp_realnvp import serving

LEVELS = 17
SHAPE = (4, 4, 1)
MAX_SAMPLES = 4


@functools.cache
def distribution() -> nvp.FlowDistribution:
    """The flow, with networks; its weights are the same in every process."""
    return registry.randomize(nvp.real_nvp(event_shape=SHAPE, levels=LEVELS, scales=1, width=4, blocks=1))


@functools.cache
def path() -> pathlib.Path:
    """Its export, which tests must leave as it is."""

    def make(folder: pathlib.Path) -> None:
        serving.save(distribution(), folder / "1", max_samples=MAX_SAMPLES, metadata={"dataset": "made up"})

    return once.made("exported", make) / "1"
