"""A folder of image files as an image set: what is read, how it is split, what is left out and what is refused."""

import os
import pathlib
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized
from PIL import Image

from tfp_realnvp import data
from tfp_realnvp.data import image_folder, image_source, sets
from tfp_realnvp.data.sets import SPLITS


def _numbered(count: int, shape: tuple[int, ...] = (4, 6, 3)) -> list[np.ndarray]:
    """Images of noise whose first pixel says which one they are."""
    images = np.random.default_rng(0).integers(256, size=[count, *shape], dtype=np.uint8)
    images[:, 0, 0] = np.arange(count).reshape([-1] + [1] * (len(shape) - 2))
    return list(images)


def _write(images: list[np.ndarray], folder: str = "pngs") -> None:
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
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

    def test_what_is_left_out_is_counted_and_named(self):
        _write(_numbered(20))
        for number in range(4):
            pathlib.Path(f"pngs/{number}.txt").write_text("no image")
        _write(_numbered(2, (8, 8)), "pngs/.hidden")
        damaged = pathlib.Path("pngs/000.png").read_bytes()[:-40]
        for name, content in (("a.jpg", b""), ("b.JPG", damaged), ("c.png", b"no image"), ("d", b"")):
            pathlib.Path("pngs", name).write_bytes(content)
        for name, target in (("gone.png", "nowhere"), ("loop.png", "loop.png"), ("self.png", ".")):
            os.symlink(target, f"pngs/{name}")
        pathlib.Path("pngs/copy.png").write_bytes(pathlib.Path("pngs/000.png").read_bytes())
        Image.fromarray(_numbered(1, (4, 6))[0]).save("pngs/grey.gif")
        images = data.load("folder:pngs")
        self.assertEqual(images.shape, (4, 6, 3))
        sizes = ", ".join(f"{images.num_examples(split)} {split}" for split in SPLITS)
        self.assertEqual(
            images.describe(),
            f"folder:pngs: 22 images ({sizes}), 4x6x3 of 256 levels; left out: .txt (4: 0.txt, 1.txt, 2.txt, ...),"
            " broken links (2: gone.png, loop.png), damaged (1: b.JPG), empty (1: a.jpg), hidden (1: .hidden), links"
            " to a folder above (1: self.png), not an image (1: c.png), without a suffix (1: d); grey images made RGB:"
            " 1; copies of other files: 1",
        )

    def test_folders_in_folders_and_links_in_circles(self):
        _write(_numbered(10), "pngs/a/deep")
        _write(_numbered(20)[10:], "pngs/b")
        os.symlink("../b", "pngs/a/b")  # Seen twice: as copies.
        os.symlink("../a", "pngs/b/a")
        images = data.load("folder:pngs")
        self.assertEqual(sum(map(images.num_examples, SPLITS)), 40)
        self.assertIn("links to a folder above (2: a/b/a, b/a/b); copies of other files: 20", images.describe())

    def test_grey_among_coloured_images(self):
        _write(_numbered(20))
        grey = _numbered(1, (4, 6))[0]
        Image.fromarray(grey).save("pngs/007.png")
        for in_memory in (True, False):
            with mock.patch.object(image_folder, "_KEPT_BYTES", 2**30 * in_memory):
                images = data.load("folder:pngs")
            found = [image for split in SPLITS for image in images.examples(split).as_numpy_iterator()]
            self.assertTrue(any(np.array_equal(image, np.stack([grey] * 3, -1)) for image in found))

    @parameterized.named_parameters(("in_memory", True), ("from_files", False))
    def test_image_size(self, in_memory):
        self.enter_context(mock.patch.object(image_folder, "_KEPT_BYTES", 2**30 * in_memory))
        images = _numbered(20, (8, 12, 3))
        images[0] = np.full([9, 7, 3], 200, np.uint8)  # Odd, and another than the others.
        _write(images)
        Image.fromarray(_numbered(1, (3, 50, 3))[0]).save("pngs/small.png")
        given = data.load("folder:pngs", image_size=4)
        self.assertEqual((given.shape, given.image_size), ((4, 4, 3), 4))
        self.assertIn("; left out: smaller than 4x4 (1: small.png)", given.describe())
        # As sets of TFDS are resized.
        expected = sets.Recipe().resized(4).apply(tf.constant(images[5])).numpy().astype(int)
        found = [image for split in SPLITS for image in given.examples(split).as_numpy_iterator()]
        self.assertTrue(any(np.all(image == 200) for image in found))
        self.assertLessEqual(min(np.max(np.abs(image - expected)) for image in found), 1)

    def test_classes(self):
        for number, name in enumerate(("b", "a", "c")):
            _write(_numbered(30)[number * 10 :][:10], f"pngs/{name}/deep" if number else "pngs/b")
        plain, images = data.load("folder:pngs"), data.load("folder:pngs", labels=True)
        self.assertEqual((images.class_names, images.classes, plain.classes), (("a", "b", "c"), 3, None))
        self.assertIn(", 4x6x3 of 256 levels, 3 classes (a, b, c)", images.describe())
        self.assertEqual(plain.files, images.files)
        renamed = data.load("folder:pngs", labels=("z", "c", "b", "a"))
        self.assertEqual(renamed.classes, 4)
        for split in SPLITS:
            labelled = [(int(image[0, 0, 0]), int(label)) for image, label in images.examples(split)]
            self.assertEqual([number for number, _ in labelled], _numbers(plain, split))
            self.assertEqual([label for _, label in labelled], [[1, 0, 2][number // 10] for number, _ in labelled])
            again = [int(label) for _, label in renamed.examples(split)]
            self.assertEqual(again, [3 - label for _, label in labelled])
        with mock.patch.object(image_source, "_IN_MEMORY_BYTES", 0):
            for batch, labels in images.training_batches(8, seed=0, epoch=0):
                self.assertEqual(
                    [[1, 0, 2][number // 10] for number in batch[:, 0, 0, 0].numpy()], labels.numpy().tolist()
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

    def test_home_is_understood(self):
        _write(_numbered(20))
        with mock.patch.dict(os.environ, HOME=str(pathlib.Path.cwd())):
            self.assertEqual(data.load("folder:~/pngs").shape, (4, 6, 3))


class ErrorsTest(_Test):
    def _message(self, error, name="folder:pngs", **kwargs):
        """The message, of one line."""
        with self.assertRaises(error) as caught:
            data.load(name, **kwargs)
        self.assertIsNone(caught.exception.__cause__)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    @parameterized.parameters(((6, 6, 3), "6x6"), ((4, 8), "4x8"))
    def test_another_size(self, shape, got):
        _write(_numbered(21))
        Image.fromarray(_numbered(1, shape)[0]).save("pngs/000.png")
        self.assertEqual(
            self._message(data.BadImageError),
            f"pngs/000.png: expected 4x6 pixels, as 20 of 21 images have, got {got}; image_size=SIZE resizes and crops"
            " all to one size",
        )

    @parameterized.parameters(((5, 6, 3), "5x6"), ((4, 7), "4x7"))
    def test_an_odd_size(self, shape, got):
        _write(_numbered(20, shape))
        self.assertEqual(
            self._message(data.BadImageError),
            f"pngs/000.png: expected an even height and width, got {got} pixels; image_size=SIZE resizes and crops all"
            " to another",
        )

    def test_more_bad_files_than_images(self):
        _write(_numbered(20))
        for number in range(21):
            pathlib.Path(f"pngs/{number}.webp").write_bytes(b"no image")
        self.assertEqual(
            self._message(data.BadImageError),
            "pngs: expected images in most of 41 files, got 20; left out: not an image (21: 0.webp, 1.webp,"
            " 10.webp, ...)",
        )

    def test_a_file_that_may_not_be_read(self):
        _write(_numbered(20))
        with mock.patch.object(pathlib.Path, "read_bytes", side_effect=PermissionError(13, "Permission denied")):
            self.assertEqual(
                self._message(data.BadImageError),
                "pngs/000.png: expected a file that can be read, got: Permission denied",
            )

    @parameterized.parameters(0, 19)
    def test_too_few(self, count):
        _write(_numbered(count))
        pathlib.Path("pngs/a.heic").write_bytes(b"")
        self.assertEqual(
            self._message(data.BadImageError),
            f"pngs: expected 20 or more PNG, JPEG, WebP, BMP, GIF or TIFF files, got {count}; left out: .heic (1:"
            " a.heic)",
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
        self.assertEqual(self._message(data.DataNotFoundError), "expected a folder of images, got the file pngs")

    def test_no_classes(self):
        _write(_numbered(20)[:10], "pngs/test")
        self.enter_context(mock.patch.object(image_folder, "LEAST_IMAGES", 5))
        expected = "pngs: expected folders of 2 or more classes, got test"
        self.assertEqual(self._message(data.BadImageError, labels=True), expected)
        _write(_numbered(20)[10:], "pngs/train")
        expected = "pngs: expected folders of classes, got those of splits: test, train"
        self.assertEqual(self._message(data.BadImageError, labels=True), expected)
        expected = "pngs: expected folders of the classes a, test, got train"
        self.assertEqual(self._message(data.BadImageError, labels=("a", "test")), expected)
        _write(_numbered(1))
        expected = "pngs/000.png: expected every image in the folder of its class, got one in none"
        self.assertEqual(self._message(data.BadImageError, labels=True), expected)

    def test_how_images_are_made(self):
        _write(_numbered(20))
        self.assertEqual(self._message(ValueError, image_size=0), "expected an image_size of 1 pixel or more, got 0")
        self.assertEqual(
            self._message(ValueError, flatten_alpha="whit"),
            "expected flatten_alpha to be a colour such as white or #808080, got 'whit'",
        )
        self.assertEqual(
            self._message(ValueError, "digits", flatten_alpha="white"),
            "digits: expected folder:PATH for flatten_alpha, whose files may be transparent",
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
