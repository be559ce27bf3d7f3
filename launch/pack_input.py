"""Refuses images that cannot come back from a file as they are."""

from __future__ import annotations

import pathlib

from PIL import Image

from launch import run
from tfp_realnvp.data.image_file import CONVERTED


def check(path: pathlib.Path, name: str) -> None:
    """Refuses an image whose pixels would not all come back as they are."""
    with Image.open(path) as image:
        if image.mode in CONVERTED:
            raise run.UsageError(f"{name}: expected grey or RGB pixels, got {image.mode}, which would come back as RGB")
        # The second picture of a camera's JPEG file is a preview.
        frames = getattr(image, "n_frames", 1) if image.format in ("GIF", "PNG", "TIFF", "WEBP") else 1
        if frames > 1:
            raise run.UsageError(f"{name}: expected an image of one frame or page, got {frames}")
