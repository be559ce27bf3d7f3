"""An exported flow as a distribution again."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import tensorflow as tf

from tfp_realnvp.bijectors import Bijector
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.serving.export import describe, versions


def load(path: str | os.PathLike, *, validate_args: bool = False) -> FlowDistribution:
    """The distribution that `save` or `publish` wrote, its networks folded: it is to be used, not to be trained.

    `log_prob`, `sample`, `event_shape`, `flow` and the rest are those of any `FlowDistribution`: it can stand in
    another `tfd.TransformedDistribution`, in a `tf.data` map, in a `tf.function`, and has a gradient with respect to
    events. What its signatures refuse has here a `log_prob` of -inf, as everywhere in TFP.

    Args:
      path: of a version, `NAME/VERSION`, or of a model, `NAME`: of its highest version then.
      validate_args: see `FlowDistribution`.

    Raises:
      FileNotFoundError: when there is no export of this package.

    #### Examples

    ```python
    distribution = nvp.load("saved_models/digits")
    images = distribution.sample(4, seed=1)  # [4, 8, 8, 1], pixels in about [0, 17)
    distribution.log_prob(images)  # [4]
    ```
    """
    path = version_path(path)
    description = describe(path)
    flow = SavedFlow(tf.saved_model.load(str(path)), event_ndims=len(description["event_shape"]))
    return FlowDistribution(
        flow, description["event_shape"], dtype=description["dtype"], validate_args=validate_args, name="saved_flow"
    )


def version_path(path: str | os.PathLike) -> pathlib.Path:
    """The path of a version: the path itself, or that of a model's highest."""
    path = pathlib.Path(path)
    found = [] if (path / "saved_model.pb").exists() else versions(path)
    return path / str(found[-1]) if found else path


class SavedFlow(Bijector):
    """A flow that was exported, as one bijector from data to latent.

        forward:  z = f(x),  inverse: x = f^{-1}(z),  log|det df/dx|: as when it was exported, in inference mode

    Args:
      module: what `tf.saved_model.load` made of an export.
      event_ndims: number of axes of an event.
      validate_args: see `Bijector`.
      name: the bijector's name.
    """

    def __init__(self, module: Any, event_ndims: int, *, validate_args: bool = False, name: str = "saved_flow"):
        parameters = dict(locals())
        self._module = module
        super().__init__(event_ndims=event_ndims, parameters=parameters, validate_args=validate_args, name=name)

    def _forward_and_log_det(self, x, context, training):
        return self._module.forward(x) if context is None else self._module.forward(x, context)

    def _inverse_and_log_det(self, z, context, training):
        return self._module.inverse(z) if context is None else self._module.inverse(z, context)
