"""`python -m launch.interpolate`."""

import numpy as np
import PIL.Image
from absl.testing import absltest

import tfp_realnvp as nvp
from tests.launch import pictures, programs
from tfp_realnvp import data, evaluation

_NAMES = [("manifold", "png"), ("interpolation", "png"), ("interpolation", "gif")]


class InterpolateTest(pictures.PicturesTest):
    def test_of_an_export(self):
        flags = (f"--saved_model={programs.digits()}", "--angles=4", "--points=5", "--frames=3", "--seed=2")
        written = self.run_program("interpolate", *flags)
        of_flags = "digits-1-angles-4-frames-3-points-5-seed-2"
        self.assertEqual([path.name for path in written], [f"{stem}-{of_flags}.{kind}" for stem, kind in _NAMES])
        surface = self.tiles(written[0], 4, 4)
        # Of the surface the first two rows and columns, at 0 and 90 degrees, are images of the test set.
        images = pictures.grey(np.concatenate(list(data.load("digits").evaluation_batches("test", 300))))
        corners = surface[:2, :2].reshape(4, 8, 8)
        found = [np.flatnonzero(np.mean(images == corner, axis=(1, 2)) > 0.95) for corner in corners]
        self.assertEqual([len(place) for place in found], [1] * 4)
        self.assertLen(set(np.concatenate(found)), 4)
        # Halfway round, the latents are the same with the other sign.
        np.testing.assert_array_equal(surface[2, 2], surface[0, 0])
        self.assertGreater(np.mean(surface[2, 0] != surface[0, 0]), 0.2)
        ways = self.tiles(written[1], 2, 5)
        np.testing.assert_array_equal(ways[0, [0, -1]], corners[:2])
        np.testing.assert_array_equal(ways[1, [0, -1]], corners[:2])
        self.assertGreater(np.sum(ways[0, 2] != ways[1, 2]), 0)
        with PIL.Image.open(written[2]) as motion:
            self.assertEqual(motion.size, (64, 64))
            durations = []
            for frame in range(motion.n_frames):
                motion.seek(frame)
                durations.append(motion.info["duration"])
            self.assertEqual(round(sum(durations) / durations[0]), 12)

    def test_of_a_run_a_seed_is_a_picture(self):
        folder, _ = programs.trained()
        before = programs.contents(folder)
        flags = (f"--output_dir={folder}", "--angles=2", "--points=2", "--frames=1")
        found = []
        for seed in (1, 1, 2):
            written = self.run_program("interpolate", *flags, f"--seed={seed}")
            found.append([path.read_bytes() for path in written])
            for path in written:
                path.unlink()
        self.assertEqual(found[0], found[1])
        self.assertNotEqual(found[0][0], found[2][0])
        self.assertEqual(programs.contents(folder), before)

    def test_of_a_conditional_model_all_are_of_one_class(self):
        folder = programs.trained_with_labels()
        written = self.run_program("interpolate", f"--output_dir={folder}", "--label=3", "--angles=4")
        images = list(data.load("digits", labels=True).evaluation_batches("test", 300))
        pixels, labels = (np.concatenate(part) for part in zip(*images))
        for corner in self.tiles(written[0], 4, 4)[:2, :2].reshape(4, 8, 8):
            (place,) = np.flatnonzero(np.mean(pictures.grey(pixels) == corner, axis=(1, 2)) > 0.9)
            self.assertEqual(labels[place], 3)
        self.assertEqual(
            programs.run("interpolate", f"--output_dir={folder}", "--label=10").error,
            "expected a label in 0 ... 9, got 10",
        )

    def test_refusals(self):
        folder, _ = programs.trained()
        self.assertEqual(
            programs.run("interpolate", f"--output_dir={folder}", "--label=1").error,
            "expected a conditional model for --label",
        )
        self.assertEqual(
            programs.run("interpolate", f"--output_dir={folder}", "--output_file=mine.png").error,
            "expected --pictures_dir for three pictures, got --output_file",
        )
        self.assertStartsWith(
            programs.run("interpolate", f"--saved_model={self.folder}").error, "expected an export of tfp_realnvp with"
        )

    def test_real_valued_images_have_no_levels(self):
        nvp.save(nvp.real_nvp(event_shape=(4, 4, 1), scales=1, width=2, blocks=0, levels=None), self.folder / "real")
        self.assertStartsWith(
            programs.run("interpolate", f"--saved_model={self.folder / 'real'}").error,
            "expected a model of pixels with levels, got a model of real-valued images in",
        )

    def test_vectors_have_no_pictures(self):
        nvp.save(nvp.real_nvp(event_shape=(4,), couplings=1, hidden_units=(4,)), self.folder / "vectors")
        for program in ("interpolate", "reconstruct", "extrapolate", "edit"):
            self.assertEqual(
                programs.run(program, f"--saved_model={self.folder / 'vectors'}").error,
                "expected a model of images, got a model of vectors of shape (4,)",
            )

    def test_the_library_draws_the_same(self):
        flags = (f"--saved_model={programs.digits()}", "--angles=4", "--points=3", "--frames=1")
        written = self.run_program("interpolate", *flags)
        surface = self.tiles(written[0], 4, 4)
        images = np.concatenate(list(data.load("digits").evaluation_batches("test", 300)))
        chosen = images[np.random.default_rng(0).choice(300, 4, replace=False)]
        distribution = pictures.digits()
        z = evaluation.encode(distribution, nvp.dequantize(chosen, seed=(0, 0), levels=17))
        points = evaluation.manifold(z, [0.0, np.pi / 2], [0.0, np.pi]).reshape(-1, 8, 8, 1)
        expected = evaluation.decode(distribution, points)
        drawn = surface[:2, [0, 2]].reshape(4, 8, 8)
        self.assertGreater(np.mean(drawn == pictures.grey(expected)), 0.97)


if __name__ == "__main__":
    absltest.main()
