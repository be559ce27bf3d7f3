"""The moving average of weights."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp import training


class WeightAverageTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.variables = [tf.Variable([1.0, 2.0]), tf.Variable(3, dtype=tf.int32), tf.Variable(4.0, dtype=tf.float64)]
        self.average = training.WeightAverage(self.variables, decay=0.9)

    def _values(self):
        return [self.variables[0].numpy(), self.variables[2].numpy()]

    def _assert_values(self, *expected):
        for value, other in zip(self._values(), expected, strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-6)

    def test_follows_the_variables(self):
        expected = self._values()
        random = np.random.default_rng(0)
        for step in [0, 1, 2, 200, 201]:
            self.variables[0].assign(random.normal(size=2))
            self.variables[2].assign(random.normal())
            self.average.update(tf.constant(step))
            decay = min(0.9, (1 + step) / (10 + step))
            expected = [decay * e + (1 - decay) * v for e, v in zip(expected, self._values())]
        for average, value in zip(self.average.averages, expected, strict=True):
            np.testing.assert_allclose(average, value, rtol=1e-6)

    def test_is_left_where_a_step_is_skipped(self):
        self.variables[0].assign([5.0, np.nan])
        self.variables[0].assign([5.0, 7.0])
        self.average.update(tf.constant(3), skip=tf.constant(True))
        np.testing.assert_array_equal(self.average.averages[0], [1.0, 2.0])

    def test_is_lent_and_taken_back(self):
        self.variables[0].assign([5.0, 6.0])
        with self.assertRaises(KeyError), self.average.lent():
            self._assert_values([1.0, 2.0], 4.0)
            raise KeyError
        self._assert_values([5.0, 6.0], 4.0)
        np.testing.assert_array_equal(self.average.averages[0], [1.0, 2.0])
        self.average.copy_to_variables()
        self._assert_values([1.0, 2.0], 4.0)

    @parameterized.parameters(0.0, 1.0, -1.0)
    def test_a_decay_that_is_none(self, decay):
        with self.assertRaisesRegex(ValueError, f"^expected a decay between 0 and 1, got {decay}$"):
            training.WeightAverage(self.variables, decay)


if __name__ == "__main__":
    absltest.main()
