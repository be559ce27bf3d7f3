"""A folder of images comes back from a file, or the programs say in one line why not."""

import io
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest
from PIL import Image

import tfp_realnvp as nvp
from launch import pack_input, png, run
from tests.launch import programs


class PackTest(absltest.TestCase):
    def test_a_folder_and_back(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        images = next(iter(nvp.data.load("digits").evaluation_batches("test", 5))).numpy()
        for i, pixels in enumerate(images):
            path = folder / "images" / ("odd" if i % 2 else "even") / f"{i}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0]).save(path)
        model = f"--saved_model={programs.exported()}"
        file = folder / "images.nvp"
        packed = programs.run("pack", model, f"--images={folder}/images", f"--output_file={file}")
        self.assertRegex(packed.output, rf"Wrote {file}: 5 images, \d+ bytes, \d+\.\d+ bits per dimension")
        back = folder / "back"
        unpacked = programs.run("unpack", model, f"--input_file={file}", f"--output_dir={back}")
        self.assertEqual(unpacked.output, f"Wrote 5 images to {back}\n")
        for i, pixels in enumerate(images):
            found = np.asarray(Image.open(back / ("odd" if i % 2 else "even") / f"{i}.png"))
            np.testing.assert_array_equal(found, pixels[..., 0])

        again = programs.run("unpack", model, f"--input_file={file}", f"--output_dir={back}")
        self.assertEqual(again.error, f"expected a new or empty folder, got {back}")
        file.write_bytes(file.read_bytes()[:-1])
        cut = programs.run("unpack", model, f"--input_file={file}", f"--output_dir={folder}/other")
        self.assertRegex(cut.error, f"{file}: expected a whole file, got .* bytes with another checksum: copy it again")
        self.assertFalse((folder / "other").exists())

    def test_images_that_differ_in_their_suffix_alone_both_come_back(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        images = next(iter(nvp.data.load("digits").evaluation_batches("test", 2))).numpy()
        (folder / "images").mkdir()
        for pixels, suffix in zip(images, ("bmp", "png"), strict=True):
            Image.fromarray(pixels[..., 0]).save(folder / "images" / f"a.{suffix}")
        model = f"--saved_model={programs.exported()}"
        programs.run("pack", model, f"--images={folder}/images", f"--output_file={folder}/a.nvp")
        programs.run("unpack", model, f"--input_file={folder}/a.nvp", f"--output_dir={folder}/back")
        for pixels, suffix in zip(images, ("bmp", "png"), strict=True):
            np.testing.assert_array_equal(Image.open(folder / "back" / f"a.{suffix}.png"), pixels[..., 0])

    def test_names_of_files(self):
        for names, expected in (
            (["a.bmp", "b/a.tif", "c"], ["a.png", "b/a.png", "c.png"]),
            (["a.bmp", "a.png"], ["a.bmp.png", "a.png.png"]),
            (["a.bmp", "a.png/b.gif"], ["a.bmp.png", "a.png/b.gif.png"]),
            (["a.bmp", "a.png/b", "a.bmp.png/b"], ["a.bmp.png.png", "a.png/b.png.png", "a.bmp.png/b.png.png"]),
        ):
            self.assertEqual(png.names_of(names), expected)
        for name in ("/a", "../a", "b/../../a", ".", "b/.."):
            with self.assertRaisesRegex(ValueError, "expected names within a folder, got "):
                png.names_of(["c", name])
        with self.assertRaisesRegex(ValueError, "expected names of different files, got b/a twice"):
            png.names_of(["b/a", "b//c/../a"])

    def test_files_of_any_channels(self):
        for channels in range(1, 5):
            pixels = np.random.default_rng(0).integers(0, 256, [2, 3, channels]).astype(np.uint8)
            found = np.asarray(Image.open(io.BytesIO(png.encoded(pixels))))
            np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)

    def test_colours_that_would_come_back_as_others(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("a.tiff", "a.jpg"):
            Image.new("CMYK", (8, 8)).save(folder / name)
            message = f"{name}: expected grey or RGB pixels, got CMYK, which would come back as RGB"
            with self.assertRaisesRegex(run.UsageError, message):
                pack_input.check(folder / name, name)

    def test_usage(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        Image.new("L", (8, 6)).save(f"{folder}/a.png")
        given = f"--images={folder}", f"--output_file={folder}/a.nvp"
        self.assertIn("expected --saved_model", programs.run("pack", *given).error)
        own = programs.run("pack", f"--images={folder}", f"--output_file={folder}/a.png")
        self.assertEqual(own.error, f"expected --output_file to be another file than the inputs, got {folder}/a.png")
        wrong = programs.run("pack", f"--saved_model={programs.exported()}", *given)
        self.assertEqual(wrong.error, "a.png: expected pixels of shape [8, 8, 1], got [6, 8, 1]")
        frames = [Image.new("L", (8, 8), level) for level in (0, 9)]
        frames[0].save(f"{folder}/a.gif", save_all=True, append_images=frames[1:])
        pathlib.Path(folder, "a.png").unlink()
        several = programs.run("pack", f"--saved_model={programs.exported()}", *given)
        self.assertEqual(several.error, "a.gif: expected an image of one frame or page, got 2")
        pathlib.Path(folder, "a.gif").unlink()
        nothing = programs.run("pack", f"--saved_model={programs.exported()}", *given)
        self.assertStartsWith(nothing.error, f"{folder}: expected image files (.png, .jpg, ")


if __name__ == "__main__":
    absltest.main()
