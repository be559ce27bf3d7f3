"""An exported flow as a distribution again."""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf

from tfp_realnvp import paths
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.serving.export import describe, named_versions
from tfp_realnvp.serving.saved_flow import SavedFlow


def load(path: str | os.PathLike, *, validate_args: bool = False) -> FlowDistribution:
    """The distribution that `save` or `publish` wrote, its networks folded: it is to be used, not to be trained.

    `log_prob`, `sample`, `event_shape`, `flow` and the rest are those of any `FlowDistribution`: it can stand in
    another `tfd.TransformedDistribution`, in a `tf.data` map, in a `tf.function`, and has a gradient with respect to
    events. What its signatures refuse has here a `log_prob` of -inf, as everywhere in TFP. Of an export with `labels`,
    the context is a label in one-hot coding.

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
    with paths.plain(path) as plain:
        module = tf.saved_model.load(plain)
    flow = SavedFlow(
        module,
        event_ndims=len(description["event_shape"]),
        context_size=description["context_size"] or description["labels"],
        rounds_samples=description["levels"] is not None,
        split_orders=description.get("split_orders"),
    )
    return FlowDistribution(
        flow, description["event_shape"], dtype=description["dtype"], validate_args=validate_args
    )


def version_path(path: str | os.PathLike) -> pathlib.Path:
    """The path of a version: the path itself, or that of a model's highest."""
    path = paths.local(path)
    found = {} if (path / "saved_model.pb").exists() else named_versions(path)
    return path / found[max(found)] if found else path
