"""`python -m launch.reconstruct`."""

import numpy as np
from absl.testing import absltest

import tfp_realnvp as nvp
from tests.launch import pictures, programs
from tfp_realnvp import data, evaluation, flows, presets


class CompressTest(pictures.PicturesTest):
    def test_of_an_export(self):
        # Untrained, its latents are the logits of pixels: half of them show the image.
        untrained = presets.digits.build(width=2, blocks=0)
        export = nvp.publish(untrained, self.folder / "digits", metadata={"dataset": "digits", "preset": "digits"})
        drawn = {}
        for fill in ("noise", "zeros"):
            target = self.folder / f"{fill}.png"
            flags = (f"--saved_model={export}", "--count=5", f"--fill={fill}", f"--output_file={target}")
            self.assertEqual(self.run_program("reconstruct", *flags), [target])
            drawn[fill] = self.tiles(target, 3, 5)
        images = np.concatenate(list(data.load("digits").evaluation_batches("test", 300)))
        chosen = images[np.random.default_rng(0).choice(300, 5, replace=False)]
        distribution = nvp.load(export)
        z = evaluation.encode(distribution, nvp.dequantize(chosen, seed=(0, 0), levels=17))
        scales = flows.scale_of_latents((8, 8, 1), flows.split_orders(distribution.flow))
        for fill, (given, whole, half) in drawn.items():
            np.testing.assert_array_equal(given, pictures.grey(chosen))
            self.assertGreater(np.mean(whole == given), 0.97)
            expected = evaluation.decode(distribution, evaluation.keep_coarse(z, scales, 1, fill=fill))
            self.assertGreater(np.mean(half == pictures.grey(expected)), 0.97)
            # It resembles the image, and is not it.
            self.assertBetween(np.mean(half == given), 0.1, 0.9)
            errors = [np.mean(np.abs(half - other.astype(float))) for other in (given, np.roll(given, 1, axis=0))]
            self.assertLess(errors[0], errors[1])
        self.assertGreater(np.mean(drawn["noise"][2] != drawn["zeros"][2]), 0.1)

    def test_of_a_conditional_run(self):
        folder = programs.trained_with_labels()
        (path,) = self.run_program("reconstruct", f"--output_dir={folder}", "--count=4")
        self.assertEqual(path.name, "reconstruction-count-4.png")
        given, whole, _ = self.tiles(path, 3, 4)
        self.assertGreater(np.mean(whole == given), 0.97)

    def test_one_scale_has_no_coarser_latents(self):
        folder, _ = programs.trained()
        self.assertEqual(
            programs.run("reconstruct", f"--output_dir={folder}").error,
            "expected a model with several scales, got one with a single scale",
        )


if __name__ == "__main__":
    absltest.main()
