"""Exports of models of integer images whose noise is learned."""

import math
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from tfp_realnvp import serving
from tfp_realnvp.serving.settings import Settings
from tfp_realnvp.serving.signatures import Served

_LEVELS, _SHAPE = 5, (4, 4, 1)


def _model(seed: int, **of_noise: object) -> tuple[nvp.FlowDistribution, nvp.Dequantizer]:
    """A flow and noise that is far from uniform."""
    flow = nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=2, blocks=0)
    noise = nvp.dequantizer(event_shape=_SHAPE, levels=_LEVELS, couplings=2, width=2, blocks=1, **of_noise)
    for number, variable in enumerate([*flow.trainable_variables, *noise.trainable_variables]):
        variable.assign_add(tf.random.stateless_normal(variable.shape, (seed, number), 0, 0.15))
    return flow, noise


class LearnedNoiseTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.flow, cls.noise = _model(0, squeeze=True)
        cls.path = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory())) / "1"
        nvp.save(cls.flow, cls.path, dequantizer=cls.noise)
        cls.images = np.random.default_rng(0).integers(_LEVELS, size=[6, *_SHAPE]).astype(np.uint8)

    def _bound(self, x):
        """`log p(x) - log q(u | image)` by the distribution over the noise itself."""
        log_q = self.noise.log_prob(x - self.images, context=self.noise.context_of(tf.constant(self.images)))
        return self.flow.log_prob(x) - log_q

    def test_signatures_of_integers_give_its_bound(self):
        signatures = tf.saved_model.load(str(self.path)).signatures
        latents = signatures["encode_uint8"](images=self.images)["latents"]
        x = signatures["decode"](latents=latents)["images"]
        self.assertBetween(np.min(x - self.images), 0, 1)
        self.assertBetween(np.max(x - self.images), 0, 1)
        answers = signatures["log_prob_uint8"](images=self.images)
        np.testing.assert_allclose(answers["log_prob"], self._bound(x), atol=1e-2)
        bits = -answers["log_prob"] / (math.prod(_SHAPE) * math.log(2))
        np.testing.assert_allclose(answers["bits_per_dim"], bits, rtol=1e-6)
        # It is not that of the flow alone, which floats still have.
        alone = signatures["log_prob"](images=x)["log_prob"]
        np.testing.assert_allclose(alone, self.flow.log_prob(x), atol=1e-3)
        self.assertGreater(np.max(np.abs(alone - answers["log_prob"])), 0.5)
        for row in range(3):
            one = signatures["log_prob_uint8"](images=self.images[row : row + 1])["log_prob"]
            np.testing.assert_allclose(one, answers["log_prob"][row : row + 1], rtol=1e-5)
        self.assertEqual(signatures["log_prob_uint8"](images=self.images[:0])["log_prob"].shape, [0])

    def test_p_values_are_of_integers_alone(self):
        # The log-density of a float image is no bound, and not to be ranked among bounds.
        calibration = nvp.novelty.Calibration({"typicality": np.arange(9.0)})
        for noise, expected in ((self.noise, ["p_value_uint8"]), (None, ["p_value", "p_value_uint8"])):
            names = Served(self.flow, Settings(), calibration, noise).signatures
            self.assertEqual([name for name in names if name.startswith("p_value")], expected)

    def test_scores_are_those_of_the_signature(self):
        expected = tf.saved_model.load(str(self.path)).signatures["log_prob_uint8"](images=self.images)["log_prob"]
        for scorer in (
            serving.Scorer.of_export(self.path, batch_size=4),
            serving.Scorer(self.flow, levels=_LEVELS, dequantizer=self.noise, batch_size=4),
        ):
            np.testing.assert_allclose(scorer.score(self.images).log_prob, expected, rtol=1e-4)

    def test_is_loaded_as_the_distribution_of_the_noise(self):
        noise, images = nvp.load_dequantizer(self.path), tf.constant(self.images)
        latent_noise = self.noise.latent_noise(images, seed=(1, 2))
        for found, expected in zip(noise.dequantize(images, latent_noise), self.noise.dequantize(images, latent_noise)):
            np.testing.assert_allclose(found, expected, atol=1e-4)
        u = tf.random.stateless_uniform(images.shape, (0, 1))
        np.testing.assert_allclose(
            noise.log_prob(u, context=noise.context_of(images)),
            self.noise.log_prob(u, context=self.noise.context_of(images)),
            atol=1e-3,
        )
        figures = [
            nvp.evaluate(flow, [self.images], levels=_LEVELS, dequantizer=q).mean
            for flow, q in ((self.flow, self.noise), (nvp.load(self.path), noise))
        ]
        self.assertAlmostEqual(*figures, places=4)

    def test_is_uniform_where_none_was_learned(self):
        self.assertIsNone(nvp.load_dequantizer("digits"))

    def test_refuses_noise_of_other_images(self):
        for given, message in (
            (dict(levels=6), "expected a dequantizer of 5 levels, shape .* float32, got one of 6 levels"),
            (dict(event_shape=(4, 4, 3)), r"expected a dequantizer of 5 levels, shape \(4, 4, 1\)"),
        ):
            other = nvp.dequantizer(**{"event_shape": _SHAPE, "levels": _LEVELS, "width": 2, "blocks": 0, **given})
            with self.assertRaisesRegex(ValueError, message):
                nvp.save(self.flow, self.path.with_name("2"), dequantizer=other)
            with self.assertRaisesRegex(ValueError, message):
                nvp.evaluate(self.flow, [self.images], levels=_LEVELS, dequantizer=other)
        with self.assertRaisesRegex(ValueError, "expected a flow with its networks, got a flow loaded"):
            nvp.save(self.flow, self.path.with_name("2"), dequantizer=nvp.load_dequantizer(self.path))
        with self.assertRaisesRegex(ValueError, "expected a dequantizer with variables to train, got one"):
            nvp.FlowModel(self.flow, levels=_LEVELS, dequantizer=nvp.load_dequantizer(self.path))
        vectors = nvp.real_nvp(event_shape=(3,), couplings=1, hidden_units=(4,))
        with self.assertRaisesRegex(ValueError, "expected a flow over images of at most 256 levels for a dequantizer"):
            nvp.save(vectors, self.path.with_name("2"), dequantizer=self.noise)


if __name__ == "__main__":
    absltest.main()
