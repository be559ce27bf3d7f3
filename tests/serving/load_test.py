"""What loads is a distribution like the one that was saved."""

import contextlib
import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import evaluation, flows, serving
from tfp_realnvp.serving.saved_flow import SavedFlow

_LEVELS, _SHAPE = 17, (4, 4, 1)


class LoadTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.distribution = registry.randomize(
            nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=2, width=3, blocks=1)
        )
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        serving.publish(cls.distribution, cls.folder)
        cls.loaded = nvp.load(os.path.join(cls.folder, "1"))
        cls.images = cls.distribution.sample(5, seed=(0, 1))

    def test_is_the_distribution(self):
        self.assertIsInstance(self.loaded, tfp.distributions.Distribution)
        self.assertEqual(self.loaded.event_shape, _SHAPE)
        self.assertEqual(self.loaded.batch_shape, ())
        self.assertEqual(self.loaded.dtype, tf.float32)
        self.assertEmpty(self.loaded.trainable_variables)
        expected = self.distribution.log_prob(self.images)
        np.testing.assert_allclose(self.loaded.log_prob(self.images), expected, rtol=1e-5)
        np.testing.assert_allclose(self.loaded.sample(5, seed=(0, 1)), self.images, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            self.loaded.flow.forward(self.images), self.distribution.flow.forward(self.images), rtol=1e-3, atol=1e-3
        )
        found, expected = (d.experimental_sample_and_log_prob(3, seed=(2, 2)) for d in (self.loaded, self.distribution))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)

    def test_says_how_its_latents_are_split(self):
        self.assertEqual(flows.split_orders(self.loaded.flow), ("diagonal",))
        older = SavedFlow(None, 3)
        with self.assertRaisesRegex(ValueError, "expected an export that records how its latents are split"):
            flows.split_orders(older)

    def test_takes_any_batch_shape(self):
        many = tf.reshape(self.images[:4], [2, 2, *_SHAPE])
        np.testing.assert_allclose(self.loaded.log_prob(many), self.distribution.log_prob(many), rtol=1e-5)
        self.assertEqual(self.loaded.log_prob(self.images[0]).shape, [])
        self.assertEqual(self.loaded.sample([2, 3], seed=1).shape, [2, 3, *_SHAPE])

    def test_says_minus_infinity_outside_the_support(self):
        outside = tf.tensor_scatter_nd_update(self.images, [[0, 0, 0, 0], [1, 0, 0, 0]], [np.nan, 1e6])
        log_prob = self.loaded.log_prob(outside)
        np.testing.assert_array_equal(np.isneginf(log_prob), [True, True, False, False, False])

    def test_refuses_integers(self):
        with self.assertRaisesRegex(TypeError, "expected float32 events, got uint8"):
            self.loaded.log_prob(tf.zeros([1, *_SHAPE], tf.uint8))

    def test_maps_a_data_set(self):
        data = tf.data.Dataset.from_tensor_slices(self.images).batch(2)
        found = [value for batch in data.map(self.loaded.log_prob) for value in batch.numpy()]
        np.testing.assert_allclose(found, self.distribution.log_prob(self.images), rtol=1e-5)

    def test_composes(self):
        scaled = tfp.distributions.TransformedDistribution(self.loaded, tfp.bijectors.Scale(1 / _LEVELS))
        expected = self.distribution.log_prob(self.images) + np.prod(_SHAPE) * np.log(_LEVELS)
        np.testing.assert_allclose(scaled.log_prob(self.images / _LEVELS), expected, rtol=1e-4)
        mixture = tfp.distributions.Mixture(
            tfp.distributions.Categorical(probs=[0.5, 0.5]), [self.loaded, self.distribution]
        )
        np.testing.assert_allclose(mixture.log_prob(self.images), self.distribution.log_prob(self.images), rtol=1e-5)

    def test_has_gradients(self):
        gradients = []
        for distribution in (self.loaded, self.distribution):
            with tf.GradientTape() as tape:
                tape.watch(self.images)
                log_prob = distribution.log_prob(self.images)
            gradients.append(tape.gradient(log_prob, self.images))
        np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-4 * np.max(np.abs(gradients[1])))

    def test_evaluates_to_the_same_figure(self):
        images = np.random.default_rng(0).integers(0, _LEVELS, [20, *_SHAPE], dtype=np.uint8)
        found, expected = (
            evaluation.evaluate(distribution, [images], levels=_LEVELS).mean
            for distribution in (self.loaded, self.distribution)
        )
        self.assertAlmostEqual(found, expected, places=5)

    def test_a_model_is_its_highest_version(self):
        folder = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "model")
        for version, levels in ((2, 17), (10, 5)):
            flow = nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(levels)])
            serving.publish(nvp.FlowDistribution(flow, _SHAPE), folder, version=version)
        self.assertLess(np.max(nvp.load(folder).sample(100, seed=1)), 6)
        self.assertGreater(np.max(nvp.load(os.path.join(folder, "2")).sample(100, seed=1)), 6)

    def test_double_precision(self):
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "1")
        flow = nvp.real_nvp(event_shape=(3,), couplings=2, hidden_units=(4,), dtype="float64")
        distribution = registry.randomize(flow)
        serving.save(distribution, path)
        loaded = nvp.load(path)
        x = distribution.sample(4, seed=1)
        self.assertEqual(loaded.dtype, tf.float64)
        np.testing.assert_allclose(loaded.log_prob(x), distribution.log_prob(x), rtol=1e-12)

    def test_nothing_there(self):
        with self.assertRaisesRegex(FileNotFoundError, "expected an export .* in .*/nowhere, found none"):
            nvp.load(os.path.join(self.folder, "nowhere"))
        with self.assertRaisesRegex(FileNotFoundError, "none; the released models are cifar10, digits, mnist"):
            nvp.load("nowhere")

    def test_a_released_model_by_name(self):
        digits = serving.released()["digits"]
        self.assertTrue((digits / "1/saved_model.pb").is_file())
        with contextlib.chdir(self.enterContext(tempfile.TemporaryDirectory())):
            os.mkdir("digits")  # Such as the data. It holds no export.
            self.assertEqual(serving.version_path("digits"), digits / "1")
            os.mkdir("digits/7")
            self.assertEqual(serving.version_path("digits"), pathlib.Path("digits/7"))


if __name__ == "__main__":
    absltest.main()
