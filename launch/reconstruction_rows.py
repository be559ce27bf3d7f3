"""Rows of a picture of images without their finer latents, shared by two programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from launch import run, source
from tfp_realnvp import evaluation, flows


def draw(
    model: source.Source,
    orders: Sequence[str],
    pixels: np.ndarray,
    labels: np.ndarray,
    *,
    fill: str = "noise",
    progress: Callable[[int], None] | None = None,
) -> tuple[list[np.ndarray], list[str]]:
    """Images and their reconstructions from coarser latents: one named row per scale.

    Args:
      model: the model.
      orders: `flows.split_orders` of its flow.
      pixels: uint8 images.
      labels: their classes.
      fill: `fill` of `evaluation.keep_coarse`.
      progress: called with the number of decoded images.
    """
    scales, z = flows.scale_of_latents(model.shape, orders), source.encode(model, pixels, labels)
    ks = range(len(orders) + 1)
    kept = [evaluation.keep_coarse(z, scales, k, fill=fill, seed=run.SEED.value) for k in ks]
    decoded = source.decode(model, np.concatenate(kept), np.tile(labels, len(kept)), progress=progress)
    names = ["images", *(f"{100 * np.mean(scales >= k):.3g}% kept" for k in ks)]
    return [pixels, *np.split(decoded, len(kept))], names
