"""Latents of any size and temperature."""

import numpy as np
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import evaluation

_SHAPE = (8, 8, 1)


def _distribution(**kwargs):
    return registry.randomize(nvp.real_nvp(event_shape=_SHAPE, scales=2, width=2, blocks=0, levels=17, **kwargs))


class DrawLatentsTest(parameterized.TestCase):
    def test_decode_to_samples(self):
        distribution = _distribution()
        z = evaluation.draw_latents(distribution, 4, seed=(3, 1))
        expected = distribution.sample(4, seed=(3, 1))
        np.testing.assert_allclose(evaluation.decode(distribution, z), expected, rtol=1e-4, atol=1e-4)

    def test_another_base_is_drawn_from(self):
        options = dict(event_shape=(2,), couplings=1, hidden_units=(4,))
        for distribution in (nvp.coupling_flow(circular=(1,), **options), nvp.coupling_flow(base="mixture", **options)):
            z = evaluation.draw_latents(distribution, 4, seed=(3, 1))
            np.testing.assert_array_equal(z, distribution.distribution.sample(4, seed=(3, 1)))
            with self.assertRaisesRegex(ValueError, "a temperature of 1 for latents that are not standard normal"):
                evaluation.draw_latents(distribution, 4, temperature=0.5)

    def test_a_temperature_scales(self):
        distribution = _distribution()
        one, half = (evaluation.draw_latents(distribution, 4, temperature=t) for t in (1.0, 0.5))
        np.testing.assert_array_equal(half, one / 2)
        self.assertAlmostEqual(np.std(one), 1, delta=0.2)

    def test_larger(self):
        distribution = _distribution()
        z = evaluation.draw_latents(distribution, 2, factor=3)
        images = evaluation.decode(distribution, z)
        self.assertEqual(images.shape, (2, 24, 24, 1))
        back = evaluation.encode(distribution, images)
        np.testing.assert_allclose(back, z, rtol=1e-2, atol=1e-2)

    def test_refusals(self):
        distribution = _distribution()
        for given in (dict(count=0), dict(factor=0), dict(temperature=-1.0), dict(temperature=np.nan)):
            with self.assertRaisesRegex(ValueError, "at least 1 and a finite temperature of at least 0"):
                evaluation.draw_latents(distribution, **{"count": 1, **given})
        vectors = nvp.real_nvp(event_shape=(4,), couplings=1, hidden_units=(4,))
        self.assertEqual(evaluation.draw_latents(vectors, 2).shape, (2, 4))
        with self.assertRaisesRegex(ValueError, "expected images for a factor of 2, got vectors"):
            evaluation.draw_latents(vectors, 2, factor=2)


if __name__ == "__main__":
    absltest.main()
