"""A folder of PNG files as an image set: what is read, how it is split, and what is said of a bad file."""

import os
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized
from PIL import Image

from tfp_realnvp import data
from tfp_realnvp.data import image_folder, image_source
from tfp_realnvp.data.sets import SPLITS


def _numbered(count: int, shape: tuple[int, ...] = (4, 6, 3)) -> list[np.ndarray]:
    """Images of noise whose first pixel says which one they are."""
    images = np.random.default_rng(0).integers(256, size=[count, *shape], dtype=np.uint8)
    images[:, 0, 0] = np.arange(count).reshape([-1] + [1] * (len(shape) - 2))
    return list(images)


def _write(images: list[np.ndarray], folder: str = "pngs") -> None:
    pathlib.Path(folder).mkdir(exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(f"{folder}/{number:03}.png")


def _numbers(images: data.Events, split: str) -> list[int]:
    return [int(image[0, 0, 0]) for image in images.examples(split).as_numpy_iterator()]


class _Test(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, pathlib.Path.cwd())
        os.chdir(self.enter_context(tempfile.TemporaryDirectory()))


class FolderTest(_Test):
    @parameterized.named_parameters(("rgb", (4, 6, 3)), ("grey", (2, 4)))
    def test_pixels(self, shape):
        written = _numbered(20, shape)
        _write(written)
        images = data.load("folder:pngs")
        expected_shape = (*shape, 1)[:3]
        self.assertEqual(repr(images), f"Events(name='folder:pngs', shape={expected_shape}, levels=256)")
        for split in SPLITS:
            for image in images.examples(split).as_numpy_iterator():
                np.testing.assert_array_equal(image, written[image[0, 0, 0]].reshape(expected_shape))

    @parameterized.parameters((20, (16, 2, 2)), (29, (25, 2, 2)), (100, (80, 10, 10)))
    def test_splits(self, count, sizes):
        _write(_numbered(count))
        images, again = data.load("folder:pngs"), data.load(f"folder:{pathlib.Path.cwd()}/pngs/")
        numbers = [_numbers(images, split) for split in SPLITS]
        self.assertEqual(tuple(map(len, numbers)), sizes)
        self.assertEqual(tuple(map(images.num_examples, SPLITS)), sizes)
        self.assertEqual(sorted(sum(numbers, [])), list(range(count)))
        self.assertNotEqual(sum(numbers, []), list(range(count)))
        self.assertEqual(numbers, [_numbers(again, split) for split in SPLITS])

    def test_copies_are_in_one_split(self):
        _write([image for image in _numbered(30) for _ in range(3)])
        images = data.load("folder:pngs")
        numbers = [set(_numbers(images, split)) for split in SPLITS]
        self.assertLen(set.union(*numbers), sum(map(len, numbers)))
        self.assertEqual(min(map(len, numbers)), 3)

    @parameterized.parameters((20, 30), (29, 43), (100, 101), (100, 150))
    def test_added_files_take_none_from_training_to_test(self, before, after):
        everything = _numbered(after)
        _write(everything[:before])
        first = data.load("folder:pngs")
        train = _numbers(first, "train")
        _write(everything)
        second = data.load("folder:pngs")
        self.assertEmpty(set(train) & set(_numbers(second, "test")))
        self.assertStartsWith(first.files, f"{before} of digest ")
        self.assertNotEqual(first.files.split()[-1], second.files.split()[-1])

    def test_a_name_decides_nothing(self):
        _write(_numbered(20))
        before = data.load("folder:pngs")
        numbers = [_numbers(before, split) for split in SPLITS]
        for path in list(pathlib.Path("pngs").iterdir()):
            path.rename(path.with_name(f"{hash(path.name)}.png"))
        os.rename(b"pngs/" + os.listdir(b"pngs")[0], b"pngs/\xff.png")  # No text.
        after = data.load("folder:pngs")
        self.assertEqual(before.files, after.files)
        self.assertEqual([_numbers(after, split) for split in SPLITS], numbers)

    def test_hidden_files_are_left_out(self):
        _write(_numbered(20))
        pathlib.Path("pngs/._000.png").write_bytes(b"of another system")
        self.assertEqual(sum(map(data.load("folder:pngs").num_examples, SPLITS)), 20)

    def test_palette_and_other_files(self):
        _write(_numbered(19))
        colours = Image.fromarray(_numbered(1)[0]).convert("P", palette=Image.Palette.ADAPTIVE)
        colours.save("pngs/palette.PNG")
        pathlib.Path("pngs/notes.txt").write_text("no image")
        _write(_numbered(3, (8, 8)), "pngs/below")
        for name in ("a.jpg", "b.JPG", "notes"):
            pathlib.Path("pngs", name).write_bytes(b"")
        for name, target in (("gone.png", "nowhere"), ("loop.png", "loop.png"), ("self.png", ".")):
            os.symlink(target, f"pngs/{name}")
        pathlib.Path("pngs/copy.png").write_bytes(pathlib.Path("pngs/000.png").read_bytes())
        images = data.load("folder:pngs")
        self.assertEqual(images.shape, (4, 6, 3))
        sizes = ", ".join(f"{images.num_examples(split)} {split}" for split in SPLITS)
        self.assertEqual(
            images.describe(),
            f"folder:pngs: 21 images ({sizes}), 4x6x3 of 256 levels; left out: .jpg (2), folders (2), broken links (2),"
            " without a suffix (1), .txt (1); copies of other files: 1",
        )

    @parameterized.named_parameters(("in_memory", True), ("from_files", False))
    def test_training_batches(self, in_memory):
        if not in_memory:
            self.enter_context(mock.patch.object(image_source, "_IN_MEMORY_BYTES", 0))
            self.enter_context(mock.patch.object(image_folder.FolderRecords, "shuffle_block", 13))
        _write(_numbered(50))
        images = data.load("folder:pngs")

        def order(epoch, skip=0):
            batches = images.training_batches(8, seed=0, epoch=epoch, skip=skip).as_numpy_iterator()
            return [batch[:, 0, 0, 0].tolist() for batch in batches]

        self.assertEqual(sorted(sum(order(0), [])), sorted(_numbers(images, "train")))
        self.assertEqual(order(1, skip=2), order(1)[2:])
        self.assertNotEqual(order(0), order(1))

    def test_image_size(self):
        _write(_numbered(20, (8, 12, 3)))
        Image.fromarray(_numbered(1, (9, 5, 3))[0]).save("pngs/007.png")  # Odd, and another than the others.
        images = data.load("folder:pngs", image_size=4)
        self.assertEqual(images.shape, (4, 4, 3))
        Image.fromarray(_numbered(1, (9, 5))[0]).save("pngs/008.png")
        with self.assertRaisesRegex(data.BadImageError, "008.png: expected .* of 3 channels, .*, got .* of 1 channel"):
            data.load("folder:pngs", image_size=4)
        self.assertEqual(next(images.examples("train").as_numpy_iterator()).shape, (4, 4, 3))

    def test_home_is_understood(self):
        _write(_numbered(20))
        with mock.patch.dict(os.environ, HOME=str(pathlib.Path.cwd())):
            self.assertEqual(data.load("folder:~/pngs").shape, (4, 6, 3))


class ErrorsTest(_Test):
    def _message(self, error, name="folder:pngs", **kwargs):
        """What is said: one line."""
        with self.assertRaises(error) as caught:
            data.load(name, **kwargs)
        self.assertIsNone(caught.exception.__cause__)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    @parameterized.named_parameters(
        ("too_high", (6, 6, 3), "6x6 pixels of 3 channels"),
        ("too_wide", (4, 8, 3), "4x8 pixels of 3 channels"),
        ("grey", (4, 6), "4x6 pixels of 1 channel"),
    )
    def test_another_size(self, shape, got):
        _write(_numbered(21))
        Image.fromarray(_numbered(1, shape)[0]).save("pngs/007.png")
        self.assertEqual(
            self._message(data.BadImageError),
            f"pngs/007.png: expected 4x6 pixels of 3 channels, as in 000.png, got {got}",
        )

    @parameterized.parameters(((5, 6, 3), "5x6 pixels of 3 channels"), ((4, 7), "4x7 pixels of 1 channel"))
    def test_an_odd_size(self, shape, got):
        _write(_numbered(20, shape))
        self.assertEqual(
            self._message(data.BadImageError), f"pngs/000.png: expected an even height and width, got {got}"
        )

    def test_a_file_that_is_cut_short(self):
        _write(_numbered(20, (32, 32, 3)))
        path = pathlib.Path("pngs/003.png")
        path.write_bytes(path.read_bytes()[:-1000])
        self.assertEqual(
            self._message(data.BadImageError),
            "pngs/003.png: expected a whole PNG file, got one that cannot be decoded",
        )

    def test_more_pixels_than_a_file_may_claim(self):
        _write(_numbered(20, (16, 16)))
        path = pathlib.Path("pngs/003.png")
        content = path.read_bytes()
        for height, width in ((16000, 16000), (2**31 - 1, 2**31 - 1), (2, 2**30)):
            path.write_bytes(content[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:])
            self.assertEqual(
                self._message(data.BadImageError),
                f"pngs/003.png: expected at most 67,108,864 pixels, got {height}x{width}; resize the image first",
            )
        path.write_bytes(content[:20])
        self.assertIn("expected a whole PNG file", self._message(data.BadImageError))

    @parameterized.parameters((b"", "an empty file"), (b"no image", "something else"))
    def test_no_image(self, content, got):
        _write(_numbered(20))
        pathlib.Path("pngs/003.png").write_bytes(content)
        self.assertEqual(self._message(data.BadImageError), f"pngs/003.png: expected a PNG file, got {got}")

    def test_another_kind_of_image(self):
        _write(_numbered(20))
        Image.fromarray(_numbered(1)[0]).save("pngs/003.png", format="jpeg")
        self.assertEqual(self._message(data.BadImageError), "pngs/003.png: expected a PNG file, got something else")

    def test_a_file_that_may_not_be_read(self):
        _write(_numbered(20))
        with mock.patch.object(pathlib.Path, "read_bytes", side_effect=PermissionError(13, "Permission denied")):
            self.assertEqual(
                self._message(data.BadImageError),
                "pngs/000.png: expected a file that can be read, got: Permission denied",
            )

    @parameterized.parameters((4, "RGB with alpha"), (2, "grey with alpha"))
    def test_alpha(self, channels, got):
        _write(_numbered(20, (4, 6, channels)))
        self.assertEqual(
            self._message(data.BadImageError),
            f"pngs/000.png: expected grey or RGB pixels, got {got}; flatten the image first",
        )

    def test_sixteen_bits(self):
        _write(_numbered(20))
        Image.fromarray(np.full([4, 6], 1000, np.uint16)).save("pngs/000.png")
        self.assertEqual(self._message(data.BadImageError), "pngs/000.png: expected at most 8 bits per channel, got 16")

    @parameterized.parameters(0, 19)
    def test_too_few(self, count):
        _write(_numbered(count))
        self.assertEqual(self._message(data.BadImageError), f"pngs: expected 20 or more PNG files, got {count}")

    def test_folders_below(self):
        for folder in ("pngs", "pngs/test", "pngs/train", "pngs/.hidden"):
            _write(_numbered(1), folder)
        self.assertEqual(
            self._message(data.BadImageError),
            "pngs: expected 20 or more PNG files, got 1; left out: folders (2), hidden (1)",
        )

    def test_a_folder_that_may_not_be_listed(self):
        _write([])
        with mock.patch.object(pathlib.Path, "iterdir", side_effect=PermissionError(13, "Permission denied")):
            self.assertEqual(
                self._message(data.BadImageError), "pngs: expected a folder that can be listed, got: Permission denied"
            )

    def test_nothing_but_copies(self):
        _write(_numbered(1) * 20)
        self.assertEqual(self._message(data.BadImageError), "pngs: expected different images, got 1 in 20 files")

    def test_no_folder(self):
        self.assertEqual(self._message(data.DataNotFoundError), "there is no folder pngs")
        pathlib.Path("pngs").write_text("")
        self.assertEqual(self._message(data.DataNotFoundError), "expected a folder of PNG files, got the file pngs")

    def test_no_labels(self):
        _write(_numbered(20))
        self.assertEqual(
            self._message(ValueError, labels=True),
            "folder:pngs: expected an image set with labels, got a folder of images, which has no labels",
        )

    def test_a_folder_by_its_mere_name(self):
        _write(_numbered(20))
        self.assertStartsWith(
            self._message(ValueError, "pngs"), "unknown image set 'pngs' (did you mean folder:pngs?): expected one of"
        )

    def test_an_unknown_split(self):
        _write(_numbered(20))
        with self.assertRaisesRegex(ValueError, "unknown split 'tests' of folder:pngs"):
            data.load("folder:pngs").num_examples("tests")


if __name__ == "__main__":
    absltest.main()
