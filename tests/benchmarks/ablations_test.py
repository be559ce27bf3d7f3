"""Variants are what they say, and the table says what changed beside the first."""

import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from benchmarks import ablations


class AblationsTest(absltest.TestCase):
    def test_equal_variants_are_one_run(self):
        jobs = ablations.jobs(list(ablations.QUESTIONS), [0, 1], 640, 100)
        self.assertLen(jobs, 2 * (4 + 3 + 1 + 2 + 1 + 1))

    def test_without_weight_norm_kernels_start_the_same_and_move_freely(self):
        keras.utils.set_random_seed(0)
        plain = ablations.plain(nvp.bijectors.Checkerboard(1), 3, 6)
        keras.utils.set_random_seed(0)
        normalised = nvp.conditioners.ResidualNetwork(outputs=6, mask_channel=True, width=8, blocks=1)
        normalised.build((None, None, None, 4))
        x = tf.random.stateless_normal([2, 4, 4, 4], (1, 0))
        for mode in (False, True):
            np.testing.assert_allclose(plain(x, training=mode), normalised(x, training=mode), rtol=1e-4, atol=1e-6)
        self.assertNotIn("magnitude", {variable.name for variable in plain.trainable_variables})
        for network, factor in ((plain, 2), (normalised, 1)):
            one = network._weights({})["conv_in"][0].numpy()
            network.conv_in.direction.assign(2 * network.conv_in.direction)
            np.testing.assert_allclose(network._weights({})["conv_in"][0], factor * one, rtol=1e-5)

    def test_the_table(self):
        with_it, without = ablations.QUESTIONS["flips"]
        rows = [
            ablations.job_of(variant, seed, 640, 100) | {"bits_per_dim": bits + 0.01 * seed}
            for variant, bits in ((with_it, 4.0), (without, 4.5))
            for seed in range(3)
        ]
        text = "\n".join(ablations.table(rows))
        self.assertRegex(text, r"flips +\| +without \| +4\.510 \| +0\.010 \| +3 \| +\+0\.500 \+- 0\.000")
        self.assertIn("- flips, beside with: without is worse by 0.500.", text)
        # Three seeds that differ by .1 do not show a difference of .15.
        self.assertIn("no difference that these seeds can show", ablations._sentence("x", 0.15, 0.06, 3))
        with tempfile.TemporaryDirectory() as folder:
            picture = pathlib.Path(folder, "picture.png")
            ablations.draw(rows, picture)
            self.assertGreater(picture.stat().st_size, 1_000)

    def test_a_run_adds_its_line_once(self):
        images = nvp.data.load("digits")
        jobs = [ablations.job_of(ablations.QUESTIONS["affine form"][1], 0, 128, 100)]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "rows.jsonl")
            for _ in range(2):
                ablations.run(jobs, file, images)
            (row,) = ablations.read(file)
        self.assertEqual(row["form"], "scale_first")
        self.assertBetween(row["bits_per_dim"], 1, 8)


if __name__ == "__main__":
    absltest.main()
