"""What can be exported."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfp_realnvp import storage
from tfp_realnvp.flows import Dequantizer, FlowDistribution
from tfp_realnvp.novelty import Calibration
from tfp_realnvp.serving.saved_flow import SavedFlow
from tfp_realnvp.serving.settings import Settings
from tfp_realnvp.serving.structure import levels_of

WEIGHTS_DTYPES = ("float32", "bfloat16")


def check_model(distribution: FlowDistribution, dequantizer: Dequantizer | None, settings: Settings) -> None:
    """Refuses a flow or a dequantizer that cannot be exported with these settings."""
    shape, levels = distribution.event_shape, levels_of(distribution)
    if shape.rank not in (1, 3) or not shape.is_fully_defined():
        raise ValueError(f"expected images [height, width, channels] or vectors [size], got an event shape of {shape}")
    if dequantizer is not None:
        if shape.rank != 3 or levels is None or levels > 256:
            raise ValueError(
                f"expected a flow over images of at most 256 levels for a dequantizer, got one over shape {shape} with "
                f"levels={levels}"
            )
        dequantizer.check_flow(distribution, levels)
    if settings.max_pixels is not None and shape.rank != 3:
        raise ValueError(f"expected images for max_pixels, got vectors of shape {shape}")
    for name in ("context_size", "classes"):
        if (size := getattr(settings, name)) is not None and not distribution.takes_context:
            raise ValueError(f"expected a flow with a context for {name}={size}, got one that takes none")
    for part in (distribution, *([] if dequantizer is None else [dequantizer])):
        if isinstance(part.flow, SavedFlow):
            raise ValueError("expected a flow with its networks, got a flow loaded from an export")
        for variable in part.variables:
            if variable.dtype.is_floating and not np.all(np.isfinite(variable.numpy())):
                raise ValueError(f"expected finite weights, got {variable.name} with a number that is not finite")
            # Keras' default for a class with such a name; TensorFlow cannot save it.
            if variable.name.startswith("_"):
                raise ValueError(
                    f"expected a name that begins with a letter, got {variable.name}: name that Keras layer"
                )


def check_file(weights_dtype: str, has_networks: bool, calibration: Calibration | None) -> None:
    """Refuses a dtype of kernels that the flow or the calibration does not allow, and a calibration of other scores."""
    if weights_dtype not in WEIGHTS_DTYPES:
        raise ValueError(f"expected weights_dtype to be one of {', '.join(WEIGHTS_DTYPES)}, got {weights_dtype!r}")
    if weights_dtype != "float32" and not has_networks:
        raise ValueError(f"expected a flow with residual networks to have {weights_dtype} kernels, got none")
    if calibration is not None and "typicality" not in calibration.statistics:
        raise ValueError(f"expected a calibration with typicality, got {', '.join(calibration.statistics)}")
    if calibration is not None and weights_dtype != "float32":
        raise ValueError(f"expected float32 kernels with a calibration, got {weights_dtype}: log-densities differ")


def check_metadata(metadata: Mapping[str, Any], taken: Iterable[str]) -> None:
    """Refuses metadata that are not JSON, and names that the description has itself."""
    if both := [name for name in metadata if name in set(taken)]:
        raise ValueError(f"expected metadata of other names than those of the export, got {', '.join(both)}")
    try:
        storage.to_json(dict(metadata))
    except TypeError as error:
        raise TypeError(f"expected metadata of texts, numbers, lists and mappings: {error}") from error
