"""The model by which images are packed and unpacked."""

from __future__ import annotations

from launch import run, source
from tfp_realnvp import lossless


def opened() -> lossless.Model:
    """The model that `--saved_model` names."""
    if source.SAVED_MODEL.value is None:
        raise run.UsageError("expected --saved_model, the model that codes the images, got none")
    try:
        return lossless.Model(source.SAVED_MODEL.value)
    except (FileNotFoundError, ValueError) as error:
        raise run.UsageError(str(error)) from error
