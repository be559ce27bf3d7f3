"""`python -m launch.extrapolate`."""

import numpy as np
from absl.testing import absltest

from tests.launch import pictures, programs
from tfp_realnvp import evaluation


class ExtrapolateTest(pictures.PicturesTest):
    def test_of_an_export(self):
        flags = (f"--saved_model={programs.digits()}", "--factors=2,3", "--magnify=1", "--seed=4")
        (path,) = self.run_program("extrapolate", *flags)
        self.assertEqual(path.name, "extrapolation-4-digits-1-factors-2,3-magnify-1.png")
        pixels = self.pixels(path)[..., 0]
        self.assertLen(pixels, 8 + 2 + 16 + 2 + 24)
        left = pixels.shape[1] - (3 * 8 + 2 * 2)  # The widest row is that of the size of training.
        distribution = pictures.digits()
        for factor, top, bottom in ((1, 0, 8), (2, 10, 26), (3, 28, 52)):
            z = evaluation.draw_latents(distribution, 3 // factor, seed=(4, factor), factor=factor)
            expected = pictures.grey(evaluation.decode(distribution, z)[:1])[0]
            found = pixels[top:bottom, left : left + 8 * factor]
            self.assertGreater(np.mean(found == expected), 0.97)

    def test_of_a_run(self):
        folder = programs.trained_with_labels()
        flags = (f"--output_dir={folder}", "--magnify=1")
        drawn = []
        for more in ((), ("--label=3",), ("--label=3", "--temperature=0")):
            (path,) = self.run_program("extrapolate", *flags, *more)
            drawn.append(self.pixels(path))
            path.unlink()
        self.assertLen({pixels.shape for pixels in drawn}, 1)
        self.assertLen(drawn[0], 8 + 2 + 16 + 2 + 80)  # 2x and 10x by default.
        self.assertGreater(np.sum(drawn[0] != drawn[1]), 0)
        # Of the latent 0 all images are the same.
        row = drawn[2][:8, -(10 * 10 - 2) :]
        np.testing.assert_array_equal(row[:, :8], row[:, 10:18])

    def test_refusals(self):
        model = f"--saved_model={programs.exported()}"
        for given in ("x", "0,2", "1.5", ""):
            self.assertEqual(
                programs.run("extrapolate", model, f"--factors={given}").error,
                f"expected --factors to be whole numbers such as 2,10, got {given}",
            )
        self.assertEqual(
            programs.run("extrapolate", model, "--temperature=nan").error,
            "expected --temperature to be a number, got nan",
        )
        self.assertEqual(
            programs.run("extrapolate", model, "--label=1").error, "expected a conditional model for --label"
        )


if __name__ == "__main__":
    absltest.main()
