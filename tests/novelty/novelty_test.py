"""p-values are uniform for regular events, find what they should, and are said to miss what they do."""

import io
import json
import math
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized
from PIL import Image
from scipy import stats

import tfp_realnvp as nvp
from tests import registry
from tests.launch import programs
from tfp_realnvp import novelty, serving
from tfp_realnvp.novelty.conformal import two_sided_p_values

_LEVELS = 17


def _gaussian_flow(size=4):
    """A flow whose density is a Gaussian of independent entries, with known mean and scale."""
    flow = nvp.standardized(nvp.nice(event_shape=size), np.arange(size), 1 + np.arange(size))
    return flow, np.arange(size), 1.0 + np.arange(size)


class _ShiftOfLabel(nvp.bijectors.Bijector):
    def _forward_and_log_det(self, x, context, training):
        return x + tf.reshape(context @ [[-1.0], [0.0], [1.0]], [-1, 1, 1, 1]), tf.zeros(tf.shape(x)[:1])

    def _inverse_and_log_det(self, z, context, training):
        return z - tf.reshape(context @ [[-1.0], [0.0], [1.0]], [-1, 1, 1, 1]), tf.zeros(tf.shape(z)[:1])


def _digits(split, count):
    return np.stack([*nvp.data.load("digits").examples(split).take(count)])


class PValuesTest(parameterized.TestCase):
    def test_known_ranks(self):
        found = novelty.p_values(np.array([[0.5, 1.0], [2.0, 9.0]]), np.array([3.0, 1.0, 2.0]), tail="upper")
        np.testing.assert_allclose(found, np.array([[4, 4], [3, 1]]) / 4)
        found = novelty.p_values(np.array([-math.inf, 0.5, 1.0, 2.0, 3.5]), np.arange(1.0, 40))
        np.testing.assert_allclose(found, [2 / 40, 2 / 40, 4 / 40, 6 / 40, 8 / 40])

    @parameterized.product(count=(1, 7, 60), tail=("both", "upper"))
    def test_super_uniform_in_finite_samples(self, count, tail):
        # Over calibrations, too; a discrete statistic has ties.
        random = np.random.default_rng(count)
        for drawn in (random.normal(size=[4_000, count + 1]), random.integers(0, 3, [4_000, count + 1])):
            found = np.array([novelty.p_values(row[-1], row[:-1], tail=tail) for row in drawn])
            for level in (0.05, 0.1, 0.25, 0.5, 0.9):
                error = math.sqrt(level * (1 - level) / len(found))
                self.assertLessEqual(np.mean(found <= level), level + 4 * error)

    def test_uniform_on_a_gaussian_flow(self):
        flow, mean, std = _gaussian_flow()
        random = np.random.default_rng(0)
        x = (mean + std * random.normal(size=[3_000, 4])).astype(np.float32)
        scorer = serving.Scorer(flow, novelty=("typicality", "gradient"), batch_size=1_500)
        scores = scorer.score(x)
        np.testing.assert_allclose(scores.log_prob, stats.norm(mean, std).logpdf(x).sum(-1), rtol=1e-5)
        expected = np.linalg.norm((x - mean) / std**2, axis=-1)
        np.testing.assert_allclose(scores.novelty["gradient"], expected, rtol=1e-4)
        calibration = novelty.Calibration({name: values[:1_500] for name, values in scores.novelty.items()})
        found = calibration.p_values({name: values[1_500:] for name, values in scores.novelty.items()})
        for name in scorer.novelty:
            self.assertGreater(stats.kstest(found[name], "uniform").pvalue, 1e-3)
            # The mode, whose density is the greatest, and a point far out.
            odd = scorer.score(np.stack([mean, mean + 9 * std]).astype(np.float32)).novelty
            np.testing.assert_array_less(calibration.p_values(odd)[name], 0.02)

    def test_rounding_breaks_no_ties(self):
        calibration = novelty.Calibration({"typicality": np.repeat([-40.0, -30.0, -20.0], [10, 79, 10])})
        expected = [22 / 100, 1, 22 / 100]
        for rounding in (-2e-6, 0, 2e-6):
            statistic = np.float32([-40, -30, -20]) * np.float32(1 + rounding)
            np.testing.assert_allclose(calibration.p_values({"typicality": statistic})["typicality"], expected)
            ascending = calibration.statistics["typicality"]
            np.testing.assert_allclose(two_sided_p_values(tf.constant(statistic), ascending), expected, rtol=1e-6)

    @parameterized.parameters(
        (dict(tail="lower"), "expected tail to be both or upper, got 'lower'"),
        (dict(tolerance=-1.0), "expected a tolerance of 0 or more, got -1.0"),
        (dict(calibration=np.zeros(0)), "expected at least one calibration event, got none"),
        (dict(calibration=np.array([1.0, np.nan])), "expected numbers, got NaN: leave out events that have no score"),
        (dict(statistic=np.array([np.nan])), "expected numbers, got NaN"),
    )
    def test_refused(self, given, message):
        with self.assertRaisesRegex(ValueError, message):
            novelty.p_values(**{"statistic": np.zeros(2), "calibration": np.zeros(3), **given})

    @parameterized.parameters(
        ({}, "expected statistics of typicality, complexity, gradient, got none"),
        ({"likelihood": [1.0]}, "expected statistics of typicality, complexity, gradient, got likelihood"),
        ({"typicality": [], "gradient": []}, r"of 1 event or more, got \[0\] of typicality, \[0\] of gradient"),
        ({"typicality": [1.0, 2.0], "gradient": [1.0]}, r"got \[2\] of typicality, \[1\] of gradient"),
        ({"typicality": [1.0, -np.inf]}, "expected finite statistics, got -inf of typicality"),
    )
    def test_refused_calibrations(self, statistics, message):
        with self.assertRaisesRegex(ValueError, message):
            novelty.Calibration(statistics)

    def test_a_codec_that_is_none_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected a codec of png, .*, got 'gif'"):
            novelty.Calibration({"complexity": [1.0]}, codec="gif")

    def test_a_calibration_comes_back_from_json(self):
        given = novelty.Calibration({"typicality": [0.1, -3.7, 2.5]}, codec="webp", source="rows")
        back = novelty.Calibration.of_json(json.loads(json.dumps(given.to_json())))
        np.testing.assert_array_equal(back.statistics["typicality"], given.statistics["typicality"])
        self.assertEqual((back.codec, back.source, back.count), ("webp", "rows", 3))
        with self.assertRaisesRegex(ValueError, "expected statistics of typicality, got gradient"):
            given.p_values({"gradient": np.zeros(2)})


class ComplexityTest(parameterized.TestCase):
    @parameterized.parameters("png", "webp", "jpeg2000")
    def test_bits_of_files(self, codec):
        random = np.random.default_rng(0)
        for channels in (1, 3):
            noise = random.integers(0, 256, [2, 32, 32, channels]).astype(np.uint8)
            images = np.concatenate([noise, np.full_like(noise, 7)])
            found = novelty.codec_bits_per_dim(images, codec)
            self.assertTrue(np.all(found[:2] > 8) and np.all(found[2:] < 2), found)

    def test_the_file_of_png(self):
        images, file = _digits("test", 3), io.BytesIO()
        Image.fromarray(images[0, ..., 0]).save(file, "PNG", optimize=True)
        size = len(file.getvalue())
        found = novelty.input_complexity(images, np.full(3, -64 * math.log(2)))
        self.assertAlmostEqual(found[0], 1 - 8 * size / 64)

    def test_refused(self):
        images = np.zeros([2, 4, 4, 1], np.uint8)
        for given, log_prob, codec, error, message in (
            (images.astype(np.float32), np.zeros(2), "png", TypeError, "expected uint8 images, got float32"),
            (images[..., 0], np.zeros(2), "png", ValueError, r"expected images \[n, .*, 1 or 3\], got \[2, 4, 4\]"),
            (images, np.zeros(3), "png", ValueError, r"expected a log_prob for each of 2 images, got \[3\]"),
            (images, np.zeros(2), "flif", ValueError, "expected a codec of png, webp, jpeg2000, jxl, got 'flif'"),
        ):
            with self.assertRaisesRegex(error, message):
                novelty.input_complexity(given, log_prob, codec=codec)


class GradientTest(absltest.TestCase):
    def test_by_differences(self):
        flow = registry.randomize(nvp.maf(event_shape=3, layers=2, hidden_units=(8,), context_size=2))
        x = np.random.default_rng(0).normal(size=[5, 3]).astype(np.float32)
        context = np.random.default_rng(1).normal(size=[5, 2]).astype(np.float32)
        steps = 1e-2 * np.eye(3, dtype=np.float32)
        slopes = [flow.log_prob(x + step, context=context) - flow.log_prob(x - step, context=context) for step in steps]
        expected = np.linalg.norm(np.array(slopes) / 2e-2, axis=0)
        found = novelty.gradient_norm(flow, x, context)
        np.testing.assert_allclose(found, expected, rtol=2e-2)
        # Any batch shape: of a single event, too, it is the norm of all entries.
        np.testing.assert_allclose(novelty.gradient_norm(flow, x[1], context[1]), found[1], rtol=1e-5)

    def test_outside_the_support(self):
        bounded = nvp.bijectors.Chain([tfp.bijectors.Invert(tfp.bijectors.Sigmoid())])
        norms = novelty.gradient_norm(
            nvp.FlowDistribution(bounded, (2,)), np.array([[0.3, 0.6], [0.3, 1.6]], "float32")
        )
        self.assertEqual(np.isnan(norms).tolist(), [False, True])


class GroupTest(parameterized.TestCase):
    @parameterized.parameters((5, 400), (100, 400))  # Where the calibration's own error matters, too.
    def test_has_its_level_and_finds_shifts(self, size, count):
        random = np.random.default_rng(size)
        found, shifted = [], []
        for i in range(200):
            calibration = -random.chisquare(20, size=count)  # Skewed, as log-densities are.
            groups = -random.chisquare(20, size=[2, size])
            groups[1] += 30 / math.sqrt(size)  # Some five standard errors.
            regular, odd = novelty.group_p_values(groups, calibration, resamples=99, seed=i)
            found.append(regular)
            shifted.append(odd)
        for level in (0.05, 0.1, 0.3):
            self.assertAlmostEqual(np.mean(np.array(found) <= level), level, delta=4 * math.sqrt(level / 200))
        self.assertGreater(np.mean(np.array(shifted) <= 0.05), 0.9)

    def test_shapes(self):
        calibration = np.random.default_rng(0).normal(size=50)
        self.assertEqual(novelty.group_p_values(calibration, calibration), 1)
        self.assertEqual(novelty.group_p_values(np.zeros([2, 3, 4]), calibration, resamples=9).shape, (2, 3))

    @parameterized.parameters(
        (dict(groups=np.zeros([2, 0])), r"expected groups .* of at least one event, got \[2, 0\]"),
        (dict(calibration=np.zeros(1)), r"expected log-densities .* of 2 calibration events or more, got \[1\]"),
        (dict(groups=np.array([-np.inf])), "expected finite log-densities"),
        (dict(resamples=0), "expected resamples of 1 or more, got 0"),
    )
    def test_refused(self, given, message):
        with self.assertRaisesRegex(ValueError, message):
            novelty.group_p_values(**{"groups": np.zeros(3), "calibration": np.arange(4.0), **given})


class ScorerTest(absltest.TestCase):
    def test_an_event_without_a_score_has_no_statistic(self):
        flow = nvp.FlowDistribution(nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(_LEVELS)]), (8, 8, 1))
        scorer = serving.Scorer(flow, levels=_LEVELS, novelty=tuple(novelty.TAILS), batch_size=4)
        images = _digits("test", 6)
        expected = scorer.score(images)
        images[2] = _LEVELS
        scores = scorer.score(images)
        self.assertEqual([*scores.faults], [2])
        for name, values in scores.novelty.items():
            np.testing.assert_array_equal(np.isnan(values), np.arange(6) == 2)
            np.testing.assert_array_equal(np.delete(values, 2), np.delete(expected.novelty[name], 2))
        self.assertEqual([len(values) for values in scorer.score(images[:0]).novelty.values()], [0, 0, 0])

    def test_takes_any_seed_of_32_bits(self):
        flow = nvp.FlowDistribution(nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(_LEVELS)]), (8, 8, 1))
        images, greatest = _digits("test", 2), np.int64(2**31 - 1)
        first, last, both = (
            serving.Scorer(flow, levels=_LEVELS, noise_seed=seed, importance_samples=count, batch_size=2)
            .score(images)
            .log_prob
            for seed, count in ((greatest, 1), (-(2**31), 1), (greatest, 2))
        )
        np.testing.assert_allclose(both, np.logaddexp(first, last) - np.log(2), rtol=1e-6)

    def test_refused(self):
        flow = nvp.nice(event_shape=4)
        for given, message in (
            (dict(novelty=("complexity",)), r"expected images for the novelty score complexity, got .* shape \(4,\)"),
            (dict(novelty=("likelihood",)), "expected novelty of typicality, complexity, gradient, got 'likelihood'"),
            (dict(novelty=("gradient",), importance_samples=2), "expected one noise sample for novelty, got 2"),
            (dict(importance_samples=0), "expected importance_samples and a batch_size of 1 or more, got 0 and 4096"),
            (dict(noise_seed=2**31), r"expected noise_seed in -2147483648 \.\.\. 2147483647, got 2147483648"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                serving.Scorer(flow, **given)
        with self.assertRaisesRegex(TypeError, "expected events of floats, got int64"):
            serving.Scorer(flow).score(np.ones([1, 4], np.int64))


class ServedTest(absltest.TestCase):
    def _served(self, scorer, calibrating, flow, **given):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        calibration = novelty.Calibration(scorer.score(calibrating).novelty, source="made up")
        nvp.save(flow, f"{folder}/1", calibration=calibration, **given)
        return f"{folder}/1", calibration

    def test_images(self):
        flow = nvp.FlowDistribution(nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(_LEVELS)]), (8, 8, 1))
        scorer = serving.Scorer(flow, levels=_LEVELS, novelty=tuple(novelty.TAILS), batch_size=32)
        path, calibration = self._served(scorer, _digits("validation", 60), flow, invalid_rows="minus_inf")
        images = _digits("test", 40)
        expected = calibration.p_values(scorer.score(images).novelty)
        model = tf.saved_model.load(path)
        found = model.signatures["p_value_uint8"](images=tf.constant(images))
        # Rounding may move a log-density past another one.
        np.testing.assert_allclose(found["p_value"], expected["typicality"], atol=2.1 / 61)
        self.assertLess(np.mean(np.abs(found["p_value"] - expected["typicality"]) > 1e-6), 0.1)
        self.assertGreater(np.ptp(found["p_value"]), 0.5)
        self.assertContainsSubset(["log_prob", "bits_per_dim"], found)
        images[3] = _LEVELS
        wrong = model.signatures["p_value_uint8"](images=tf.constant(images))
        self.assertAlmostEqual(float(wrong["p_value"][3]), 2 / 61)
        np.testing.assert_array_equal(np.delete(wrong["p_value"], 3), np.delete(found["p_value"], 3))
        floats = model.signatures["p_value"](images=tf.cast(images[:3], tf.float32) + 0.5)
        self.assertEqual(floats["p_value"].shape, (3,))

        again = serving.calibration_of(path)
        for name, values in calibration.statistics.items():
            np.testing.assert_array_equal(again.statistics[name], values)
        self.assertEqual(serving.describe(path)["calibration"], {"count": 60, "source": "made up"})
        file = f"{path}/assets.extra/calibration.json"
        with open(file) as opened:
            text = opened.read()
        for damage in (text[:-9], text.replace("typicality", "novelty"), "3"):
            with open(file, "w") as opened:
                opened.write(damage)
            with self.assertRaisesRegex(serving.ExportError, f"expected a calibration in {file}, got "):
                serving.calibration_of(path)

    def test_labels(self):
        chain = nvp.bijectors.Chain(
            [nvp.bijectors.DequantizedLogit(_LEVELS), _ShiftOfLabel(event_ndims=3, name="shift")]
        )
        flow = nvp.FlowDistribution(chain, (4, 4, 1))
        random = np.random.default_rng(0)
        images = random.integers(0, _LEVELS, [60, 4, 4, 1]).astype(np.uint8)
        labels = np.arange(60) % 3
        scorer = serving.Scorer(flow, levels=_LEVELS, classes=3, novelty=("typicality", "gradient"), batch_size=60)
        scores = scorer.score(images, labels=labels)
        self.assertFalse(np.allclose(scores.log_prob, scorer.score(images, labels=(labels + 1) % 3).log_prob))
        with tempfile.TemporaryDirectory() as folder:
            calibration = novelty.Calibration(scores.novelty)
            nvp.save(flow, f"{folder}/1", calibration=calibration, classes=3)
            signature = tf.saved_model.load(f"{folder}/1").signatures["p_value_uint8"]
            found = signature(images=tf.constant(images), labels=tf.constant(labels, tf.int32))["p_value"]
        expected = calibration.p_values(scores.novelty)["typicality"]
        np.testing.assert_allclose(found, expected, atol=2.1 / 61)

    def test_tables(self):
        random = np.random.default_rng(0)
        table = {"age": random.integers(20, 23, 120), "kind": random.choice(["a", "b"], 120)}
        columns = nvp.columns.infer_with_notes(table, nvp.columns.Spec.of_text("age:integer(0,120)")).columns
        flow = registry.randomize(nvp.coupling_flow(event_shape=(columns.entries,), couplings=2, hidden_units=(32,)))
        scorer = serving.Scorer(flow, columns=columns, novelty=("typicality", "gradient"), batch_size=64)
        rows = columns.encode(table)
        path, calibration = self._served(scorer, rows[:60], flow, columns=columns)
        # Each row by itself is rounded otherwise than in a batch, and still ties with equal rows.
        signature = tf.saved_model.load(path).signatures["p_value"]
        found = [signature(rows=tf.constant(row[np.newaxis]))["p_value"][0] for row in rows[60:]]
        expected = calibration.p_values(scorer.score(rows[60:]).novelty)
        self.assertBetween(len(np.unique(expected["typicality"])), 3, 6)
        np.testing.assert_allclose(found, expected["typicality"], rtol=1e-6)

    def test_refused(self):
        flow = nvp.nice(event_shape=4)
        images = nvp.real_nvp(event_shape=(4, 4, 1), levels=17, scales=1, width=2, blocks=1)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with self.assertRaisesRegex(ValueError, "expected a calibration with typicality, got gradient"):
            nvp.save(flow, f"{folder}/1", calibration=novelty.Calibration({"gradient": [1.0]}))
        with self.assertRaisesRegex(ValueError, "expected float32 kernels with a calibration, got bfloat16"):
            calibration = novelty.Calibration({"typicality": [1.0]})
            nvp.save(images, f"{folder}/1", calibration=calibration, weights_dtype="bfloat16")
        self.assertIsNone(serving.calibration_of(programs.digits()))


if __name__ == "__main__":
    absltest.main()
