"""Evaluation on integer images and on vectors, against closed forms and the definition."""

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import evaluation

tfd = tfp.distributions

_SHAPE = (4, 4, 1)


def _images(count: int, levels: int = 256, shape: tuple[int, ...] = _SHAPE) -> np.ndarray:
    return np.random.default_rng(count).integers(levels, size=[count, *shape], dtype=np.uint8)


def _batches(images: np.ndarray, size: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(images).batch(size)


def _flow() -> nvp.FlowDistribution:
    """One coupling with a batch norm in it and after it, of random weights: quick to trace."""
    mask = nvp.bijectors.Checkerboard(parity=1)
    network = nvp.conditioners.ResidualNetwork(outputs=2, width=4, blocks=0, mask_channel=True)
    network.build((None, None, None, 2))
    layers = [
        nvp.bijectors.DequantizedLogit(),
        nvp.bijectors.Coupling(nvp.transformers.Affine(), network, mask),
        nvp.bijectors.BatchNorm(1, mask=mask),
    ]
    flow = nvp.FlowDistribution(nvp.bijectors.Chain(layers), _SHAPE)
    return registry.randomize(flow)


def _uniform(levels: int) -> tfd.Distribution:
    high = tf.fill(_SHAPE, float(levels))
    return tfd.Independent(tfd.Uniform(tf.zeros_like(high), high), 3)


def _gaussian(scale: float) -> tfd.Distribution:
    return tfd.Sample(tfd.Normal(tf.constant(2.0), scale), _SHAPE)


class EvaluateTest(parameterized.TestCase):
    @parameterized.parameters((2, 1), (17, 3), (256, 1))
    def test_a_uniform_density_has_log2_levels(self, levels, samples):
        result = evaluation.evaluate(
            _uniform(levels),
            _batches(_images(7, levels), 3),
            levels=levels,
            importance_samples=samples,
        )
        self.assertAlmostEqual(result.mean, math.log2(levels), places=5)
        self.assertAlmostEqual(result.standard_error, 0.0, places=6)
        self.assertEqual((result.count, result.unit), (7, "bits/dim"))
        self.assertEqual(result.bound, f"uniform dequantisation, {samples} sample{'s' * (samples > 1)}")

    @parameterized.parameters(1, 4)
    def test_is_the_definition(self, samples):
        """Mean and error over images of log (1/K) sum_k p(image + u_k), with the noise documented."""
        distribution, images = _flow(), _images(7)
        log_probs = []
        for number, batch in enumerate([images[:3], images[3:6], images[6:]]):
            noisy = [
                nvp.dequantize(batch, seed=tf.random.experimental.stateless_fold_in([5, number], sample))
                for sample in range(samples)
            ]
            each = np.stack([distribution.log_prob(pixels).numpy() for pixels in noisy])
            log_probs.append(np.log(np.mean(np.exp(np.float64(each)), axis=0)))
        bits = -np.concatenate(log_probs) / (16 * math.log(2))

        result = evaluation.evaluate(distribution, _batches(images, 3), importance_samples=samples, seed=5)

        self.assertAlmostEqual(result.mean, bits.mean(), places=5)
        self.assertAlmostEqual(result.standard_error, bits.std(ddof=1) / math.sqrt(7), places=5)
        self.assertEqual((result.count, result.unit), (7, "bits/dim"))
        self.assertEqual(result.bound, f"uniform dequantisation, {samples} sample{'s' * (samples > 1)}")

    def test_the_importance_bound_goes_to_the_exact_probability(self):
        """Of a Gaussian pixel, log(Phi(v + 1) - Phi(v)); one sample lies above by a known amount."""
        scale, images = 0.8, _images(64, levels=4)
        edges = np.arange(5.0)[:, np.newaxis]
        cdf = _gaussian(scale).distribution.cdf(edges.astype(np.float32)).numpy().ravel()
        exact = -np.log2(np.diff(cdf))[images].mean()
        # E[-log N(v + u)] by the midpoint rule.
        middles = (np.arange(1000) + 0.5) / 1000
        nats = 0.5 * ((np.arange(4)[:, np.newaxis] + middles - 2.0) / scale) ** 2
        nats = nats.mean(1) + math.log(scale * math.sqrt(2 * math.pi))
        plain = nats[images].mean() / math.log(2)

        found = {
            samples: evaluation.evaluate(
                _gaussian(scale), _batches(images, 64), levels=4, importance_samples=samples
            ).mean
            for samples in (1, 20, 400)
        }

        self.assertGreater(plain - exact, 0.05)
        self.assertAlmostEqual(found[1], plain, delta=0.04)
        self.assertAlmostEqual(found[400], exact, delta=0.02)
        self.assertBetween(found[20], exact, found[1] - 0.02)

    def test_more_importance_samples_lower_the_bound_of_a_flow(self):
        distribution, batches = _flow(), _batches(_images(32), 32)
        one = evaluation.evaluate(distribution, batches)
        twenty = evaluation.evaluate(distribution, batches, importance_samples=20)
        self.assertLess(twenty.mean, one.mean)

    def test_the_seed_decides_the_noise(self):
        distribution, batches = _flow(), _batches(_images(5), 2)
        first, again, other = (evaluation.evaluate(distribution, batches, seed=seed) for seed in (0, 0, 1))
        self.assertEqual(first, again)
        self.assertNotEqual(first.mean, other.mean)

    def test_batches_and_samples_do_not_share_noise(self):
        same = np.zeros([6, *_SHAPE], np.uint8)
        seen = []

        class Recorder(tfd.Sample):
            def log_prob(self, value):
                tf.py_function(lambda pixels: seen.append(pixels.numpy()), [value], [])
                return super().log_prob(value)

        recorder = Recorder(tfd.Normal(0.0, 1.0), _SHAPE)
        evaluation.evaluate(recorder, _batches(same, 3), importance_samples=2)
        self.assertLen(seen, 4)
        values = np.concatenate(seen).ravel()
        # 192 draws of 65,536 levels: about .3 pairs coincide by chance.
        self.assertGreater(len(set(values)), 180)

    def test_compiles_with_xla_to_the_same_figure(self):
        distribution, batches = _flow(), _batches(_images(5), 3)
        plain = evaluation.evaluate(distribution, batches, importance_samples=2)
        compiled = evaluation.evaluate(distribution, batches, importance_samples=2, jit_compile=True)
        self.assertAlmostEqual(plain.mean, compiled.mean, places=4)

    def test_traces_the_model_once(self):
        traces = []

        class Counted(tfd.Sample):
            def log_prob(self, value):
                traces.append(value.shape)
                return super().log_prob(value)

        counted = Counted(tfd.Normal(0.0, 1.0), _SHAPE)
        evaluation.evaluate(counted, _batches(_images(8), 3), importance_samples=2)
        self.assertLen(traces, 1)

    def test_uses_inference_mode_and_leaves_the_model_as_it_was(self):
        distribution = _flow()
        before = [variable.numpy() for variable in distribution.variables]
        batch = _images(2)
        both = evaluation.evaluate(distribution, [batch])
        alone = nvp.dequantize(batch, seed=tf.random.experimental.stateless_fold_in([0, 0], 0))
        apart = [distribution.log_prob(alone[i : i + 1]).numpy()[0] for i in range(2)]
        self.assertAlmostEqual(both.mean, evaluation.bits_per_dim(np.mean(apart), _SHAPE), places=4)
        for old, variable in zip(before, distribution.variables, strict=True):
            np.testing.assert_array_equal(old, variable.numpy())

    def test_takes_arrays_and_double_precision(self):
        distribution = tfd.Sample(tfd.Normal(tf.zeros([], tf.float64), 1.0), _SHAPE)
        images = _images(4).astype(np.int32)
        result = evaluation.evaluate(distribution, [images[:2], tf.constant(images[2:])])
        self.assertEqual(result.count, 4)
        self.assertTrue(math.isfinite(result.mean))

    def test_labels_go_with_their_images(self):
        distribution = registry.randomize(
            nvp.real_nvp(event_shape=(2, 2, 1), scales=1, width=2, blocks=0, levels=17, context_size=3)
        )
        images = np.random.default_rng(0).integers(17, size=[5, 2, 2, 1], dtype=np.uint8)
        labels = np.array([0, 2, 1, 1, 0], np.int32)
        batches = [(images[:3], labels[:3]), (images[3:], labels[3:])]
        result = evaluation.evaluate(distribution, batches, levels=17, classes=3, seed=4)
        for wrong in (3, -1):
            with self.assertRaisesRegex(ValueError, rf"labels in 0 \.\.\. 2, got ({wrong} \.\.\. 2|0 \.\.\. {wrong})"):
                evaluation.evaluate(distribution, [(images[:3], np.array([0, 2, wrong]))], levels=17, classes=3)
        # One label would be broadcast, and a float rounded.
        for wrong in (labels[:1], labels[:3] + 0.5, labels[:3, np.newaxis]):
            with self.assertRaisesRegex(ValueError, "expected an integer label for each of 3 events, got"):
                evaluation.evaluate(distribution, [(images[:3], wrong)], levels=17, classes=3)
        with self.assertRaisesRegex(TypeError, "expected batches of pairs of events and labels, got a ndarray"):
            evaluation.evaluate(distribution, [images[:2]], levels=17, classes=3)
        bits = []
        for number, (some, theirs) in enumerate(batches):
            seed = tf.random.experimental.stateless_fold_in([4, number], 0)
            pixels = nvp.dequantize(some, seed=seed, levels=17)
            log_prob = distribution.log_prob(pixels, context=np.eye(3, dtype=np.float32)[theirs])
            bits.append(evaluation.bits_per_dim(log_prob.numpy(), (2, 2, 1)))
        self.assertAlmostEqual(result.mean, np.mean(np.concatenate(bits)), 5)

    def test_a_batch_without_images_changes_nothing(self):
        images, flow = _images(3), _flow()
        whole, parts = (evaluation.evaluate(flow, batches) for batches in ([images], [images, images[:0]]))
        self.assertEqual(parts, whole)

    def test_tells_of_its_progress(self):
        seen = []
        result = evaluation.evaluate(_uniform(256), _batches(_images(5), 2), progress=seen.append)
        self.assertEqual([e.count for e in seen], [2, 4, 5])
        self.assertEqual(seen[-1], result)

    def test_an_image_outside_the_support_is_infinite(self):
        result = evaluation.evaluate(_uniform(16), [np.full([2, *_SHAPE], 200, np.uint8)])
        self.assertEqual(result.mean, math.inf)

    @parameterized.named_parameters(
        ("nothing", [], ValueError, "at least one event to evaluate on, got none"),
        ("an_empty_batch", [_images(0)], ValueError, "at least one event to evaluate on, got none"),
        (
            "another_width",
            [_images(2, shape=(4, 5, 1))],
            ValueError,
            r"of shape \(4, 4, 1\), got .*\(2, 4, 5, 1\)",
        ),
        ("no_channels", [_images(2)[..., 0]], ValueError, r"of shape \(4, 4, 1\), got .*\(2, 4, 4\)"),
        ("floats", [_images(2).astype(np.float32)], TypeError, "integer pixels, got float32"),
        ("labels", [(_images(2), np.zeros(2))], TypeError, "images alone, got a tuple"),
        ("a_dict", [{"image": _images(2)}], TypeError, "images alone, got a dict"),
        ("negatives", [_images(2).astype(np.int32) - 300], ValueError, r"pixels in 0 \.\.\. 255, got -"),
    )
    def test_refuses(self, batches, error, message):
        with self.assertRaisesRegex(error, message):
            evaluation.evaluate(_uniform(256), batches)

    def test_refuses_pixels_that_are_no_level(self):
        with self.assertRaisesRegex(ValueError, "are 17 levels right"):
            evaluation.evaluate(_uniform(17), [np.full([2, *_SHAPE], 17, np.uint8)], levels=17)

    def test_refuses_images_without_levels(self):
        with self.assertRaisesRegex(ValueError, "expected the number of levels of a pixel, got None"):
            evaluation.evaluate(_uniform(256), [_images(2)], levels=None)

    def test_refuses_no_samples(self):
        with self.assertRaisesRegex(ValueError, "at least one importance sample, got 0"):
            evaluation.evaluate(_uniform(256), [_images(2)], importance_samples=0)


class VectorsTest(absltest.TestCase):
    def test_mean_and_standard_error_over_batches(self):
        rows = np.random.default_rng(0).normal(size=[10, 3]).astype(np.float32)
        distribution = tfd.Sample(tfd.Normal(0.0, 1.0), [3])
        result = evaluation.evaluate(distribution, [rows[:4], rows[4:]])
        expected = -0.5 * np.sum(rows**2, 1) - 1.5 * np.log(2 * np.pi)
        self.assertAlmostEqual(result.mean, np.mean(expected), 5)
        self.assertAlmostEqual(result.standard_error, np.std(expected, ddof=1) / np.sqrt(10), 5)
        self.assertRegex(str(result), r"^-\d+\.\d{4} \+- \d\.\d{4} nats \(exact, 10 events\)$")

    def test_nothing_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected at least one event to evaluate on, got none"):
            evaluation.evaluate(nvp.nice(event_shape=(2,), hidden_units=(2,)), [])

    def test_integers_are_refused(self):
        with self.assertRaisesRegex(TypeError, "expected vectors of floats, got int64: only images are dequantised"):
            evaluation.evaluate(tfd.Sample(tfd.Normal(0.0, 1.0), [3]), [np.zeros([4, 3], np.int64)])

    def test_batches_of_another_shape_are_refused(self):
        for batches, got in ((np.zeros([4, 3]), r"\(3,\)"), ([np.zeros([4, 2])], r"\(4, 2\)")):
            with self.assertRaisesRegex(ValueError, rf"expected batches of vectors \[batch, 3\], got shape {got}"):
                evaluation.evaluate(tfd.Sample(tfd.Normal(0.0, 1.0), [3]), batches)

    def test_noise_is_refused(self):
        distribution = tfd.Sample(tfd.Normal(0.0, 1.0), [3])
        with self.assertRaisesRegex(ValueError, r"expected images for noise, got .* vectors of shape \(3,\)"):
            evaluation.evaluate(distribution, [np.zeros([2, 3])], importance_samples=2)


if __name__ == "__main__":
    absltest.main()
