import numpy as np
import tensorflow as tf
from absl.testing import absltest

from tests import registry
from tfp_realnvp.bijectors import BatchNorm, Split


class SplitTest(absltest.TestCase):
    def test_the_first_half_goes_through_the_flow_and_the_second_stays(self):
        flow = registry.built("chain_mixed")
        x = tf.random.stateless_normal([3, 4, 4, 4], (1, 0))
        for split, alone in (
            (Split(flow).forward_and_log_det, flow.forward_and_log_det),
            (Split(flow).inverse_and_log_det, flow.inverse_and_log_det),
        ):
            y, log_det = split(x)
            expected, expected_log_det = alone(x[..., :2])
            np.testing.assert_array_equal(y[..., 2:], x[..., 2:])
            np.testing.assert_allclose(y[..., :2], expected, rtol=1e-6)
            np.testing.assert_allclose(log_det, expected_log_det, rtol=1e-6)

    def test_context_goes_on(self):
        entry = registry.BY_NAME["coupling_image_context"]
        flow = registry.built(entry.name)
        x, context = entry.events([2]), entry.context([2])
        z = Split(flow).forward(tf.concat([x, x], -1), context=context)
        np.testing.assert_allclose(z[..., :2], flow.forward(x, context=context), rtol=1e-6)

    def test_an_odd_number_of_channels_is_refused(self):
        split = Split(BatchNorm(2))
        for function in (split.forward, split.inverse):
            with self.assertRaisesRegex(ValueError, "split: expected an even number of channels, got"):
                function(tf.zeros([1, 2, 2, 5]))


if __name__ == "__main__":
    absltest.main()
