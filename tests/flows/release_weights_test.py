"""Against the authors' TensorFlow 1 program: its weights, its numbers.

`release_tiny.npz` holds a small model of the release with random weights and moving statistics, and
what the release's own program, on TensorFlow 2.21 through `tf.compat.v1`, made of four images in
inference mode.
"""

import math
import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp

_GOLDEN = dict(np.load(pathlib.Path(__file__).parent / "release_tiny.npz"))
_WEIGHTS = {key.removeprefix("weights/"): value for key, value in _GOLDEN.items() if key.startswith("weights/")}


def _flow(**kwargs):
    return nvp.real_nvp(**{"event_shape": (16, 16, 3), "scales": 3, "width": 4, "blocks": 2, **kwargs})


class ParityTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.distribution = _flow()
        nvp.load_release_weights(cls.distribution, _WEIGHTS)
        cls.logit = cls.distribution.flow.bijectors[0]
        cls.after_logit = nvp.bijectors.Chain(cls.distribution.flow.bijectors[1:])

    def test_parameters(self):
        self.assertEqual(nvp.trainable_parameters(self.distribution), 124_409)

    def test_logit(self):
        np.testing.assert_allclose(self.logit.forward(_GOLDEN["x"]), _GOLDEN["logit"], atol=1e-5)

    def test_latents_and_log_det(self):
        z, log_det = self.after_logit.forward_and_log_det(_GOLDEN["logit"])
        np.testing.assert_allclose(z, _GOLDEN["z"], atol=1e-3)  # Of a range of 100.
        np.testing.assert_allclose(log_det, _GOLDEN["log_det"], rtol=1e-5)

    def test_log_prob_and_bits_per_dim(self):
        log_prob = self.distribution.log_prob(_GOLDEN["x"])
        np.testing.assert_allclose(log_prob, _GOLDEN["log_prob"], rtol=1e-5)
        bits_per_dim = -log_prob / (768 * math.log(2))
        np.testing.assert_allclose(bits_per_dim, _GOLDEN["bits_per_dim"], rtol=1e-5)

    def test_decodes(self):
        # The authors' own decoder comes back to the logits within 2.2e-5, ours within 6e-5: sixteen
        # couplings multiply the rounding of z. Then, 71 pixels at most go by a unit of the logit.
        logit, _ = self.after_logit.inverse_and_log_det(tf.constant(_GOLDEN["z"]))
        np.testing.assert_allclose(logit, _GOLDEN["logit"], atol=2e-4)
        x = self.distribution.flow.inverse(_GOLDEN["z"])
        np.testing.assert_allclose(x, _GOLDEN["x"], atol=71 * 2e-4)


class LoadReleaseWeightsTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.distribution = _flow()

    def test_every_variable_is_assigned(self):
        distribution = self.distribution
        for variable in distribution.variables:
            variable.assign(tf.fill(variable.shape, np.nan))
        nvp.load_release_weights(distribution, _WEIGHTS)
        for variable in distribution.variables:
            self.assertTrue(np.all(np.isfinite(variable)), variable.name)
        self.assertLen(distribution.variables, len(_WEIGHTS))

    @parameterized.parameters(
        (
            lambda weights: weights.pop("scale_1/coupling_4/scale"),
            r"missing: \['scale_1/coupling_4/scale'\]",
        ),
        (lambda weights: weights.update(extra=np.zeros(1)), r"not in the flow: \['extra'\]"),
        (
            lambda weights: weights.update({"scale_0/coupling_0/bn_in/beta": np.zeros(2)}),
            r"expected scale_0/coupling_0/bn_in/beta of shape \(3,\), got \(2,\)",
        ),
    )
    def test_what_does_not_fit_is_refused_and_nothing_assigned(self, spoil, message):
        distribution = self.distribution
        before = [v.numpy() for v in distribution.variables]
        weights = dict(_WEIGHTS)
        spoil(weights)
        with self.assertRaisesRegex(ValueError, message):
            nvp.load_release_weights(distribution, weights)
        for old, new in zip(before, distribution.variables, strict=True):
            np.testing.assert_array_equal(old, new)

    def test_without_skips(self):
        distribution = _flow(use_skips=False)
        with self.assertRaisesRegex(ValueError, r"not in the flow: \['scale_0/coupling_0/resnet/skip_0/"):
            nvp.load_release_weights(distribution, _WEIGHTS)
        weights = {name: value for name, value in _WEIGHTS.items() if "/skip_" not in name}
        nvp.load_release_weights(distribution, weights)
        self.assertLen(distribution.variables, len(weights))
        network = distribution.flow.bijectors[1].conditioner
        np.testing.assert_array_equal(
            network.convs_2[1].direction, weights["scale_0/coupling_0/resnet/block_1/out/weights"]
        )

    @parameterized.parameters(dict(scales=1), dict(scales=1, norm=None))
    def test_another_architecture_is_refused(self, **settings):
        with self.assertRaisesRegex(ValueError, "expected"):
            nvp.load_release_weights(_flow(**settings), _WEIGHTS)

    def test_a_flow_of_vectors_is_refused(self):
        message = "expected affine couplings with residual networks, got Coupling second half kept: affine, MLP"
        with self.assertRaisesRegex(ValueError, message):
            nvp.load_release_weights(nvp.real_nvp(event_shape=(4,), couplings=1, hidden_units=(4,)), _WEIGHTS)


if __name__ == "__main__":
    absltest.main()
