"""What is left of latents whose finer scales are thrown away."""

import numpy as np
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import evaluation, flows

_SHAPE = (8, 8, 1)


def _distribution(**kwargs):
    return registry.randomize(nvp.real_nvp(event_shape=_SHAPE, scales=2, width=2, blocks=0, levels=17, **kwargs))


class KeepCoarseTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.scales = flows.scale_of_latents(_SHAPE, ("diagonal", "diagonal"))
        self.z = np.random.default_rng(0).normal(size=[3, *_SHAPE]).astype(np.float32)

    def test_zeros(self):
        for k, kept in ((0, 64), (1, 32), (2, 16), (3, 0)):
            found = evaluation.keep_coarse(self.z, self.scales, k, fill="zeros")
            np.testing.assert_array_equal(found, np.where(self.scales >= k, self.z, 0))
            self.assertEqual(np.count_nonzero(found), 3 * kept)

    def test_noise_is_the_same_at_each_scale(self):
        one, two = (evaluation.keep_coarse(self.z, self.scales, k, seed=5) for k in (1, 2))
        np.testing.assert_array_equal(one[:, self.scales == 0], two[:, self.scales == 0])
        np.testing.assert_array_equal(one[:, self.scales >= 1], self.z[:, self.scales >= 1])
        self.assertGreater(np.min(np.abs(one - self.z)[:, self.scales == 0]), 0)
        self.assertEqual(one.dtype, np.float32)

    def test_noise_is_standard_normal(self):
        z = np.full([1000, *_SHAPE], 7, np.float32)
        noise = evaluation.keep_coarse(z, self.scales, 3)
        self.assertBetween(np.mean(noise), -0.02, 0.02)
        self.assertBetween(np.std(noise), 0.98, 1.02)
        self.assertGreater(np.mean(np.abs(noise[0] - noise[1])), 0.5)

    def test_of_all_kept_the_images_come_back(self):
        distribution = _distribution()
        x = distribution.sample(2, seed=(0, 1)).numpy()
        z = evaluation.encode(distribution, x)
        scales = flows.scale_of_latents(_SHAPE, flows.split_orders(distribution.flow))
        whole, half = (evaluation.decode(distribution, evaluation.keep_coarse(z, scales, k)) for k in (0, 1))
        np.testing.assert_allclose(whole, x, rtol=1e-3, atol=1e-3)
        self.assertGreater(np.max(np.abs(half - x)), 0.1)

    def test_refusals(self):
        with self.assertRaisesRegex(ValueError, "fill to be one of noise, zeros, got 'ones'"):
            evaluation.keep_coarse(self.z, self.scales, 1, fill="ones")
        with self.assertRaisesRegex(ValueError, "a scale in 0 ... 3, got 4"):
            evaluation.keep_coarse(self.z, self.scales, 4)
        with self.assertRaisesRegex(ValueError, r"scales of shape \(8, 8, 1\), got \(4, 4, 1\)"):
            evaluation.keep_coarse(self.z, self.scales[:4, :4], 1)


if __name__ == "__main__":
    absltest.main()
