"""Loads an exported flow as a distribution."""

import os
import pathlib
from typing import Any

import tensorflow as tf

from tfp_realnvp import paths
from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.serving.description import DESCRIPTION, EXTRA, ExportError, describe
from tfp_realnvp.serving.released import released
from tfp_realnvp.serving.saved_base import SavedBase
from tfp_realnvp.serving.saved_flow import SavedFlow, saved_dequantizer
from tfp_realnvp.serving.versions import named_versions


def load(path: str | os.PathLike[str], *, validate_args: bool = False) -> FlowDistribution:
    """Loads a distribution written by `save` or `publish`, for inference only: its networks are folded.

    `log_prob`, `sample`, `event_shape`, `flow` and the rest work as in any `FlowDistribution`. It can be used in
    another `tfd.TransformedDistribution`, a `tf.data` map or a `tf.function`, and has gradients with respect to events.
    Events that its signatures refuse have a `log_prob` of -inf here, as in TFP. For an export with `classes`, the
    context is a one-hot label.

    Args:
      path: path of a version, `NAME/VERSION`, or of a model, `NAME`, for its highest version. A name of `released()`,
        such as "mnist", is that model where no export has this path.
      validate_args: see `FlowDistribution`.

    Raises:
      FileNotFoundError: if there is no export of this package.
      ExportError: if it is incomplete, or its description was changed; names the file.

    ```python
    distribution = nvp.load("digits")
    images = distribution.sample(4, seed=1)  # [4, 8, 8, 1], pixels in about [0, 17)
    distribution.log_prob(images)  # [4]
    ```
    """
    module, description = _opened(version_path(path))
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


def load_dequantizer(path: str | os.PathLike[str]) -> Dequantizer | None:
    """Loads the learned noise of a model of integer images, or None where its noise is uniform.

    With it `evaluate` gives the bound of the export's own signatures of integer images:

        log P(image) >= E[log p(image + u) - log q(u | image)],    u ~ q(. | image)

    Args:
      path: as in `load`.

    Raises:
      FileNotFoundError: if there is no export of this package.
      ExportError: if it is incomplete, or its description was changed; names the file.

    ```python
    distribution, noise = nvp.load("digits"), nvp.load_dequantizer("digits")
    images = data.load("digits").evaluation_batches("test", 100)
    nvp.evaluate(distribution, images, levels=17, dequantizer=noise).mean  # bits/dim
    ```
    """
    path = version_path(path)
    if describe(path)["dequantization"] == "uniform":
        return None
    module, description = _opened(path)
    shape, levels, dtype = (description[name] for name in ("event_shape", "levels", "dtype"))
    return saved_dequantizer(module, shape, levels, dtype)


def _opened(path: pathlib.Path) -> tuple[Any, dict[str, Any]]:
    description = describe(path)
    with paths.plain(path) as plain:
        return _module(path, plain, description), description


def _module(path: pathlib.Path, plain: str, description: dict[str, Any]) -> Any:
    """Loads `plain`, the same folder, with TensorFlow, and checks it against the description."""
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
    except Exception as error:  # A truncated graph may fail anywhere in TensorFlow.
        raise ExportError(f"expected a whole model, got a damaged {graph}: copy the export again") from error
    levels = int(module.levels) if hasattr(module, "levels") else None
    noise = "variational" if hasattr(module, "noise_inverse") else "uniform"
    for in_model in (
        {"event_shape": [*events.shape[1:]], "dtype": events.dtype.name},
        {"levels": levels, "dequantization": noise},
    ):
        given = {name: description[name] for name in in_model}
        if given != in_model:
            raise ExportError(
                f"expected {_in_words(in_model)}, as in the model, in {path / EXTRA / DESCRIPTION}, got "
                f"{' and '.join(map(str, given.values()))}: copy the export again"
            )
    return module


def _in_words(values: dict[str, Any]) -> str:
    return " and ".join(f"{name} {value}" for name, value in values.items())


def version_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """The path of a version: the path itself, or a model's highest version.

    Where neither is there, it may be the name of a released model.
    """
    path = paths.local(path)
    if (path / "saved_model.pb").exists():
        return path
    for folder in filter(None, (path, released().get(str(path)))):
        if found := named_versions(folder):
            return folder / found[max(found)]
    return path
