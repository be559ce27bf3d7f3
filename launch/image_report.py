"""The parts of a run's report that only images have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from launch import page, reconstruction_rows, run, source
from tfp_realnvp import evaluation, flows


def parts(model: source.ImageModel, pixels: np.ndarray, labels: np.ndarray) -> list[str]:
    """Samples, what lies between four test images, and ten test images from their coarser latents.

    The last two are of standard normal latents only.

    Args:
      model: a model of images.
      pixels: test images, uint8.
      labels: their classes.
    """
    if not model.distribution.has_default_base:
        return [_samples(model)]
    return [_samples(model), *_manifold(model), *_reconstruction(model, pixels[:10], labels[:10])]


def _samples(model: source.ImageModel) -> str:
    temperatures = (0.7, 1.0) if model.distribution.has_default_base else (1.0,)
    z = evaluation.draw_latents(model.distribution, 10, seed=(run.SEED.value, 0))
    labels = source.labels_in_turn(model, 10, None)
    scaled = np.concatenate([temperature * z for temperature in temperatures])
    rows = np.split(source.decode(model, scaled, np.tile(labels, len(temperatures))), len(temperatures))
    names = [f"T = {temperature:g}" for temperature in temperatures]
    caption = "The same draws from the base, multiplied by the temperature T and decoded."
    name = "Samples at two temperatures" if len(temperatures) > 1 else "Samples"
    return f"{page.heading('Samples')}\n{_picture(model, rows, names, name, caption)}"


def _manifold(model: source.ImageModel) -> list[str]:
    """The surface between four images of the test set, of one class where there are classes; nothing of fewer."""
    label = None if model.classes is None else 0
    pixels, labels = source.some_examples(model, "test", 4, label, at_most=True)
    if len(pixels) < 4:
        return []
    angles = np.arange(8) * np.pi / 4
    z = evaluation.manifold(source.encode(model, pixels, labels), angles, angles)
    decoded = source.decode(model, z.reshape(-1, *model.shape), source.labels_in_turn(model, 64, label))
    degrees = [f"{angle:.0f}°" for angle in np.degrees(angles)]
    rows = decoded.reshape(8, 8, *model.shape)
    caption = (
        "The surface that two angles span between the latents of four test images, decoded. The four are at angles of "
        "0° and 90°."
    )
    picture = _picture(model, rows, [f"phi {name}" for name in degrees], "Manifold", caption, degrees)
    return [f"{page.heading('Between four images')}\n{picture}"]


def _reconstruction(model: source.ImageModel, pixels: np.ndarray, labels: np.ndarray) -> list[str]:
    """Images from their coarser latents, of a flow of several scales."""
    orders = flows.split_orders(model.distribution.flow)
    if not orders:
        return []
    rows, names = reconstruction_rows.draw(model, orders, pixels, labels)
    caption = "Test images, decoded from all their latents and from the coarser ones, with noise for the others."
    return [f"{page.heading('From the coarser latents')}\n{_picture(model, rows, names, 'Reconstruction', caption)}"]


def _picture(
    model: source.ImageModel,
    rows: Sequence[np.ndarray] | np.ndarray,
    names: Sequence[str],
    name: str,
    caption: str,
    columns: Sequence[str] | None = None,
) -> str:
    picture = evaluation.labelled_grid(rows, names, columns, model.levels)
    return page.picture(tf.io.encode_png(picture).numpy(), name, caption)
