import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp.bijectors import Checkerboard, Squeeze

# One 2x2 block, each entry named by its channel and its position (row, column).
_BLOCK = [[["R00", "G00"], ["R01", "G01"]], [["R10", "G10"], ["R11", "G11"]]]
_ORDERS = {
    "channel_major": "R00 R01 R10 R11 G00 G01 G10 G11",
    "position_major": "R00 G00 R01 G01 R10 G10 R11 G11",
    "diagonal": "R00 G00 R11 G11 R01 G01 R10 G10",
}
_NAMED_ORDERS = tuple((order, order, channels.split()) for order, channels in _ORDERS.items())


class SqueezeTest(parameterized.TestCase):
    @parameterized.named_parameters(*_NAMED_ORDERS)
    def test_order_of_the_channels(self, order, expected):
        names = np.array(_BLOCK)
        codes = np.arange(8, dtype=np.float32).reshape(names.shape)
        squeezed = Squeeze(order).forward(codes[np.newaxis])
        self.assertEqual(squeezed.shape, [1, 1, 1, 8])
        found = [names.ravel()[int(code)] for code in np.ravel(squeezed)]
        self.assertEqual(found, expected)

    @parameterized.named_parameters(*_NAMED_ORDERS)
    def test_each_block_becomes_the_pixel_at_its_place(self, order, expected):
        blocks = np.arange(2 * 2 * 3).reshape(2, 2, 3)  # [batch, rows of blocks, columns of blocks]
        x = np.kron(blocks, np.ones([1, 2, 2]))[..., np.newaxis] * np.ones(2)
        squeezed = Squeeze(order).forward(x)
        np.testing.assert_array_equal(squeezed, blocks[..., np.newaxis] * np.ones(8))

    @parameterized.named_parameters(*_NAMED_ORDERS)
    def test_moves_entries_and_nothing_else(self, order, expected):
        x = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
        z, log_det = Squeeze(order).forward_and_log_det(tf.constant(x))
        back, inverse_log_det = Squeeze(order).inverse_and_log_det(z)
        np.testing.assert_array_equal(np.sort(np.ravel(z)), np.ravel(x))
        np.testing.assert_array_equal(back, x)
        np.testing.assert_array_equal(log_det, [0, 0])
        np.testing.assert_array_equal(inverse_log_det, [0, 0])

    def test_position_major_is_space_to_depth(self):
        x = tf.random.stateless_normal([2, 4, 6, 3], (1, 0))
        np.testing.assert_array_equal(Squeeze("position_major").forward(x), tf.nn.space_to_depth(x, 2))

    def test_the_diagonals_first_half_is_half_of_a_checkerboard(self):
        kept = Checkerboard(parity=1).kept(tf.ones([1, 4, 4, 1]))[..., :1]
        squeezed = Squeeze("diagonal").forward(kept)
        np.testing.assert_array_equal(squeezed, np.broadcast_to([1, 1, 0, 0], [1, 2, 2, 4]))

    @parameterized.parameters((3, 4), (4, 3))
    def test_odd_sizes_are_refused(self, height, width):
        with self.assertRaisesRegex(ValueError, "expected an even height and width, got"):
            Squeeze().forward(tf.zeros([1, height, width, 2]))

    def test_inverse_refuses_channels_not_divisible_by_four(self):
        with self.assertRaisesRegex(ValueError, r"divisible by 4, got \(2, 2, 6\)"):
            Squeeze().inverse(tf.zeros([1, 2, 2, 6]))

    def test_unknown_order_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected order to be one of channel_major,"):
            Squeeze("zigzag")


if __name__ == "__main__":
    absltest.main()
