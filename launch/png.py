"""Images as the bytes of PNG files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 `[height, width, channels]`: grey, grey and alpha, RGB, or RGB and alpha."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
