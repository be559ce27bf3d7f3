"""A LiteRT model answers as the flow does."""

import json
import pathlib
import tempfile
import warnings

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import serving


def _every_layer():
    """One of each layer that a Real NVP over images has: the converter's time goes with their number."""
    nvb = nvp.bijectors
    checkerboard, norm, channels = (
        registry.BY_NAME[name].bijector()
        for name in ("coupling_checkerboard_1", "batch_norm_checkerboard", "coupling_channels_first")
    )
    layers = [nvb.DequantizedLogit(17), checkerboard, norm, nvb.Squeeze("channel_major")]
    layers += [nvb.Split(nvb.BatchNorm(4)), tfp.bijectors.Invert(nvb.Squeeze("diagonal")), channels]
    return registry.randomize(nvp.FlowDistribution(nvb.Chain(layers), (4, 4, 2)))


class LiteRTTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def _interpreter(self, distribution, **kwargs):
        serving.save(distribution, self.folder / "1")
        serving.save_litert(self.folder / "1", self.folder / "model.tflite", **kwargs)
        with warnings.catch_warnings():
            # LiteRT's interpreter is to move to a package of its own.
            warnings.simplefilter("ignore", UserWarning)
            return tf.lite.Interpreter(str(self.folder / "model.tflite"))

    def test_images(self):
        distribution = _every_layer()
        interpreter = self._interpreter(distribution, batch_size=3)
        images = distribution.sample(3, seed=(0, 1)).numpy()
        log_prob = interpreter.get_signature_runner("log_prob")(images=images)["log_prob"]
        np.testing.assert_allclose(log_prob, distribution.log_prob(images), rtol=1e-4)
        latents = tf.random.stateless_normal([3, *distribution.event_shape], (0, 2)).numpy()
        decoded = interpreter.get_signature_runner("decode")(latents=latents)["images"]
        np.testing.assert_allclose(decoded, distribution.flow.inverse(latents), rtol=1e-3, atol=1e-3)
        images[1, 0, 0, 0] = 1e6
        log_prob = interpreter.get_signature_runner("log_prob")(images=images)["log_prob"]
        np.testing.assert_array_equal(log_prob < -1e38, [False, True, False])
        self.assertCountEqual([path.name for path in self.folder.iterdir()], ["1", "model.tflite"])

    def test_vectors(self):
        distribution = registry.randomize(nvp.real_nvp(event_shape=(3,), couplings=2, hidden_units=(4,)))
        interpreter = self._interpreter(distribution)
        vectors = distribution.sample(1, seed=(0, 1)).numpy()
        log_prob = interpreter.get_signature_runner("log_prob")(vectors=vectors)["log_prob"]
        np.testing.assert_allclose(log_prob, distribution.log_prob(vectors), rtol=1e-4)

    def test_refuses_a_conditional_flow(self):
        distribution = nvp.real_nvp(event_shape=(3,), couplings=1, hidden_units=(4,), context_size=2)
        serving.save(distribution, self.folder / "1", context_size=2)
        with self.assertRaisesRegex(ValueError, "expected a flow that takes no context, got a conditional one"):
            serving.save_litert(self.folder / "1", self.folder / "model.tflite")

    def test_refuses_what_it_would_answer_wrongly(self):
        base = tfp.distributions.Sample(tfp.distributions.StudentT(5.0, 0.0, 1.0), 2)
        path = self.folder / "1"
        serving.save(nvp.FlowDistribution(nvp.bijectors.ActNorm(2), (2,), base=base), path)
        with self.assertRaisesRegex(ValueError, "expected a flow with a standard normal base, got one with another in"):
            serving.save_litert(path, self.folder / "model.tflite")
        with self.assertRaisesRegex(ValueError, "expected a batch_size of 1 or more, got 0"):
            serving.save_litert(path, self.folder / "model.tflite", batch_size=0)
        about = path / "assets.extra" / "tfp_realnvp.json"
        about.write_text(json.dumps(json.loads(about.read_text()) | {"column_types": {}}))
        with self.assertRaisesRegex(ValueError, "expected a flow over images or vectors, got one over rows of a table"):
            serving.save_litert(path, self.folder / "model.tflite")


if __name__ == "__main__":
    absltest.main()
