"""Input complexity: the bits of a flow beside those of an image codec."""

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np

# Options of Pillow for a lossless file: its format, and how to save it.
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {"optimize": True}),
    "webp": ("WEBP", {"lossless": True, "quality": 100, "method": 4}),
    "jpeg2000": ("JPEG2000", {"irreversible": False}),
    "jxl": ("JXL", {"lossless": True, "effort": 7}),
}
CODECS = tuple(_OPTIONS)


def codec_bits_per_dim(images: np.ndarray, codec: str = "png") -> np.ndarray:
    """Bits/dim of a lossless file of each image, L(x) = 8 bytes(x) / D.

    Args:
      images: uint8 `[n, height, width, channels]` of 1 or 3 channels.
      codec: "png", "webp", "jpeg2000", or "jxl", which needs the package pillow-jxl-plugin.

    Returns:
      float64 `[n]`. Files have a header of a constant size, for example some 60 bytes of PNG.

    Raises:
      TypeError: if images are not uint8.
      ValueError: for another shape, or a codec that is unknown or that this Pillow lacks.

    ```python
    smooth, noise = np.zeros([8, 8, 1], np.uint8), np.random.default_rng(0).integers(0, 256, [8, 8, 1])
    nvp.novelty.codec_bits_per_dim(np.stack([smooth, noise]).astype(np.uint8))  # [2]
    ```
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise TypeError(f"expected uint8 images, got {images.dtype}")
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"expected images [n, height, width, 1 or 3], got {list(images.shape)}")
    encode = _encoder(codec)
    sizes = [len(encode(image if image.shape[-1] == 3 else image[..., 0])) for image in images]
    return 8 * np.array(sizes, np.float64) / math.prod(images.shape[1:])


def input_complexity(images: np.ndarray, log_prob: np.ndarray, *, codec: str = "png") -> np.ndarray:
    """The score of Serra et al., bits/dim of the flow minus bits/dim of a lossless codec; greater is more novel.

        S(x) = -log p(x) / (D log 2) - L(x)

    Flows give simple images a high density, whether they are like the training images or not. L estimates what an image
    costs for being complex, and is subtracted: S is the log-likelihood ratio between a universal model, the codec, and
    the flow.

    It fails for images of another kind that the flow codes as well as the regular ones, beside the codec: photographs
    of another source, or inverted ones, by a flow of photographs, which has learned what all photographs share. Files
    of small images are mostly header, and L then depends on the codec more than on the image: compare several.

    Args:
      images: uint8 `[n, height, width, channels]` of 1 or 3 channels.
      log_prob: their log-densities in nats, `[n]`; usually bounds with one noise sample. The density given the context
        for a conditional flow.
      codec: see `codec_bits_per_dim`.

    Returns:
      float64 `[n]`, bits/dim.

    Raises:
      TypeError: if images are not uint8, as vectors and rows of tables: there is no codec for them.
      ValueError: for other shapes, or a codec that is unknown or that this Pillow lacks.

    ```python
    flow, images = nvp.load("digits"), np.stack([*data.load("digits").examples("test").take(5)])
    log_prob = flow.log_prob(nvp.dequantize(images, seed=(0, 0), levels=17))
    nvp.novelty.input_complexity(images, log_prob)  # [5]
    ```

    Serra, Alvarez, Gomez, Slizovskaia, Nunez, Luque. Input complexity and out-of-distribution detection with
    likelihood-based generative models. ICLR 2020. arXiv 1909.11480.
    """
    of_codec, log_prob = codec_bits_per_dim(images, codec), np.asarray(log_prob, np.float64)
    if log_prob.shape != (len(images),):
        raise ValueError(f"expected a log_prob for each of {len(images)} images, got {list(log_prob.shape)}")
    return -log_prob / (math.prod(np.shape(images)[1:]) * math.log(2)) - of_codec


def _encoder(codec: str) -> Callable[[np.ndarray], bytes]:
    if codec not in _OPTIONS:
        raise ValueError(f"expected a codec of {', '.join(CODECS)}, got {codec!r}")
    from PIL import Image, features  # Only when needed: importing the package loads no more than TensorFlow's own.

    name, options = _OPTIONS[codec]
    if codec == "jxl":
        try:
            import pillow_jxl  # noqa: F401  Registers the format.
        except ModuleNotFoundError:
            raise ValueError("expected pillow-jxl-plugin for the codec jxl, found none: pip install it") from None
    elif codec in ("webp", "jpeg2000") and not features.check({"webp": "webp", "jpeg2000": "jpg_2000"}[codec]):
        raise ValueError(f"expected a Pillow with the codec {codec}, got one without")

    def encode(pixels: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, name, **options)
        return file.getvalue()

    return encode
