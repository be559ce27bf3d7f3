"""One image file: its pixels as 8-bit grey or RGB, upright, without transparency."""

import dataclasses
import io

import numpy as np
from PIL import Image, ImageColor, ImageOps, TiffImagePlugin, UnidentifiedImageError

from tfp_realnvp.data.image_errors import BadImageError, UnusableFileError

FORMATS = ("PNG", "JPEG", "WebP", "BMP", "GIF", "TIFF")

# More than cameras have, some hundred megabytes decoded. The header of a small file may claim any number.
_MOST_PIXELS = 2**26
# Pillow's modes for grey and colour images, some with transparency.
CONVERTED = ("CMYK", "YCbCr")  # Each becomes RGB, by which it cannot be told again.
_GREY, _PALETTES, _COLOUR = ("1", "L", "LA"), ("P", "PA"), ("RGB", "RGBA", "RGBX", *CONVERTED)
_BITS_PER_SAMPLE = 258  # The number of the tag in TIFF 6.0.


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Decodes image files.

    Attributes:
      size: side in pixels of square images: the shorter side is resized, then the centre is cropped. None does not
        resize.
      flatten_alpha: background of transparent images, a colour as in `PIL.ImageColor`; None refuses such images.
    """

    size: int | None = None
    flatten_alpha: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"expected an image_size of 1 pixel or more, got {self.size}")
        if self.flatten_alpha is not None:
            try:
                ImageColor.getrgb(self.flatten_alpha)
            except ValueError:
                raise ValueError(
                    f"expected flatten_alpha to be a colour such as white or #808080, got {self.flatten_alpha!r}"
                ) from None

    def decode(self, content: bytes, path: str) -> np.ndarray:
        """The pixels of a file.

        Only the first frame or page is decoded. Palettes are resolved, and the image is rotated as its EXIF orientation
        says. Images that are stored in grey, or with a palette of greys, have one channel, all others three.

        The triangle kernel of the resize antialiases like that of TFDS sets. It does not leave the range of its inputs.
        A kernel with negative lobes has to be clipped, which would add pixels at 0 and 255.

        Args:
          content: the bytes of the file.
          path: path of the file, for messages.

        Returns:
          uint8 `[height, width, channels]`.

        Raises:
          UnusableFileError: if the file is not an undamaged image of one of `FORMATS`, is smaller than `size`, or too
            large.
          BadImageError: if it has more than 8 bits per channel, colours other than grey and RGB, or transparent pixels
            without `flatten_alpha`.
        """
        image = _opened(content)
        if (bits := _bits(image, content)) > 8:
            raise BadImageError(f"{path}: expected at most 8 bits per channel, got {bits}")
        if image.mode not in _GREY + _PALETTES + _COLOUR:
            raise BadImageError(f"{path}: expected grey or RGB pixels, got {image.mode}")
        if self.size is not None and min(image.size) < self.size:
            raise UnusableFileError(f"smaller than {self.size}x{self.size}")
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except Exception:  # Pillow raises errors of many types for damaged files.
            raise UnusableFileError("damaged") from None
        pixels = self._without_alpha(image, path)
        if image.mode not in _COLOUR and _is_grey(pixels):
            pixels = pixels.convert("L")
        if self.size is not None:
            pixels = ImageOps.fit(pixels, (self.size, self.size), Image.Resampling.BILINEAR)
        return np.atleast_3d(np.asarray(pixels))

    def _without_alpha(self, image: Image.Image, path: str) -> Image.Image:
        """The image in RGB, over the background if it is transparent."""
        if not image.has_transparency_data:
            return image.convert("RGB")
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            if self.flatten_alpha is None:
                raise BadImageError(
                    f"{path}: expected opaque pixels, got transparent ones; flatten_alpha=white puts them on white"
                )
            image = Image.alpha_composite(Image.new("RGBA", image.size, self.flatten_alpha), image)
        return image.convert("RGB")


def _opened(content: bytes) -> Image.Image:
    """The image of a file, of which only the header has been read."""
    too_large = f"more than {_MOST_PIXELS:,} pixels"
    try:
        image = Image.open(io.BytesIO(content), formats=[name.upper() for name in FORMATS])
    except UnidentifiedImageError:
        raise UnusableFileError("not an image" if content else "empty") from None
    except Image.DecompressionBombError:
        raise UnusableFileError(too_large) from None
    except Exception:
        raise UnusableFileError("damaged") from None
    if image.width * image.height > _MOST_PIXELS:
        raise UnusableFileError(too_large)
    return image


def _bits(image: Image.Image, content: bytes) -> int:
    """Bits per channel in the file; Pillow silently reduces 16 bits of colour images to 8."""
    if image.format == "PNG":
        return content[24]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    return 8


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()
