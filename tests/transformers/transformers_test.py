"""Each transformer with parameters whose results are known."""

import functools
import math

import numpy as np
import scipy.integrate
import scipy.interpolate
import scipy.special
import scipy.stats
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp import transformers
from tfp_realnvp.transformers.logistic_mixture import components_of, mixture_logit
from tfp_realnvp.transformers.probit import ndtri


class _Trained(transformers.UnconstrainedMonotonic):
    """Its last kernel, which starts at 0, is random."""

    def build(self, dtype, name):
        super().build(dtype, name)
        self.kernels[-1].assign(np.random.default_rng(3).normal(size=self.kernels[-1].shape))


_BISECTED = (
    functools.partial(transformers.Bernstein, 6, bound=2.0),
    functools.partial(transformers.SumOfSquares, bound=2.0),
    functools.partial(_Trained, 3, (8, 8), bound=2.0),
)


def _of(transformer, raw, x, dtype="float32"):
    """What a transformer makes of each of some numbers with the same parameters."""
    transformer.build(dtype, "a")
    raw = tf.tile(tf.constant(raw, dtype)[tf.newaxis, :, tf.newaxis], [1, 1, len(x)])
    x = tf.constant([x], dtype)
    z, log_slope = transformer.forward(x, raw)
    back, inverse_log_slope = transformer.inverse(z, raw)
    return z[0].numpy(), log_slope[0].numpy(), back[0].numpy(), inverse_log_slope[0].numpy()


class AffineTest(parameterized.TestCase):
    @parameterized.parameters(
        ("scale_first", 3.0 * np.exp(0.5 * np.tanh(0.7)) + 2.0),
        ("shift_first", (3.0 + 2.0) * np.exp(0.5 * np.tanh(0.7))),
    )
    def test_forms(self, form, expected):
        results = _of(transformers.Affine(form, initial_gain=0.5), [2.0, 0.7], [3.0])
        log_slope = 0.5 * np.tanh(0.7)
        np.testing.assert_allclose(results, [[expected], [log_slope], [3.0], [-log_slope]], rtol=1e-6)

    @parameterized.parameters(-1e30, 1e30)
    def test_the_log_scale_is_bounded_by_the_gain(self, raw_log_scale):
        z, log_slope, *_ = _of(transformers.Affine(initial_gain=2.0), [0.0, raw_log_scale], [1.0])
        np.testing.assert_allclose(log_slope, [2 * np.sign(raw_log_scale)])
        np.testing.assert_allclose(z, [np.exp(2 * np.sign(raw_log_scale))], rtol=1e-6)

    def test_a_gain_of_zero_is_a_mere_shift(self):
        z, log_slope, *_ = _of(transformers.Affine(initial_gain=0.0), [2.0, 5.0], [1.0])
        np.testing.assert_array_equal(z, [3.0])
        np.testing.assert_array_equal(log_slope, [0.0])

    @parameterized.parameters(
        ("tanh", 0.7, 2 * np.tanh(0.35)),
        ("tanh", -1e30, -2.0),
        ("tanh", 1e30, 2.0),
        ("sigmoid", 0.7, np.log(1e-3 + 0.999 / (1 + np.exp(-2.7)))),
        ("sigmoid", -1e30, np.log(1e-3)),
        ("sigmoid", 1e30, 0.0),
    )
    def test_bounded_scales(self, scale, raw, log_scale):
        affine = transformers.Affine(scale=scale)
        z, log_slope, back, _ = _of(affine, [2.0, raw], [3.0])
        np.testing.assert_allclose(log_slope, [log_scale], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(z, [3 * np.exp(log_scale) + 2], rtol=1e-5)
        np.testing.assert_allclose(back, [3.0], atol=3e-4)  # A contraction by 1000 magnifies the rounding of z.
        self.assertEmpty(affine.variables)

    @parameterized.parameters(
        (dict(form="scale"), 'expected form to be "scale_first" or "shift_first", got \'scale\''),
        (dict(scale="exp"), 'expected scale to be "gain", "tanh" or "sigmoid", got \'exp\''),
    )
    def test_unknown_settings_are_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            transformers.Affine(**settings)


class ShiftTest(absltest.TestCase):
    def test_shifts(self):
        np.testing.assert_array_equal(_of(transformers.Shift(), [2.0], [1.0, 5.0]), [[3, 7], [0, 0], [1, 5], [0, 0]])


class ProbitTest(parameterized.TestCase):
    def test_is_the_normal_quantile_of_the_logistic_cdf(self):
        x = np.array([-9.0, -1.0, 0.0, 0.5, 12.0])
        z, log_slope, back, inverse_log_slope = _of(transformers.Probit(), np.zeros([0]), x)
        np.testing.assert_allclose(scipy.special.log_ndtr(z), -np.log1p(np.exp(-x)), rtol=1e-5)
        slope = np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))) ** 2 / scipy.stats.norm.pdf(z)
        np.testing.assert_allclose(log_slope, np.log(slope), atol=2e-5)
        np.testing.assert_allclose(back, x, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(inverse_log_slope, -log_slope, atol=2e-5)

    @parameterized.parameters("float32", "float64")
    def test_in_the_tails_and_at_the_middle(self, dtype):
        probit = transformers.Probit()
        ends = (85.0, 86.0, 200.0, 1e6, 1e30) if dtype == "float32" else (85.0, 705.0, 708.0, 1e4, 1e30)
        x = tf.constant([[0.0, *ends, *(-end for end in ends)]], dtype)
        raw = tf.zeros([1, 0, x.shape[1]], dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, log_slope = probit.forward(x, raw)
        precise = 1e-5 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(tape.gradient(z, x), np.exp(log_slope), rtol=100 * precise)
        np.testing.assert_allclose(probit.inverse(z, raw)[0], x, rtol=precise, atol=precise)

    @parameterized.parameters(("float32", -37, 2e-6), ("float64", -300, 1e-14))
    def test_quantiles_compiled_by_xla(self, dtype, least, tolerance):
        p = tf.constant([*np.logspace(least, -0.4, 60), 0.5, 0.9], dtype)
        found = tf.function(ndtri, jit_compile=True)(p)
        np.testing.assert_allclose(found, scipy.special.ndtri(p.numpy().astype(float)), rtol=tolerance, atol=1e-15)


class RationalQuadraticSplineTest(parameterized.TestCase):
    def test_beyond_the_bound_nothing_moves(self):
        raw, x = np.random.default_rng(0).normal(size=11), [2.5, -7.0, 2.0, 1.0]
        z, log_slope, *_ = _of(transformers.RationalQuadraticSpline(bins=4, bound=2.0), raw, x)
        np.testing.assert_array_equal(z[:2], x[:2])
        np.testing.assert_array_equal(log_slope[:2], 0)
        np.testing.assert_allclose(z[2], x[2], atol=1e-5)
        self.assertGreater(np.abs(z[3] - x[3]), 0.01)

    def test_increases_everywhere(self):
        raw, x = 2 * np.random.default_rng(1).normal(size=23), np.linspace(-4, 4, 100_000)
        z, log_slope, *_ = _of(transformers.RationalQuadraticSpline(), raw, x)
        self.assertGreaterEqual(np.min(np.diff(z)), 0)
        # The integral of the slope is the whole way.
        self.assertAlmostEqual(float(np.mean(np.exp(log_slope)) * 8), 8, delta=0.05)

    def test_the_inverse_of_steep_splines_is_that_of_float64(self):
        random, spline = np.random.default_rng(0), transformers.RationalQuadraticSpline()
        raw, z = 10 * random.normal(size=[20_000, 23, 1]), random.uniform(-3, 3, [20_000, 1])
        single = tf.constant(raw, tf.float32), tf.constant(z, tf.float32)
        x, log_slope = spline.inverse(single[1], single[0])
        exact, exact_log_slope = spline.inverse(tf.constant(z), tf.constant(raw))
        np.testing.assert_allclose(x, exact, atol=0.01)
        np.testing.assert_allclose(log_slope, exact_log_slope, atol=0.02)
        # In flat stretches, where many x have the same z.
        flat = spline.inverse(spline.forward(single[1], single[0])[0], single[0])[0]
        self.assertTrue(np.isfinite(flat).all())

    @parameterized.parameters((dict(bins=1), "expected 2 to 500 bins, got 1"), (dict(bound=0), "positive bound, got 0"))
    def test_unknown_settings_are_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            transformers.RationalQuadraticSpline(**settings)


class SigmoidalTest(parameterized.TestCase):
    def test_one_component_is_affine(self):
        # One component: (x - m) / s, of raw logit, mean and log-scale; a single one starts at 0.
        z, log_slope, *_ = _of(transformers.Sigmoidal(1), [0.3, 2.0, 0.5], [3.0])
        log_scale = 5 * np.tanh(0.5 / 5)
        np.testing.assert_allclose(z, [(3.0 - 2.0) * np.exp(-log_scale)], rtol=1e-5)
        np.testing.assert_allclose(log_slope, [-log_scale], rtol=1e-5)

    def test_slopes_far_out_are_those_of_float64(self):
        random = np.random.default_rng(0)
        raw = random.normal(size=[24, 200]).astype(np.float32)
        x = (random.normal(size=200) * 10 ** random.uniform(0, 9, 200)).astype(np.float32)
        y, log_slope = mixture_logit(tf.constant(x), components_of(tf.constant(raw)))
        wide = mixture_logit(tf.constant(x, tf.float64), components_of(tf.constant(raw, tf.float64)))
        np.testing.assert_allclose(y, wide[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(log_slope, wide[1], rtol=1e-5, atol=1e-5)

    @parameterized.parameters((0, 1), (1, 0))
    def test_nothing_to_compute_with_is_refused(self, components, depth):
        with self.assertRaisesRegex(ValueError, f"got {components} and {depth}"):
            transformers.Sigmoidal(components, depth=depth)


class ComposeTest(absltest.TestCase):
    def test_applies_from_first_to_last(self):
        both = transformers.Compose(transformers.Shift(), transformers.Affine())
        self.assertEqual(both.outputs, 3)
        z, log_slope, back, _ = _of(both, [1.0, 10.0, 0.2], [2.0])
        np.testing.assert_allclose(z, [(2 + 1) * np.exp(np.tanh(0.2)) + 10], rtol=1e-6)
        np.testing.assert_allclose(log_slope, [np.tanh(0.2)], rtol=1e-6)
        np.testing.assert_allclose(back, [2.0], rtol=1e-5)
        self.assertLen(both.variables, 1)

    def test_by_default_it_is_flowpps(self):
        self.assertEqual(str(transformers.Compose()), "8 sigmoids, then affine")


class SplinesTest(parameterized.TestCase):
    @parameterized.parameters(
        transformers.LinearSpline, transformers.QuadraticSpline, transformers.RationalQuadraticSpline
    )
    def test_zeros_are_the_identity_and_beyond_the_bound_nothing_moves(self, kind):
        spline, x = kind(bins=4, bound=2.0), np.linspace(-3, 3, 51)
        z, log_slope, *_ = _of(spline, [0.0] * spline.outputs, x)
        np.testing.assert_allclose(z, x, atol=1e-6)
        np.testing.assert_allclose(log_slope, 0, atol=1e-5)
        z, log_slope, back, _ = _of(spline, np.random.default_rng(0).normal(size=spline.outputs), x)
        outside = np.abs(x) > 2
        np.testing.assert_array_equal(z[outside], np.float32(x[outside]))
        np.testing.assert_array_equal(log_slope[outside], 0)
        np.testing.assert_allclose(back, x, atol=1e-5)
        self.assertGreater(np.max(np.abs(z - x)), 0.1)

    def test_linear_pieces(self):
        # Weights 1, 2, 1: a softmax of their logarithms.
        z, log_slope, *_ = _of(
            transformers.LinearSpline(bins=3, bound=1.5), np.log([1.0, 2.0, 1.0]), [-1.0, 0.0, 0.25, 1.25]
        )
        least = np.array([1e-3, 1e-3, 1e-3]) + 0.997 * np.array([0.25, 0.5, 0.25])
        heights = 3 * least
        expected = [-1.5 + heights[0] / 2, 0, heights[1] / 4, 1.5 - heights[2] / 4]
        np.testing.assert_allclose(z, expected, atol=1e-6)
        np.testing.assert_allclose(log_slope, np.log(heights[[0, 1, 1, 2]]), atol=1e-6)

    def test_the_slope_of_a_quadratic_spline_is_continuous_and_1_at_the_ends(self):
        spline = transformers.QuadraticSpline(bins=5, bound=2.0)
        raw = 2 * np.random.default_rng(1).normal(size=9)
        x = np.linspace(-2.5, 2.5, 20_001)
        log_slope = _of(spline, raw, x)[1]
        self.assertLess(np.max(np.abs(np.diff(log_slope))), 0.02)
        np.testing.assert_allclose(_of(spline, raw, [-1.9999999, 1.9999999])[1], 0, atol=1e-5)
        self.assertGreater(np.ptp(log_slope), 1)

    @parameterized.parameters(transformers.LinearSpline, transformers.QuadraticSpline)
    def test_steep_splines_invert(self, kind):
        spline, random = kind(), np.random.default_rng(0)
        raw, z = 10 * random.normal(size=[2_000, spline.outputs, 1]), random.uniform(-3, 3, [2_000, 1])
        x, log_slope = spline.inverse(tf.constant(z, tf.float32), tf.constant(raw, tf.float32))
        exact, exact_log_slope = spline.inverse(tf.constant(z), tf.constant(raw))
        np.testing.assert_allclose(x, exact, atol=0.01)
        np.testing.assert_allclose(log_slope, exact_log_slope, atol=0.1)

    @parameterized.parameters(transformers.LinearSpline, transformers.QuadraticSpline, transformers.CircularSpline)
    def test_unknown_settings_are_refused(self, kind):
        with self.assertRaisesRegex(ValueError, "expected 2 to 500 bins, got 1"):
            kind(bins=1)


class LinearTailsTest(parameterized.TestCase):
    """Polynomials and integrals of networks, whose inverse is bisected."""

    @parameterized.parameters(*_BISECTED)
    def test_they_are_monotone_and_continue_with_the_slope_at_the_end(self, make):
        transformer = make()
        random = np.random.default_rng(0)
        raw = random.normal(size=transformer.outputs)
        x = np.linspace(-4, 4, 8_001)
        z, log_slope, back, _ = _of(transformer, raw, x, "float64")
        # The mean slope between neighbours is that between.
        np.testing.assert_allclose(np.log(np.diff(z) / np.diff(x)), (log_slope[1:] + log_slope[:-1]) / 2, atol=1e-4)
        np.testing.assert_allclose(back, x, atol=1e-12)
        np.testing.assert_allclose(np.diff(z, 2)[x[1:-1] < -2], 0, atol=1e-12)
        np.testing.assert_allclose(np.diff(z, 2)[x[1:-1] > 2], 0, atol=1e-12)
        self.assertGreater(np.ptp(log_slope), 0.3)

    @parameterized.product(make=_BISECTED, dtype=("float32", "float64"))
    def test_they_invert_to_rounding(self, make, dtype):
        transformer, eps = make(), np.finfo(dtype).eps
        raw = np.random.default_rng(1).normal(size=transformer.outputs)
        x = np.array([-1e6, -30.0, -2.0, -0.7, 0.0, 1e-4, 1.3, 2.0, 5.0, 1e6])
        z, log_slope, back, inverse_log_slope = _of(transformer, raw, x, dtype)
        # As far as the rounding of z lets it: half a digit, divided by the slope.
        rounding = 20 * eps * (np.abs(x) + (np.abs(z) + 1) * np.exp(-log_slope))
        np.testing.assert_array_less(np.abs(back - x), rounding)
        np.testing.assert_allclose(inverse_log_slope, -log_slope, atol=300 * eps)

    @parameterized.parameters(*_BISECTED)
    def test_gradients_of_the_inverse_are_those_of_the_implicit_function(self, make):
        transformer = make()
        transformer.build("float64", "a")
        random = np.random.default_rng(2)
        for variable in transformer.variables:
            variable.assign(random.normal(size=variable.shape) * 0.5)
        raw = tf.constant(random.normal(size=[1, transformer.outputs, 1]))
        for z in (-3.0, 0.4, 8.0):
            z = tf.constant([[z]], tf.float64)
            sources = [z, raw, *(variable.value for variable in transformer.variables)]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                x = transformer.inverse(z, raw)[0]
            found = tape.gradient(x, sources)
            fixed = tf.stop_gradient(x)
            with tf.GradientTape() as tape:
                tape.watch(sources)
                value, log_slope = transformer.forward(fixed, raw)
            of_value = tape.gradient(value, sources[1:])
            np.testing.assert_allclose(found[0], np.exp(-log_slope), rtol=1e-9)
            for actual, change in zip(found[1:], of_value, strict=True):
                np.testing.assert_allclose(actual, -change * np.exp(-log_slope)[0, 0], rtol=1e-7, atol=1e-12)

    @parameterized.parameters(*_BISECTED)
    def test_a_positive_bound_is_required(self, make):
        for spline in (make, transformers.LinearSpline):
            for bound in (0, math.inf, math.nan):
                with self.assertRaisesRegex(ValueError, f"expected a finite positive bound, got {bound}"):
                    spline(bound=bound)

    def test_bernsteins_polynomial(self):
        # Increments 1, 3, 2 of the coefficients, by degree 3 on [-1, 1].
        softplus_inverse = np.log(np.expm1(np.array([1.0, 3.0, 2.0]) - 1e-3)) - np.log(np.expm1(1 - 1e-3))
        x = np.array([-1.0, -0.2, 0.6, 1.0])
        z, log_slope, *_ = _of(transformers.Bernstein(3, bound=1.0), [0.5, *softplus_inverse], x, "float64")
        coefficients = 0.5 + 2 / 3 * np.array([-3.0, -2, 1, 3])
        expected = scipy.interpolate.BPoly(coefficients[:, np.newaxis], [-1, 1])
        np.testing.assert_allclose(z, expected(x), rtol=1e-12)
        np.testing.assert_allclose(np.exp(log_slope), expected.derivative()(x), rtol=1e-12)

    def test_zeros_of_a_bernstein_polynomial_are_the_identity(self):
        x = np.linspace(-5, 5, 41)
        np.testing.assert_allclose(_of(transformers.Bernstein(), [0.0] * 17, x)[0], x, atol=2e-6)

    def test_a_sum_of_squares(self):
        raw = np.array([0.5, 0.2, -0.4, 0.3, 0.7])
        first, second = np.polynomial.Polynomial([1.2, -0.4]), np.polynomial.Polynomial([0.3, 1.0])
        slope = (1e-3 + first**2 + second**2) / 1.001
        x = np.array([-1.9, 0.0, 0.4, 2.0])
        z, log_slope, *_ = _of(transformers.SumOfSquares(2, 1, bound=2.0), raw, x, "float64")
        np.testing.assert_allclose(np.exp(log_slope), slope(x / 2), rtol=1e-12)
        np.testing.assert_allclose(z, 0.5 + 2 * slope.integ()(x / 2), rtol=1e-12)

    @parameterized.parameters((1, 1e-4), (3, 1e-3))
    def test_the_integral_of_a_network(self, scale, tolerance):
        transformer = transformers.UnconstrainedMonotonic(bound=3.0)
        transformer.build("float64", "a")
        random = np.random.default_rng(0)
        for variable in transformer.variables:
            variable.assign(scale * random.normal(size=variable.shape) / np.sqrt(variable.shape[0]))
        raw = tf.constant(random.normal(size=[1, 9, 1]))
        x = np.linspace(0, 3, 3_001)
        z, log_slope = transformer.forward(tf.constant(x[:, np.newaxis]), tf.repeat(raw, len(x), 0))
        exact = scipy.integrate.cumulative_simpson(np.exp(log_slope[:, 0]), x=x, initial=0)
        np.testing.assert_allclose(z[:, 0] - raw[0, 0, 0], exact, atol=tolerance)

    @parameterized.parameters(
        (lambda: transformers.Bernstein(0), "expected a degree from 1 to 64, got 0"),
        (lambda: transformers.SumOfSquares(4, 2), "expected 1 to 3 polynomials of degree 2, got 4"),
        (lambda: transformers.UnconstrainedMonotonic(0), r"points of 1 or more, got 0, \(32, 32\) and 24"),
    )
    def test_unknown_settings_are_refused(self, make, message):
        with self.assertRaisesRegex(ValueError, message):
            make()


class ByEntryTest(absltest.TestCase):
    def test_each_entry_has_its_transformer(self):
        both = transformers.ByEntry([3, 0], transformers.Shift(), transformers.Affine(scale="tanh"))
        self.assertEqual(both.outputs, 2)
        both.build("float32", "a")
        raw = tf.constant([[[1.0, 2.0, 3.0, 4.0], [9.0, 0.0, 0.2, 9.0]]])
        z, log_slope = both.forward(tf.constant([[10.0, 20.0, 30.0, 40.0]]), raw)
        contracted = 2 * np.tanh(0.1)
        np.testing.assert_allclose(z, [[11, 22, 30 * np.exp(contracted) + 3, 44]], rtol=1e-6)
        np.testing.assert_allclose(log_slope, [[0, 0, contracted, 0]], rtol=1e-6)
        np.testing.assert_allclose(both.inverse(z, raw)[0], [[10, 20, 30, 40]], rtol=1e-5)

    def test_what_is_no_entry_is_refused(self):
        shift, affine = transformers.Shift(), transformers.Affine(scale="tanh")
        for entries in ([0, 0], [-1]):
            with self.assertRaisesRegex(ValueError, "expected different entries of 0 or more"):
                transformers.ByEntry(entries, shift, affine)
        with self.assertRaisesRegex(ValueError, r"expected entries below 2, the number of entries, got \(2,\)"):
            transformers.ByEntry([2], shift, affine).forward(tf.zeros([1, 2]), tf.zeros([1, 2, 2]))


if __name__ == "__main__":
    absltest.main()
