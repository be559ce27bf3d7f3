"""Baselines against brute force and closed forms."""

import math
from unittest import mock

import numpy as np
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tfp_realnvp import evaluation
from tfp_realnvp.evaluation import baselines, column_baselines


def _images(count: int, levels: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Images whose entries have different histograms and go together."""
    random = np.random.default_rng([seed, count])
    common = random.normal(size=[count, 1])
    own = random.normal(size=[count, math.prod(shape)]) * np.linspace(0.2, 1.0, math.prod(shape))
    pixels = np.floor((common + own) * levels / 6 + levels / 2)
    return np.clip(pixels, 0, levels - 1).astype(np.uint8).reshape(count, *shape)


def _batches(images: np.ndarray, size: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(images).batch(size)


class HistogramTest(parameterized.TestCase):
    def test_is_brute_force(self):
        train, test = _images(20, 5, (3, 2, 2)), _images(7, 5, (3, 2, 2))
        bits = []
        for image in test:
            total = 0.0
            for entry in np.ndindex(image.shape):
                seen = sum(other[entry] == image[entry] for other in train)
                total -= math.log2((seen + 1) / (20 + 5))
            bits.append(total / image.size)
        result = evaluation.histogram_bits_per_dim(train, test, 5)
        self.assertAlmostEqual(result.mean, np.mean(bits), places=12)
        self.assertAlmostEqual(result.standard_error, np.std(bits, ddof=1) / math.sqrt(7), places=12)
        self.assertEqual((result.count, result.unit, result.bound), (7, "bits/dim", None))

    @parameterized.parameters(1, 4, 100)
    def test_is_a_distribution(self, num_train):
        """The probabilities of all images of one pixel are one together."""
        train = _images(num_train, 4, (1, 1, 1))
        bits = [evaluation.histogram_bits_per_dim(train, np.full([1, 1, 1, 1], v, np.uint8), 4) for v in range(4)]
        self.assertAlmostEqual(sum(2**-b.mean for b in bits), 1.0, places=12)

    def test_finds_the_entropy_of_uniform_pixels(self):
        random = np.random.default_rng(0)
        train = random.integers(256, size=[5000, 4, 4, 1], dtype=np.uint8)
        test = random.integers(256, size=[200, 4, 4, 1], dtype=np.uint8)
        result = evaluation.histogram_bits_per_dim(train, test)
        # Above 8 by what 255 estimated probabilities cost, some 255 / (2 * 5000 log 2) bits.
        self.assertBetween(result.mean, 8.0, 8.08)

    def test_batches_give_what_an_array_gives(self):
        train, test = _images(50, 17, (4, 4, 1)), _images(9, 17, (4, 4, 1))
        of_arrays = evaluation.histogram_bits_per_dim(train, test, 17)
        with mock.patch.object(baselines, "_CHUNK", 8):
            of_chunks = evaluation.histogram_bits_per_dim(train, test, 17)
            of_batches = evaluation.histogram_bits_per_dim(_batches(train, 3), _batches(test, 4), levels=17)
        self.assertAlmostEqual(of_arrays.mean, of_chunks.mean, places=12)
        self.assertAlmostEqual(of_arrays.mean, of_batches.mean, places=12)
        self.assertEqual(of_batches.count, 9)


class GaussianTest(parameterized.TestCase):
    def test_is_tfps_normal_behind_the_preprocessing(self):
        """Density, log-det and units, against TFP and moments from numpy."""
        levels, shape, alpha = 17, (2, 3, 1), 0.1
        train, test = _images(300, levels, shape), _images(40, levels, shape)
        logit = nvp.bijectors.DequantizedLogit(levels, alpha=alpha)

        def noisy(images: np.ndarray, seed: tuple[int, int]) -> tf.Tensor:
            flat = images.reshape(len(images), -1)
            return nvp.dequantize(flat, seed=seed, levels=levels, dtype="float64")

        z = logit.forward(noisy(train, (3, 0))).numpy()
        factor = np.linalg.cholesky(np.cov(z, rowvar=False, ddof=0))
        gaussian = tfp.distributions.TransformedDistribution(
            tfp.distributions.MultivariateNormalTriL(z.mean(0), factor),
            tfp.bijectors.Invert(logit),
        )
        bits = -gaussian.log_prob(noisy(test, (3, -1))).numpy() / (6 * math.log(2))

        result = evaluation.gaussian_bits_per_dim(train, test, levels, alpha=alpha, seed=3)

        self.assertAlmostEqual(result.mean, bits.mean(), places=5)
        self.assertAlmostEqual(result.standard_error, bits.std(ddof=1) / math.sqrt(40), places=5)
        self.assertEqual((result.count, result.bound), (40, "uniform dequantisation, 1 sample"))

    def test_beats_independent_pixels_where_they_go_together(self):
        train, test = _images(2000, 64, (2, 2, 1)), _images(500, 64, (2, 2, 1), seed=1)
        gaussian = evaluation.gaussian_bits_per_dim(train, test, 64)
        histogram = evaluation.histogram_bits_per_dim(train, test, 64)
        self.assertLess(gaussian.mean, histogram.mean - 0.2)

    def test_no_gaussian_beats_the_entropy(self):
        """Of uniform pixels 8 bits; the normal's misfit to a logit of them is small."""
        random = np.random.default_rng(0)
        train = random.integers(256, size=[4000, 2, 2, 1], dtype=np.uint8)
        test = random.integers(256, size=[1000, 2, 2, 1], dtype=np.uint8)
        result = evaluation.gaussian_bits_per_dim(train, test)
        self.assertBetween(result.mean, 8.0, 8.3)

    def test_constant_pixels_are_no_singularity(self):
        train = _images(200, 17, (2, 2, 1))
        train[:, 0, 0] = 0
        result = evaluation.gaussian_bits_per_dim(train, train[:20], 17)
        self.assertTrue(math.isfinite(result.mean))

    def test_batches_and_chunks_give_what_an_array_gives(self):
        """But for the noise, which is keyed by the chunk."""
        train, test = _images(3000, 17, (2, 2, 1)), _images(500, 17, (2, 2, 1))
        of_arrays = evaluation.gaussian_bits_per_dim(train, test, 17)
        again = evaluation.gaussian_bits_per_dim(_batches(train, 1024), _batches(test, 500), 17)
        self.assertEqual(of_arrays, again)
        with mock.patch.object(baselines, "_CHUNK", 100):
            of_batches = evaluation.gaussian_bits_per_dim(_batches(train, 64), _batches(test, 64), levels=17)
        self.assertEqual(of_batches.count, 500)
        self.assertAlmostEqual(of_arrays.mean, of_batches.mean, delta=0.02)

    def test_the_seed_decides_the_noise(self):
        images = _images(100, 17, (2, 2, 1))
        first, again, other = (
            evaluation.gaussian_bits_per_dim(images, images[:20], 17, seed=seed) for seed in (0, 0, 1)
        )
        self.assertEqual(first, again)
        self.assertNotEqual(first.mean, other.mean)

    def test_refuses_too_few_images(self):
        images = _images(4, 17, (2, 2, 1))
        with self.assertRaisesRegex(evaluation.NoBaselineError, "more than 4 training images .* got 4"):
            evaluation.gaussian_bits_per_dim(images, images, 17)


class VectorsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("fewer_rows_than_columns", lambda x: x[:2], "expected more than 3 training rows for 3 columns, got 2"),
        ("as_many_rows", lambda x: x[:3], "expected more than 3 training rows for 3 columns, got 3"),
        ("constant", lambda x: x * [1, 0, 1] + 0.1, "expected columns that vary, got a constant column 2"),
        (
            "a_sum",
            lambda x: np.stack([x[:, 0], x[:, 1], x[:, 0] + x[:, 1]], 1),
            "a column that is a linear combination",
        ),
        ("a_sum_far_from_0", lambda x: np.stack([x[:, 0] + 1e4, x[:, 1], 3 * x[:, 1] + 7], 1), "linear combination"),
        ("copies", lambda x: x[:1] + 0 * x, "expected columns that vary, got a constant column 1"),
    )
    def test_where_there_is_no_gaussian(self, change, message):
        rows = np.random.default_rng(0).normal(size=[50, 3]).astype(np.float32)
        train = np.asarray(change(rows), np.float32)
        with self.assertRaisesRegex(evaluation.NoBaselineError, message):
            evaluation.gaussian_log_likelihood([train], [rows])

    def test_other_vectors(self):
        rows = np.random.default_rng(0).normal(size=[9, 3])
        for train, test, message in (
            ([], [rows], "expected at least one vector to fit on, got none"),
            ([rows], [], "expected at least one vector to evaluate on, got none"),
            ([rows], [rows[:, :2]], "expected test vectors of the 3 columns of the training vectors, got 2"),
            ([rows, rows[:, :2]], [rows], r"expected batches of vectors \[batch, size\], got shape \(9, 2\)"),
            ([rows], [rows * np.nan], "expected finite vectors to evaluate on, got NaN or infinity"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                evaluation.gaussian_log_likelihood(train, test)

    def test_it_is_that_of_the_training_rows(self):
        random = np.random.default_rng(1)
        mixing = np.array([[2.0, 0, 0], [1, 0.5, 0], [0, 3, 100]])
        train, test = (random.normal(size=[n, 3]) @ mixing.T + 5 for n in (500, 50))
        covariance = np.cov(train, rowvar=False, bias=True)
        fitted = tfp.distributions.MultivariateNormalFullCovariance(train.mean(0), covariance)
        result = evaluation.gaussian_log_likelihood([train[:100], train[100:]], [test])
        self.assertAlmostEqual(result.mean, float(np.mean(fitted.log_prob(test))), 3)

    def test_a_narrow_gaussian_is_one(self):
        """The determinant, where columns are nearly and not exactly dependent."""
        x, y, noise = np.random.default_rng(0).normal(size=[3, 1000])
        rows = np.stack([x, y, x + y + 1e-3 * noise], 1).astype(np.float32)
        result = evaluation.gaussian_log_likelihood([rows], [rows])
        entropy = 1.5 * math.log(2 * math.pi * math.e) + 0.5 * np.linalg.slogdet(np.cov(rows.T.astype(float)))[1]
        self.assertAlmostEqual(result.mean, -entropy, delta=2e-3)


class ColumnsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        random = np.random.default_rng(0)
        x = random.normal(size=[300, 2]) @ [[1.0, 2.0], [0.0, 1.0]] + [3, -1]
        self.table = {"a": x[:, 0], "b": x[:, 1], "w": random.random(300)}

    def _scores(self, weights, size):
        table = {name: self.table[name] for name in ("a", "b", *filter(None, [weights]))}
        columns = nvp.columns.infer_with_notes(
            {name: values[:200] for name, values in table.items()}, "a:real,b:real", weights=weights
        ).columns
        rows = columns.encode(table)
        return evaluation.column_log_likelihoods(columns, _batches(rows[:200], size), _batches(rows[200:], size))

    def test_of_exact_columns(self):
        x = np.stack([self.table["a"], self.table["b"]], -1)
        train, test = x[:200], x[200:]
        for size in (7, 1000):
            for weights, w in ((None, np.ones(100)), ("w", self.table["w"][200:])):
                scores = self._scores(weights, size)
                normal = scipy.stats.norm(train.mean(0), train.std(0)).logpdf(test).sum(-1)
                copula = scipy.stats.multivariate_normal(train.mean(0), np.cov(train.T)).logpdf(test)
                for name, nats in (("independent columns", normal), ("Gaussian copula", copula)):
                    weighted = nats * w / w.mean()
                    self.assertAlmostEqual(scores[name].mean, weighted.mean(), places=4)
                    self.assertAlmostEqual(scores[name].standard_error, weighted.std(ddof=1) / 10, places=4)

    def test_noise_differs_between_batches(self):
        table = {"a": np.arange(300) % 10, "b": np.arange(300) % 3}
        columns = nvp.columns.infer(table)
        rows = columns.encode(table)
        (v, *_), (again, *_) = (
            columns.dequantize(rows[:30], columns.noise(rows[:30], seed=column_baselines._noise_seed(0, *place)))
            for place in ((0, 0), (1, 0))
        )
        self.assertTrue(np.all(v != again))

    def test_few_rows(self):
        columns = nvp.columns.infer({name: self.table[name] for name in "ab"}, "a:real,b:real")
        rows = columns.encode(self.table)
        with self.assertRaisesRegex(evaluation.NoBaselineError, "more than 2 training rows for 2 entries, got 2"):
            evaluation.column_log_likelihoods(columns, [rows[:2]], [rows[2:]])


class RefusalsTest(parameterized.TestCase):
    @parameterized.product(
        baseline=[evaluation.histogram_bits_per_dim, evaluation.gaussian_bits_per_dim],
        case=[
            ((0, (2, 2, 1)), (9, (2, 2, 1)), ValueError, "at least one image to train on"),
            ((9, (2, 2, 1)), (0, (2, 2, 1)), ValueError, "at least one image to evaluate on"),
            ((9, (2, 2, 1)), (9, (2, 1, 1)), ValueError, r"\(2, 2, 1\), got .*\(9, 2, 1, 1\)"),
        ],
    )
    def test_empty_sets_and_other_shapes(self, baseline, case):
        (num_train, train_shape), (num_test, test_shape), error, message = case
        train, test = _images(num_train, 17, train_shape), _images(num_test, 17, test_shape)
        with self.assertRaisesRegex(error, message):
            baseline(train, test, 17)
        with self.assertRaisesRegex(error, message):
            baseline(_batches(train, 2), _batches(test, 9), 17)

    @parameterized.parameters(evaluation.histogram_bits_per_dim, evaluation.gaussian_bits_per_dim)
    def test_floats_and_other_levels(self, baseline):
        images = _images(50, 17, (2, 2, 1))
        with self.assertRaisesRegex(TypeError, "integer pixels, got float64"):
            baseline(images / 2, images, 17)
        with self.assertRaisesRegex(ValueError, "are 9 levels right"):
            baseline(images, images, 9)


if __name__ == "__main__":
    absltest.main()
