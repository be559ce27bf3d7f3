import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp.bijectors import BlockAutoregressive


def _kernels(layer):
    """The kernels as the formulas of the paper have them, block by block."""
    size, sizes = layer.gate.shape[0], [1, *[layer.units] * layer.depth, 1]
    for inputs, outputs, raw, scale in zip(sizes, sizes[1:], layer.raw, layer.scales):
        v = np.zeros(raw.shape)
        for j in range(size):
            rows, columns = slice(j * inputs, (j + 1) * inputs), slice(j * outputs, (j + 1) * outputs)
            v[rows, columns] = np.log1p(np.exp(raw.numpy()[rows, columns]))
            v[rows, columns.stop :] = raw.numpy()[rows, columns.stop :]
        yield v * np.exp(scale.numpy()) / np.linalg.norm(v, axis=0)


class BlockAutoregressiveTest(parameterized.TestCase):
    @parameterized.parameters(1, 2)
    def test_is_what_the_paper_says(self, depth):
        layer = registry.randomize(BlockAutoregressive(3, units=2, depth=depth, dtype="float64"))
        x = np.random.default_rng(0).normal(size=[5, 3])
        hidden = x
        for i, (kernel, bias) in enumerate(zip(_kernels(layer), layer.biases)):
            hidden = (hidden if i == 0 else np.tanh(hidden)) @ kernel + bias.numpy()
        share = 1 / (1 + np.exp(-layer.gate.numpy()))
        np.testing.assert_allclose(layer.forward(x), (1 - share) * x + share * hidden, rtol=1e-12)

    def test_is_increasing_in_its_own_entry_and_free_of_later_ones(self):
        layer = registry.randomize(BlockAutoregressive(3, units=4))
        x = tf.random.stateless_normal([5, 3], (0, 0))
        z = layer.forward(x).numpy()
        for i in range(3):
            change = layer.forward(x + 0.5 * tf.one_hot(i, 3)).numpy() - z
            np.testing.assert_array_equal(change[:, :i], 0)
            self.assertGreater(np.min(change[:, i]), 0)
            self.assertTrue(np.all(np.abs(change[:, i + 1 :]) > 1e-4))

    @parameterized.parameters("float32", "float64")
    def test_inverts_where_weights_are_wild(self, dtype):
        layer = BlockAutoregressive(4, depth=2, dtype=dtype)
        random = np.random.default_rng(0)
        for variable in layer.trainable_variables:
            variable.assign(random.normal(0, 1.5, variable.shape))
        x = 30 * tf.random.stateless_normal([50, 4], (0, 0), dtype=dtype)
        z, log_det = layer.forward_and_log_det(x)
        self.assertTrue(np.all(np.isfinite(log_det)))
        # As near in `z` as the rounding of its terms allows.
        back, inverse_log_det = layer.inverse_and_log_det(z)
        error = 1e-3 if dtype == "float32" else 1e-10
        np.testing.assert_allclose(layer.forward(tf.identity(back)), z, rtol=error, atol=error)
        self.assertTrue(np.all(np.isfinite(inverse_log_det)))

    def test_units_without_weight_leave_the_gate(self):
        layer = BlockAutoregressive(2, units=3)
        for raw in layer.raw:
            raw.assign(tf.fill(raw.shape, -1e4))  # softplus is 0.
        z, log_det = layer.forward_and_log_det(tf.ones([1, 2]))
        np.testing.assert_allclose(log_det, [2 * np.log(0.5)], rtol=1e-6)
        np.testing.assert_allclose(layer.inverse(tf.identity(z)), np.ones([1, 2]), rtol=1e-5)

    @parameterized.parameters((0, 1), (3, 0))
    def test_no_hidden_units_are_refused(self, units, depth):
        with self.assertRaisesRegex(ValueError, f"expected at least 1 unit and a depth of 1, got {units} and {depth}"):
            BlockAutoregressive(2, units=units, depth=depth)

    def test_another_output_of_the_conditioner_is_refused(self):
        layer = BlockAutoregressive(2, units=3, conditioner=lambda x, context: tf.zeros([1, 5]))
        message = r"expected the conditioner to return 6 numbers, 3 for each of 2 entries, got shape \(1, 5\)"
        with self.assertRaisesRegex(ValueError, message):
            layer.forward(tf.zeros([1, 2]), context=tf.zeros([1, 2]))


if __name__ == "__main__":
    absltest.main()
