"""An exported flow as a distribution again."""

import os
import pathlib
from typing import Any

import tensorflow as tf

from tfp_realnvp import paths
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.serving.description import DESCRIPTION, EXTRA, ExportError, describe
from tfp_realnvp.serving.export import named_versions
from tfp_realnvp.serving.released import released
from tfp_realnvp.serving.saved_base import SavedBase
from tfp_realnvp.serving.saved_flow import SavedFlow


def load(path: str | os.PathLike[str], *, validate_args: bool = False) -> FlowDistribution:
    """The distribution that `save` or `publish` wrote, its networks folded: it is to be used, not to be trained.

    `log_prob`, `sample`, `event_shape`, `flow` and the rest are those of any `FlowDistribution`: it can stand in
    another `tfd.TransformedDistribution`, in a `tf.data` map, in a `tf.function`, and has a gradient with respect to
    events. What its signatures refuse has here a `log_prob` of -inf, as everywhere in TFP. Of an export with `classes`,
    the context is a label in one-hot coding.

    Args:
      path: of a version, `NAME/VERSION`, or of a model, `NAME`: of its highest version then. A name of `released()`,
        such as "mnist", is that model where no export has this path.
      validate_args: see `FlowDistribution`.

    Raises:
      FileNotFoundError: when there is no export of this package.
      ExportError: when it is not whole, or its description was changed; the message names the file.

    ```python
    distribution = nvp.load("digits")
    images = distribution.sample(4, seed=1)  # [4, 8, 8, 1], pixels in about [0, 17)
    distribution.log_prob(images)  # [4]
    ```
    """
    path = version_path(path)
    description = describe(path)
    with paths.plain(path) as plain:
        module = _module(path, plain, description)
    flow = SavedFlow(
        module,
        event_ndims=len(description["event_shape"]),
        context_size=description["context_size"] or description["classes"],
        rounds_samples=description["levels"] is not None,
        split_orders=description.get("split_orders"),
    )
    shape, dtype = description["event_shape"], description["dtype"]
    base = SavedBase(module, shape, dtype=dtype) if hasattr(module, "base_log_prob") else None
    return FlowDistribution(flow, shape, base=base, dtype=dtype, validate_args=validate_args)


def _module(path: pathlib.Path, plain: str, description: dict[str, Any]) -> Any:
    """What TensorFlow loads from `plain`, the same folder, which must be what the description says."""
    prefix = path / "variables" / "variables"
    graph, index, weights = path / "saved_model.pb", f"{prefix}.index", f"{prefix}.data-00000-of-00001"
    for file in (graph, index, weights):
        if not os.path.isfile(file):
            raise ExportError(f"expected a whole export in {path}, found no {file}: copy it again")
    try:
        reader = tf.train.load_checkpoint(os.path.join(plain, "variables", "variables"))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, LookupError, RuntimeError, ValueError) as error:
        raise ExportError(f"expected whole variables, got a damaged {index} or {weights}: copy it again") from error
    try:
        module = tf.saved_model.load(plain)
        events = module.forward.concrete_functions[0].structured_input_signature[0][0]
    except Exception as error:  # A graph that ends early fails anywhere in TensorFlow.
        raise ExportError(f"expected a whole model, got a damaged {graph}: copy the export again") from error
    given = [*events.shape[1:]], events.dtype.name
    if given != (description["event_shape"], description["dtype"]):
        raise ExportError(
            f"expected event_shape {given[0]} and dtype {given[1]}, as in the model, in {path / EXTRA / DESCRIPTION}, "
            f"got {description['event_shape']} and {description['dtype']}: copy the export again"
        )
    return module


def version_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """The path of a version: the path itself, or that of a model's highest.

    Where neither is there, it may be the name of a released model.
    """
    path = paths.local(path)
    if (path / "saved_model.pb").exists():
        return path
    for folder in filter(None, (path, released().get(str(path)))):
        if found := named_versions(folder):
            return folder / found[max(found)]
    return path
