"""The description stored in an export."""

import json
import os
from typing import Any

from tfp_realnvp import paths
from tfp_realnvp.novelty import Calibration
from tfp_realnvp.serving.released import released

# In the folder that TensorFlow reserves for extra files.
EXTRA = "assets.extra"
DESCRIPTION = "tfp_realnvp.json"
CALIBRATION = "calibration.json"

_KINDS = {"event_shape": list, "levels": int | None, "dtype": str, "context_size": int | None, "classes": int | None}
_DEQUANTIZATIONS = ("uniform", "variational")


class ExportError(ValueError):
    """An incomplete or modified export."""


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The description of an export: event_shape, levels, settings and metadata.

    Raises:
      FileNotFoundError: if there is no export of this package at `path`.
      ExportError: if its description cannot be read.
    """
    path = paths.local(path)
    file = path / EXTRA / DESCRIPTION
    if not file.is_file():
        if (path / "saved_model.pb").is_file():
            raise ExportError(f"expected an export of tfp_realnvp in {path}, found no {file}: copy it again")
        hint = f"; the released models are {', '.join(released())}" if len(path.parts) == 1 else ""
        raise FileNotFoundError(
            f"expected an export of tfp_realnvp with {EXTRA}/{DESCRIPTION} in {path}, found none{hint}"
        )
    try:
        about = json.loads(file.read_bytes())
    except ValueError as error:
        raise ExportError(f"expected JSON in {file}, got {error}: copy the export again") from error
    about = about if isinstance(about, dict) else {}
    if "labels" in about:  # Earlier versions' name for the number of classes.
        about["classes"] = about.pop("labels")
    for name, kind in _KINDS.items():
        if name not in about or not isinstance(about[name], kind):
            given = repr(about[name]) if name in about else "none"
            raise ExportError(f"expected {name} in {file}, got {given}: copy the export again")
    noise = about.setdefault("dequantization", "uniform")  # The only one of earlier versions.
    if noise not in _DEQUANTIZATIONS:
        expected = " or ".join(_DEQUANTIZATIONS)
        raise ExportError(f"expected dequantization {expected} in {file}, got {noise!r}: copy the export again")
    shape = about["event_shape"]
    if not shape or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ExportError(f"expected an event_shape of positive integers in {file}, got {shape}: copy the export again")
    return about


def calibration_of(path: str | os.PathLike[str]) -> Calibration | None:
    """The calibration that an export was saved with, or None.

    Args:
      path: path of a version, as of `describe`.

    Raises:
      FileNotFoundError: if there is no export of this package at `path`.
      ExportError: if it cannot be read.
    """
    if "calibration" not in describe(path):
        return None
    file = paths.local(path) / EXTRA / CALIBRATION
    try:
        return Calibration.of_json(json.loads(file.read_bytes()))
    except OSError:
        raise ExportError(f"expected a calibration in {file}, found none: copy the export again") from None
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ExportError(f"expected a calibration in {file}, got {error}: copy the export again") from error
