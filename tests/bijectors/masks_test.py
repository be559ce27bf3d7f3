import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp.bijectors import Alternating, ChannelHalves, Checkerboard, Halves
from tfp_realnvp.bijectors.masks import Everything

_MASKS = (
    ("checkerboard_0", Checkerboard(0), (2, 3, 4, 3)),
    ("checkerboard_1", Checkerboard(1), (2, 3, 4, 3)),
    ("channels_first", ChannelHalves("first"), (2, 3, 4, 5)),
    ("channels_second", ChannelHalves("second"), (2, 3, 4, 5)),
    ("halves_first", Halves("first"), (2, 5)),
    ("halves_second", Halves("second"), (2, 5)),
    ("alternating_0", Alternating(0), (2, 5)),
    ("alternating_1", Alternating(1), (2, 5)),
    ("alternating_even", Alternating(1), (2, 6)),
    ("everything", Everything(), (2, 5)),
)


class MasksTest(parameterized.TestCase):
    @parameterized.parameters(
        (0, [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]),
        (1, [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]),
    )
    def test_checkerboard_keeps_where_row_plus_column_plus_parity_is_odd(self, parity, keeps):
        keeps = np.array(keeps)[np.newaxis, :, :, np.newaxis]
        x = 1 + np.arange(2 * 3 * 4 * 2, dtype=np.float32).reshape(2, 3, 4, 2)
        kept = Checkerboard(parity).kept(tf.constant(x))
        np.testing.assert_array_equal(kept[..., :2], keeps * x)
        np.testing.assert_array_equal(kept[..., 2:], np.broadcast_to(keeps, (2, 3, 4, 1)))
        combined = Checkerboard(parity).combine(tf.constant(x), tf.constant(-x))
        np.testing.assert_array_equal(combined, np.where(keeps, x, -x))

    @parameterized.parameters(0, 1)
    def test_checkerboard_of_unknown_size_is_that_of_a_known_one(self, parity):
        mask = Checkerboard(parity)

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 2])])
        def parts(x):
            return mask.kept(x), mask.combine(x, -x), mask.sum(x), mask.weights(x)

        for shape in ((2, 3, 4, 2), (1, 4, 3, 2)):
            x = tf.random.stateless_normal(shape, (1, 0))
            for unknown, known in zip(parts(x), parts.python_function(x), strict=True):
                np.testing.assert_allclose(unknown, known, rtol=1e-6)

    @parameterized.parameters(("first", [0, 1], [2, 3, 4]), ("second", [2, 3, 4], [0, 1]))
    def test_channel_halves(self, keep, kept, changed):
        x = tf.random.stateless_normal([2, 3, 4, 5], (1, 0))
        np.testing.assert_array_equal(ChannelHalves(keep).kept(x), x.numpy()[..., kept])
        np.testing.assert_array_equal(ChannelHalves(keep).changed(x), x.numpy()[..., changed])

    @parameterized.parameters(("first", [0, 1], [2, 3, 4]), ("second", [2, 3, 4], [0, 1]))
    def test_halves(self, keep, kept, changed):
        x = tf.random.stateless_normal([2, 5], (1, 0))
        np.testing.assert_array_equal(Halves(keep).kept(x), x.numpy()[:, kept])
        np.testing.assert_array_equal(Halves(keep).changed(x), x.numpy()[:, changed])

    @parameterized.parameters((0, [0, 2, 4], [1, 3]), (1, [1, 3], [0, 2, 4]))
    def test_alternating(self, parity, kept, changed):
        x = tf.random.stateless_normal([2, 5], (1, 0))
        np.testing.assert_array_equal(Alternating(parity).kept(x), x.numpy()[:, kept])
        np.testing.assert_array_equal(Alternating(parity).changed(x), x.numpy()[:, changed])

    @parameterized.named_parameters(*_MASKS)
    def test_parts_the_event(self, mask, shape):
        x = tf.random.stateless_normal(shape, (1, 0))
        kept, changed = mask.kept(x), mask.changed(x)
        self.assertEqual(kept.shape[-1], mask.kept_size(shape[-1]))
        self.assertEqual(changed.shape[-1], mask.changed_size(shape[-1]))
        np.testing.assert_array_equal(mask.combine(x, changed), x)
        # Where `changed` is replaced, the kept entries stay, and all others go.
        replaced = mask.combine(x, tf.fill(changed.shape, 1e30)).numpy()
        np.testing.assert_array_equal(mask.kept(tf.constant(replaced)), kept)
        count = np.sum(replaced == 1e30)
        self.assertEqual(count, np.sum(np.broadcast_to(mask.weights(changed), changed.shape)))
        self.assertEqual(count + np.sum(replaced == x), np.size(replaced))
        # The sum is over the changed entries of each event.
        self.assertEqual(np.sum(mask.sum(tf.ones_like(changed))), count)
        self.assertEqual(mask.sum(changed).shape, [2])

    @parameterized.named_parameters(*_MASKS)
    def test_kept_says_nothing_of_changed_entries(self, mask, shape):
        x = tf.random.stateless_normal(shape, (1, 0))
        hidden = mask.combine(x, tf.fill(mask.changed(x).shape, np.nan))
        np.testing.assert_array_equal(mask.kept(hidden), mask.kept(x))

    def test_sum_selects(self):
        # What stands at a kept pixel may be anything.
        values = tf.constant([[[[1.0], [np.nan]], [[np.inf], [2.0]]]])
        np.testing.assert_array_equal(Checkerboard(0).sum(values), [3.0])

    def test_unknown_settings_are_refused(self):
        for mask in (Checkerboard, Alternating):
            with self.assertRaisesRegex(ValueError, "expected a parity of 0 or 1, got 2"):
                mask(parity=2)
        for mask in (Halves, ChannelHalves):
            with self.assertRaisesRegex(ValueError, 'expected keep to be "first" or "second", got'):
                mask("third")


if __name__ == "__main__":
    absltest.main()
