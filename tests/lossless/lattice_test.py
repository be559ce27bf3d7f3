"""Integers and a stack of bits come back, and cost what the densities say."""

import numpy as np
from absl.testing import absltest, parameterized

from tfp_realnvp.lossless.lattice import BITS, NotIncreasing, shrink, stretch
from tfp_realnvp.lossless.stack import OutOfBits, Stack


def _stack(words=20_000):
    return Stack(np.random.default_rng(0).integers(0, 2**32, words, dtype=np.uint32), is_payload=True)


def _numbers(count=5_000):
    return np.rint(np.random.default_rng(1).normal(size=count) * 2**BITS).astype(np.int64)


class StackTest(parameterized.TestCase):
    def test_any_sizes_come_back_with_the_payload(self):
        stack = _stack()
        before, payload = stack.bits, stack.copy().payload()
        sizes = np.random.default_rng(2).integers(1, 2 ** np.random.default_rng(3).integers(1, 23, 3_000), 3_000)
        values = stack.pop_uniform(sizes)
        self.assertTrue(np.all((values >= 0) & (values < sizes)))
        self.assertAlmostEqual((before - stack.bits) / np.sum(np.log2(sizes)), 1, delta=1e-3)
        stack.push_uniform(values, sizes)
        np.testing.assert_array_equal(stack.payload(), payload)

    def test_popped_values_are_uniform(self):
        for size in (1_000, 30_000):  # The coder's own, and the finer one.
            values = _stack().pop_uniform(np.full(20_000, size))
            counts = np.histogram(values, 20, (0, size))[0]
            self.assertLess(np.sum((counts - 1_000) ** 2 / 1_000), 45)  # Chi-squared of 19: .999 is 43.8.

    def test_latents_cost_their_density(self):
        stack, numbers = _stack(), _numbers()
        before = stack.bits
        stack.push_normal(numbers, BITS)
        z = numbers / 2**BITS
        expected = np.sum(0.5 * z**2 + 0.5 * np.log(2 * np.pi)) / np.log(2) + BITS * len(z)
        self.assertAlmostEqual((stack.bits - before) / len(z), expected / len(z), delta=2e-3)
        np.testing.assert_array_equal(stack.pop_normal(len(numbers), BITS), numbers)
        self.assertEqual(stack.bits, before)

    def test_an_empty_stack_gives_nothing(self):
        stack = _stack(words=4)
        for pop in (lambda: stack.pop_bits(100, 12), lambda: stack.pop_uniform(np.full(100, 3_000))):
            with self.assertRaises(OutOfBits):
                pop()
        with self.assertRaisesRegex(ValueError, r"expected sizes from 1 to 2\^22, got 0 to 5"):
            stack.pop_uniform(np.array([0, 5]))


class LatticeTest(parameterized.TestCase):
    @parameterized.parameters(
        ("scale", lambda x: 1.7 * x + 0.3, lambda z: (z - 0.3) / 1.7),
        ("flat", lambda x: 0.05 * x, lambda z: z / 0.05),
        ("steep", lambda x: 300 * x, lambda z: z / 300),
        ("curved", lambda x: np.sinh(np.clip(x, -50, 50)), np.arcsinh),
        ("steps", lambda x: x + 0.99 / 6 * np.sin(6 * x), None),
        ("inaccurate inverse", lambda x: np.sinh(np.clip(x, -50, 50)), lambda z: np.arcsinh(z) + 0.003),
    )
    def test_a_function_and_back(self, _, function, inverse):
        stack, numbers = _stack(), _numbers()
        before = stack.bits
        found = stretch(numbers, function, stack, 10)
        x, step = numbers / 2**BITS, 1e-6
        slope = (function(x + step) - function(x - step)) / (2 * step)
        np.testing.assert_allclose(found / 2**BITS, function(x), rtol=1e-5, atol=5e-4)
        self.assertAlmostEqual((stack.bits - before) / len(x), -np.mean(np.log2(slope)), delta=2e-3)
        after = stack.copy()
        for begin in (None, inverse):
            stack = after.copy()
            np.testing.assert_array_equal(shrink(found, function, stack, 10, begin), numbers)
            self.assertEqual(stack.bits, before)

    @parameterized.parameters((np.zeros_like, "got 0 to 0"), (lambda x: 1e5 * x, "got 1024"))
    def test_what_cannot_be_coded_is_refused(self, function, message):
        with self.assertRaisesRegex(NotIncreasing, message):
            stretch(_numbers(10), function, _stack(), 10)


if __name__ == "__main__":
    absltest.main()
