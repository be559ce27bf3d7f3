"""Variational dequantisation: a flow over the noise."""

import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import presets
from tfp_realnvp.training import non_finite

_SHAPE, _LEVELS = (4, 4, 1), 5


def _dequantizer(**settings):
    given = {"levels": _LEVELS, "couplings": 2, "width": 4, "blocks": 1, **settings}
    return nvp.dequantizer(event_shape=_SHAPE, **given)


def _images(count, seed=0):
    return np.random.default_rng(seed).integers(_LEVELS, size=[count, *_SHAPE], dtype=np.uint8)


class DequantizerTest(parameterized.TestCase):
    @parameterized.parameters(False, True)
    def test_starts_uniform(self, squeeze):
        dequantizer, images = _dequantizer(squeeze=squeeze), _images(200)
        images = tf.constant(images)
        x, log_q = dequantizer.dequantize(images, dequantizer.latent_noise(images, seed=(0, 0)))
        np.testing.assert_allclose(log_q, np.zeros(200), atol=1e-4)
        noise = (x - tf.cast(images, tf.float32)).numpy()
        self.assertBetween(noise.min(), 0, 0.01)
        self.assertBetween(noise.max(), 0.99, 1)
        np.testing.assert_allclose(np.histogram(noise, 10, (0, 1))[0] / noise.size, np.full(10, 0.1), atol=0.02)

    @parameterized.parameters(False, True)
    def test_says_the_density_of_its_noise(self, squeeze):
        dequantizer, images = _dequantizer(squeeze=squeeze), tf.constant(_images(6))
        for part in dequantizer.flow.bijectors:
            if isinstance(part, nvp.bijectors.Coupling):  # A random linear map would send the noise to 0 and 1.
                registry.randomize(part)
        x, log_q = dequantizer.dequantize(images, dequantizer.latent_noise(images, seed=(0, 1)))
        noise = x - tf.cast(images, tf.float32)
        self.assertTrue(np.all((noise >= 0) & (noise <= 1)))
        self.assertGreater(np.min(np.abs(log_q)), 1e-2)
        context = dequantizer.context_of(images)
        np.testing.assert_allclose(dequantizer.log_prob(noise, context=context), log_q, rtol=1e-3, atol=1e-3)

    def test_stays_below_the_next_level(self):
        images = tf.reshape(tf.range(256, dtype=tf.int32), [16, *_SHAPE])
        dequantizer = nvp.dequantizer(event_shape=_SHAPE, couplings=1, width=2, blocks=0)
        for latent in (-6.0, 5.0, 6.0):  # Of noise that float32 rounds away, or up to 1.
            x, _ = dequantizer.dequantize(images, tf.fill(images.shape, latent))
            np.testing.assert_array_equal(np.floor(x), images)

    def test_reads_the_pixels_in_plus_minus_one(self):
        np.testing.assert_allclose(_dequantizer().context_of(tf.constant([0, 2, 4])), [-1, 0, 1])

    def test_a_text_names_its_options(self):
        text = "variational(couplings=1, width=2, blocks=0, normalization=none, squeeze=true)"
        linear, coupling = presets.digits.replace(dequantization=text).build_dequantizer().flow.bijectors[2:4]
        self.assertIsInstance(linear, nvp.bijectors.InvertibleLinear)
        self.assertEqual(coupling.conditioner.normalization, "none")

    def test_squeezed_couplings_read_squeezed_pixels(self):
        images = tf.constant(_images(2))
        pixels = _dequantizer().context_of(images)
        squeezed = _dequantizer(squeeze=True).context_of(images)
        np.testing.assert_array_equal(nvp.bijectors.Squeeze("channel_major").inverse(squeezed), pixels)
        with self.assertRaisesRegex(ValueError, r"expected an even height and width, got \(5, 4, 1\)"):
            nvp.dequantizer(event_shape=(5, 4, 1), squeeze=True)

    def test_refuses_no_levels_and_no_couplings(self):
        for given, got in ((dict(levels=1), "1 and 2"), (dict(couplings=0), "5 and 0")):
            with self.assertRaisesRegex(ValueError, f"expected at least 2 levels and a coupling, got {got}"):
                _dequantizer(**given)

    def test_parts_of_a_batch_get_the_noise_of_the_whole(self):
        dequantizer, images = _dequantizer(), tf.constant(_images(6))
        whole = dequantizer.latent_noise(images, seed=(3, 4))
        for i in range(3):
            part = dequantizer.latent_noise(images[2 * i : 2 * i + 2], seed=(3, 4), part=(i, 3))
            np.testing.assert_array_equal(part, whole[2 * i : 2 * i + 2])

    def test_the_density_ends_at_0_and_1(self):
        dequantizer, context = _dequantizer(), tf.zeros([1, *_SHAPE])
        for edge in (0.0, 1.0, 1.5, -0.1):
            noise = tf.tensor_scatter_nd_update(tf.fill([1, *_SHAPE], 0.5), [[0, 1, 1, 0]], [edge])
            np.testing.assert_array_equal(dequantizer.log_prob(noise, context=context), [-np.inf])

    def test_noise_is_not_added_twice(self):
        dequantizer, x = _dequantizer(), tf.zeros([1, *_SHAPE])
        with self.assertRaisesRegex(TypeError, "expected integer pixels to dequantise, got float32"):
            dequantizer.dequantize(x, x)
        with self.assertRaisesRegex(TypeError, "expected integer pixels to dequantise, got float32"):
            dequantizer.context_of(x)

    def test_each_image_has_its_own_noise(self):
        dequantizer, images = _dequantizer(), _images(3)
        latent_noise = dequantizer.latent_noise(images, seed=(0, 0))
        for found, expected in zip(*(dequantizer.dequantize(of, latent_noise) for of in (images, tf.constant(images)))):
            np.testing.assert_array_equal(found, expected)
        with self.assertRaisesRegex(ValueError, r"expected latent noise of shape \(3, 4, 4, 1\), as images, got \(1, "):
            dequantizer.dequantize(images, latent_noise[:1])

    def test_a_checkpoint_of_another_dequantizer_is_refused(self):
        flow = nvp.FlowDistribution(nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(_LEVELS)]), _SHAPE)
        prefix = self.enterContext(tempfile.TemporaryDirectory()) + "/ckpt"
        path = tf.train.Checkpoint(distribution=flow, dequantizer=_dequantizer(couplings=2)).save(prefix)
        with self.assertRaisesRegex(nvp.training.CheckpointError, "variables of .* numbers in the dequantizer, got"):
            nvp.training.restore(flow, path, _dequantizer(couplings=1))

    def test_other_shapes_are_refused(self):
        with self.assertRaisesRegex(ValueError, r"expected an event shape \(height, width, channels\), got \(4,\)"):
            nvp.dequantizer(event_shape=(4,))

    def test_a_better_noise_tightens_the_bound(self):
        # Of a density that falls within each cell, the best noise is denser where it is denser.
        images = np.zeros([256, *_SHAPE], np.uint8)
        flow = nvp.bijectors.DequantizedLogit(_LEVELS)
        distribution = nvp.FlowDistribution(nvp.bijectors.Chain([flow]), _SHAPE)
        dequantizer = _dequantizer()
        model = nvp.FlowModel(distribution, levels=_LEVELS, dequantizer=dequantizer)
        model.compile(nvp.training.Adam(0.02), jit_compile=False)
        uniform = nvp.evaluate(distribution, [images], levels=_LEVELS)
        before = nvp.evaluate(distribution, [images], levels=_LEVELS, dequantizer=dequantizer)
        model.fit(images, batch_size=64, epochs=10, verbose=0)
        after = nvp.evaluate(distribution, [images], levels=_LEVELS, dequantizer=dequantizer)
        exact = nvp.evaluate(distribution, [images[:64]], levels=_LEVELS, importance_samples=500)
        self.assertAlmostEqual(before.mean, uniform.mean, delta=0.05)
        self.assertLess(after.mean, uniform.mean - 0.02)
        # It is a bound still.
        self.assertGreater(after.mean, exact.mean - 0.01)
        self.assertIn("variational dequantisation, 1 sample", str(after))
        self.assertIn("uniform dequantisation, 1 sample", str(uniform))
        # XLA says the same.
        compiled = nvp.evaluate(distribution, [images], levels=_LEVELS, dequantizer=dequantizer, jit_compile=True)
        self.assertAlmostEqual(compiled.mean, after.mean, places=4)

    def test_every_variable_learns(self):
        dequantizer = registry.randomize(_dequantizer())
        distribution = nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=2, blocks=0)
        model = nvp.FlowModel(distribution, levels=_LEVELS, dequantizer=dequantizer, average_decay=0.9)
        model.compile(jit_compile=False)
        trainable = {id(variable) for variable in model.trainable_variables}
        self.assertLen(trainable, len(distribution.trainable_variables) + len(dequantizer.trainable_variables))
        before = [variable.numpy() for variable in dequantizer.trainable_variables]
        model.fit(_images(8), batch_size=8, verbose=0)
        for old, variable in zip(before, dequantizer.trainable_variables):
            self.assertGreater(np.max(np.abs(variable.numpy() - old)), 0, variable.name)
        self.assertLen(model.average.averages, len(distribution.variables) + len(dequantizer.variables))

    def test_the_l2_term_leaves_it_alone(self):
        distribution = nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=2, blocks=0)
        alone = sum(nvp.FlowModel(distribution, levels=_LEVELS, l2=1.0).losses)
        dequantizer = registry.randomize(_dequantizer())
        self.assertIn("magnitude", {variable.name.split(":")[0].split("/")[-1] for variable in dequantizer.variables})
        both = sum(nvp.FlowModel(distribution, levels=_LEVELS, l2=1.0, dequantizer=dequantizer).losses)
        self.assertGreater(alone, 0)
        self.assertEqual(both, alone)

    def test_what_is_not_finite_in_it_is_found(self):
        distribution = nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=2, blocks=0)
        dequantizer = _dequantizer()
        model = nvp.FlowModel(distribution, levels=_LEVELS, dequantizer=dequantizer)
        bias = dequantizer.flow.bijectors[1].conditioner.conv_out.bias
        bias.assign(tf.fill(bias.shape, np.nan))
        found = non_finite.first_non_finite(model, tf.constant(_images(2)), (0, 0))
        self.assertStartsWith(found, f"the variable {bias.path} (")

    def test_one_of_other_images_is_refused(self):
        distribution = nvp.real_nvp(event_shape=_SHAPE, levels=256, scales=1, width=2, blocks=0)
        with self.assertRaisesRegex(ValueError, "expected a dequantizer of 256 levels, .* got one of 5 levels, "):
            nvp.FlowModel(distribution, levels=256, dequantizer=_dequantizer())

    def test_checkpoints_have_it(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        batches = tf.data.Dataset.from_tensor_slices(_images(8)).batch(4)
        for decay in (None, 0.5):
            path = f"{folder}/{decay}"

            def built():
                flow = nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=2, blocks=0)
                return flow, _dequantizer()

            flow, dequantizer = built()
            model = nvp.FlowModel(flow, levels=_LEVELS, dequantizer=dequantizer, average_decay=decay)
            model.compile(nvp.training.Adam(0.05), jit_compile=False)
            nvp.training.train(
                model,
                lambda epoch, skip: batches.skip(skip),
                epochs=1,
                validation_batches=batches,
                output_dir=path,
                verbose=0,
            )
            other_flow, other = built()
            nvp.training.restore(other_flow, nvp.training.best_checkpoint(path), other)
            alone, _ = built()
            nvp.training.restore(alone, nvp.training.best_checkpoint(path))
            # Beside the weights `last` has the averages, which are read in their place.
            last_flow, last = built()
            nvp.training.restore(last_flow, tf.train.latest_checkpoint(f"{path}/checkpoints/last"), last)
            if model.average is not None:
                model.average.copy_to_variables()
            for ours, theirs in (
                (flow, other_flow),
                (dequantizer, other),
                (flow, alone),
                (flow, last_flow),
                (dequantizer, last),
            ):
                for variable, read in zip(ours.variables, theirs.variables, strict=True):
                    np.testing.assert_allclose(read, variable, rtol=1e-6)


if __name__ == "__main__":
    absltest.main()
