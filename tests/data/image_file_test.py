"""One image file of any kind: its pixels, and what is refused."""

import io
import zlib

import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from tfp_realnvp.data.image_file import BadImageError, Decoder, UnusableFileError


def _blocks(*shape: int) -> np.ndarray:
    """Blocks of 8x8 pixels of one colour, which JPEG keeps."""
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8).repeat(8, 0).repeat(8, 1)


_COLOUR, _GREY = _blocks(2, 3, 3), _blocks(2, 3)


def _file(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def _decoded(content: bytes, **options) -> np.ndarray:
    return Decoder(**options).decode(content, "a.file")


class PixelsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("png", {}), ("bmp", {}), ("tiff", {}), ("tiff", {"compression": "tiff_lzw"}), ("webp", {"lossless": True})
    )
    def test_lossless_formats(self, kind, options):
        np.testing.assert_array_equal(_decoded(_file(_COLOUR, kind, **options)), _COLOUR)

    @parameterized.parameters("jpeg", "webp")
    def test_lossy_formats(self, kind):
        pixels = _decoded(_file(_COLOUR, kind, quality=100)).astype(int)
        self.assertLess(np.mean(np.abs(pixels - _COLOUR)), 8)

    @parameterized.parameters("png", "bmp", "tiff", "gif")
    def test_grey_has_one_channel(self, kind):
        np.testing.assert_array_equal(_decoded(_file(_GREY, kind)), _GREY[..., np.newaxis])

    @parameterized.parameters("png", "gif", "tiff", "bmp")
    def test_palettes(self, kind):
        image = Image.fromarray(_COLOUR).convert("P", palette=Image.Palette.ADAPTIVE)
        np.testing.assert_array_equal(_decoded(_file(image, kind)), np.asarray(image.convert("RGB")))

    def test_a_palette_of_greys_is_grey(self):
        image = Image.fromarray(_GREY // 64)
        image.putpalette([level for i in range(4) for level in [60 * i] * 3])
        np.testing.assert_array_equal(_decoded(_file(image, "png")), 60 * (_GREY // 64)[..., np.newaxis])

    def test_colours_that_happen_to_be_grey_are_colours(self):
        self.assertEqual(_decoded(_file(np.stack([_GREY] * 3, -1), "png")).shape, (16, 24, 3))

    def test_black_and_white(self):
        pixels = _decoded(_file(Image.fromarray(_GREY > 99), "png"))
        np.testing.assert_array_equal(pixels[..., 0], 255 * (_GREY > 99))

    def test_cmyk(self):
        image = Image.fromarray(_COLOUR).convert("CMYK")
        np.testing.assert_array_equal(_decoded(_file(image, "tiff")), _COLOUR)

    def test_the_first_frame(self):
        other = Image.fromarray(255 - _GREY)
        content = _file(_GREY, "gif", save_all=True, append_images=[other])
        np.testing.assert_array_equal(_decoded(content), _GREY[..., np.newaxis])

    @parameterized.parameters((1, 0), (3, 2), (6, -1), (8, 1))
    def test_exif_orientation(self, orientation, quarters):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = _decoded(_file(_COLOUR, "png", exif=exif))
        np.testing.assert_array_equal(pixels, np.rot90(_COLOUR, quarters))

    def test_a_size(self):
        stripes = np.zeros([32, 80, 3], np.uint8)
        stripes[:, 1::2] = 200  # Antialiased to 100, of which every other pixel would be 0 or 200.
        pixels = _decoded(_file(stripes, "png"), size=8)
        self.assertEqual(pixels.shape, (8, 8, 3))
        np.testing.assert_allclose(pixels.astype(int), 100, atol=7)


class AlphaTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.alpha = np.full([16, 24], 255, np.uint8)
        self.alpha[:8] = 0
        self.alpha[8:, :8] = 51  # A fifth.

    def test_it_is_put_on_a_colour(self):
        content = _file(np.dstack([_COLOUR, self.alpha]), "png")
        weight = self.alpha[..., np.newaxis] / 255
        pixels = _decoded(content, flatten_alpha="#ff8000")
        np.testing.assert_allclose(pixels, _COLOUR * weight + np.array([255, 128, 0]) * (1 - weight), atol=1)
        with self.assertRaises(BadImageError) as caught:
            _decoded(content)
        self.assertEqual(
            str(caught.exception),
            "a.file: expected opaque pixels, got transparent ones; flatten_alpha=white puts them on white",
        )

    @parameterized.parameters(("white", 1), ("red", 3))
    def test_grey_on_a_colour(self, colour, channels):
        pixels = _decoded(_file(np.dstack([_GREY, self.alpha]), "png"), flatten_alpha=colour)
        self.assertEqual(pixels.shape[-1], channels)
        self.assertTrue(np.all(pixels[:8] == ([255] if channels == 1 else [255, 0, 0])))
        np.testing.assert_array_equal(pixels[8:, 8:], np.repeat(_GREY[8:, 8:, np.newaxis], channels, -1))

    @parameterized.parameters("png", "gif")
    def test_a_transparent_colour_of_a_palette(self, kind):
        image = Image.fromarray(np.where(_GREY > 99, np.uint8(1), np.uint8(0)))
        image.putpalette([0, 0, 0, 200, 10, 10])
        content = _file(image, kind, transparency=0)
        with self.assertRaisesRegex(BadImageError, "expected opaque pixels"):
            _decoded(content)
        pixels = _decoded(content, flatten_alpha="white")
        np.testing.assert_array_equal(pixels[_GREY > 99], [[200, 10, 10]] * np.sum(_GREY > 99))
        self.assertTrue(np.all(pixels[_GREY <= 99] == 255))

    @parameterized.parameters("png", "webp", "tiff")
    def test_opaque_everywhere(self, kind):
        content = _file(np.dstack([_COLOUR, np.full_like(self.alpha, 255)]), kind, lossless=True)
        np.testing.assert_array_equal(_decoded(content), _COLOUR)


class RefusedTest(parameterized.TestCase):
    def _unusable(self, content, reason, **options):
        with self.assertRaises(UnusableFileError) as caught:
            _decoded(content, **options)
        self.assertEqual(str(caught.exception), reason)

    def test_files_that_are_no_images(self):
        self._unusable(b"", "empty")
        self._unusable(b"no image", "not an image")
        self._unusable(_file(_COLOUR, "ppm"), "not an image")
        self._unusable(_file(_COLOUR, "png")[:20], "damaged")

    @parameterized.parameters("png", "jpeg", "bmp", "gif", "tiff", "webp")
    def test_files_that_are_cut_short(self, kind):
        content = _file(np.random.default_rng(0).integers(256, size=[32, 32, 3], dtype=np.uint8), kind)
        with self.assertRaisesRegex(UnusableFileError, "damaged|not an image"):
            _decoded(content[:-700])

    def test_a_changed_byte(self):
        content = bytearray(_file(np.random.default_rng(0).integers(256, size=[32, 32, 3], dtype=np.uint8), "png"))
        content[1000] ^= 1
        self._unusable(bytes(content), "damaged")

    @parameterized.parameters((16000, 16000), (9000, 9000), (2, 2**30), (2**31 - 1, 2**31 - 1))
    def test_more_pixels_than_a_file_may_claim(self, height, width):
        content = _file(_COLOUR, "png")
        content = content[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:]
        with self.assertRaisesRegex(UnusableFileError, "more than 67,108,864 pixels|not an image"):
            _decoded(content)

    def test_too_small(self):
        self._unusable(_file(_COLOUR, "png"), "smaller than 17x17", size=17)
        self.assertEqual(_decoded(_file(_COLOUR, "png"), size=16).shape, (16, 16, 3))

    @parameterized.parameters(("png", 16), ("tiff", 16))
    def test_sixteen_bits(self, kind, bits):
        with self.assertRaises(BadImageError) as caught:
            _decoded(_file(np.full([4, 6], 1000, np.uint16), kind))
        self.assertEqual(str(caught.exception), f"a.file: expected at most 8 bits per channel, got {bits}")

    def test_sixteen_bits_of_colour(self):
        content = bytearray(_file(_COLOUR, "png"))
        content[24] = 16  # Which Pillow would cut down without a word; no pixel is read.
        with self.assertRaisesRegex(BadImageError, "at most 8 bits per channel, got 16"):
            _decoded(_with_header_checksum(content))

    def test_real_numbers(self):
        with self.assertRaisesRegex(BadImageError, "at most 8 bits per channel, got 32"):
            _decoded(_file(np.zeros([4, 6], np.float32), "tiff"))

    def test_other_colours(self):
        with self.assertRaisesRegex(BadImageError, "a.file: expected grey or RGB pixels, got LAB"):
            _decoded(_file(Image.new("LAB", (4, 6)), "tiff"))


def _with_header_checksum(content: bytearray) -> bytes:
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


if __name__ == "__main__":
    absltest.main()
