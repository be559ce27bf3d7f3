"""Which latents are final at which scale, found by the flow's structure and by what depends on what."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp.flows import scale_of_latents, split_orders

nvb = nvp.bijectors


def _norms(channels):
    return nvb.BatchNorm(channels)


class SplitOrdersTest(parameterized.TestCase):
    @parameterized.parameters(
        (nvp.real_nvp, 1, ()),
        (nvp.real_nvp, 3, ("diagonal", "diagonal")),
        (nvp.glow, 1, ()),
        (nvp.glow, 3, ("channel_major", "channel_major")),
    )
    def test_of_a_factory(self, factory, scales, expected):
        distribution = factory(event_shape=(8, 8, 2), scales=scales, width=2, blocks=0)
        self.assertEqual(split_orders(distribution.flow), expected)

    def test_of_vectors_there_are_none(self):
        self.assertEqual(split_orders(nvp.real_nvp(event_shape=(4,), couplings=2, hidden_units=(4,)).flow), ())

    def test_refuses_other_structures(self):
        squeeze, split = nvb.Squeeze("diagonal"), nvb.Split(_norms(2))
        unsqueeze = tfp.bijectors.Invert(squeeze)
        mixed = nvb.InvertibleLinear(1, name="mixed")
        both = "Inverse of Squeeze diagonal, mixed"
        for after, got in (([], "none"), ([unsqueeze, mixed], both), ([mixed], "mixed")):
            with self.assertRaisesRegex(ValueError, f"only an unsqueeze after a split, got {got} in "):
                split_orders(nvb.Chain([squeeze, split, *after]))
        inner = [squeeze, split, unsqueeze]
        for within in (nvb.Chain(inner, name="inner"), tfp.bijectors.Chain(inner, name="inner")):
            with self.assertRaisesRegex(ValueError, "got one within inner"):
                split_orders(nvb.Chain([within]))

    def test_what_is_undone_after_the_split_decides(self):
        squeeze, other = nvb.Squeeze("diagonal"), nvb.Squeeze("position_major")
        flow = nvb.Chain([squeeze, nvb.Split(_norms(2)), tfp.bijectors.Invert(other)])
        self.assertEqual(split_orders(flow), ("position_major",))
        self.assertEqual(split_orders(nvb.Chain([squeeze, tfp.bijectors.Invert(other)])), ())


class ScaleOfLatentsTest(parameterized.TestCase):
    def test_the_diagonal_goes_on(self):
        np.testing.assert_array_equal(scale_of_latents((2, 2, 1), ("diagonal",))[..., 0], [[1, 0], [0, 1]])

    def test_each_scale_has_half_of_what_came(self):
        scales = scale_of_latents((16, 24, 3), ("diagonal",) * 3)
        self.assertEqual(scales.shape, (16, 24, 3))
        np.testing.assert_array_equal(np.bincount(scales.ravel()) / scales.size, [0.5, 0.25, 0.125, 0.125])

    def test_of_one_scale_all_are_final_at_it(self):
        np.testing.assert_array_equal(scale_of_latents((3, 5, 1), ()), np.zeros([3, 5, 1]))

    def test_refuses_what_cannot_be_halved(self):
        with self.assertRaisesRegex(ValueError, r"even height and width, got \(3, 3, 2\)"):
            scale_of_latents((6, 6, 1), ("diagonal", "diagonal"))

    @parameterized.product(factory=[nvp.real_nvp, nvp.glow], scales=[2, 3])
    def test_is_what_the_flow_does(self, factory, scales):
        """What a split hands on decides the entries it says are coarser, and no others."""
        distribution = registry.randomize(factory(event_shape=(8, 8, 1), scales=scales, width=2, blocks=0))
        found = np.zeros([8, 8, 1], np.int32)
        x = tf.random.stateless_uniform([1, 8, 8, 1], (0, 0), 0, 256)
        z = distribution.flow.forward_and_log_det(x)[0].numpy()
        for depth in range(scales - 1):
            changed = _with_split_at(distribution.flow, depth).forward_and_log_det(x)[0].numpy()
            found += (changed != z)[0]
        np.testing.assert_array_equal(found, scale_of_latents((8, 8, 1), split_orders(distribution.flow)))


class _Shift(nvb.Bijector):
    """Moves every entry."""

    def __init__(self, flow):
        super().__init__(event_ndims=3, name="shift")
        self.flow = flow

    def _forward_and_log_det(self, x, context, training):
        z, log_det = self.flow._forward_and_log_det(x, context, training)
        return z + 1, log_det

    def _inverse_and_log_det(self, z, context, training):
        return self.flow._inverse_and_log_det(z - 1, context, training)


def _with_split_at(flow, depth):
    """The same flow, whose split of that depth moves all that its rest gives."""
    layers = list(flow.bijectors)
    (index,) = [i for i, layer in enumerate(layers) if isinstance(layer, nvb.Split)]
    rest = layers[index].flow
    layers[index] = nvb.Split(_Shift(rest) if depth == 0 else _with_split_at(rest, depth - 1))
    return nvb.Chain(layers)


if __name__ == "__main__":
    absltest.main()
