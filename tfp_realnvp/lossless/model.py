"""An exported flow with its layers, in float64."""

import hashlib
import itertools
import os
import pathlib
from typing import Any

import tensorflow as tf

from tfp_realnvp import paths, presets
from tfp_realnvp.bijectors import Mask
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.lossless.codec import Coder
from tfp_realnvp.serving.description import ExportError, describe
from tfp_realnvp.serving.load import version_path
from tfp_realnvp.serving.structure import own_variables


class Model:
    """An exported flow over images, built again from its settings, with the networks of the export.

    Attributes:
      distribution: the flow in float64; its networks compute as exported.
      levels: number of levels of a pixel.
      coder: which codes images by the flow.
      name: the model's folder and version.
      digest: a hash of the graph and the weights.

    Raises:
      FileNotFoundError, ExportError: as `nvp.load`.
      ValueError: for an export that is not of unconditional images with a standard normal base, or was written before
        exports had their layers.
    """

    def __init__(self, path: str | os.PathLike[str]):
        path = version_path(path)
        description = describe(path)
        self.name = "/".join(path.parts[-2:])
        self.digest = _digest(path)
        if "model" not in description:
            raise ValueError(
                "expected an export with the settings of its flow, as tfp-realnvp export writes, got "
                f"{self.name} without them: export its run again"
            )
        preset = presets.of_settings(description["model"])
        if len(preset.event_shape) != 3 or preset.classes is not None or description["levels"] is None:
            raise ValueError(f"expected a flow over images of pixels without classes, got {self.name}")
        if description["levels"] > 256:
            raise ValueError(f"expected at most 256 levels of a pixel, got {description['levels']} in {self.name}")
        with paths.plain(path) as plain:
            self._module = module = tf.saved_model.load(plain)  # Kept: functions do not keep their variables.
        numbers = itertools.count()

        def network(mask: Mask, channels: int, outputs: int) -> Any:
            function = getattr(module, f"network_{next(numbers)}")
            return lambda kept: tf.cast(function(tf.cast(kept, description["dtype"])), tf.float64)

        self.distribution: FlowDistribution = preset.build(dtype="float64", conditioner=network)
        if not self.distribution.has_default_base:
            raise ValueError(f"expected a standard normal base, got {self.name} with another")
        own = own_variables(self.distribution.flow)
        if [v.shape for v in own] != [v.shape for v in module.own]:
            raise ExportError(
                f"expected the layers of {self.name} to have the weights of its settings: export it again"
            )
        for variable, saved in zip(own, module.own):
            variable.assign(tf.cast(saved, variable.dtype))
        self.levels: int = description["levels"]
        self.coder = Coder(self.distribution, self.levels)


def _digest(path: pathlib.Path) -> str:
    found = hashlib.sha256()
    for file in sorted(path.glob("variables/*")) + [path / "saved_model.pb"]:
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()
