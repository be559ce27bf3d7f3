"""OpenVINO reads an export as it is, and answers as TensorFlow does. Skipped without `pip install openvino`."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests.serving import exported

try:
    import openvino
except ImportError:
    openvino = None

# On processors with bfloat16 units, OpenVINO computes in bfloat16 otherwise.
_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


@absltest.skipIf(openvino is None, "needs openvino: pip install openvino")
class OpenVINOTest(parameterized.TestCase):
    @parameterized.parameters("log_prob", "encode", "decode")
    def test_signatures(self, signature):
        saved = tf.saved_model.load(str(exported.path()))  # Kept: a function does not keep its variables.
        function = saved.signatures[signature]
        ((name, _),) = function.structured_input_signature[1].items()
        random = np.random.default_rng(0)
        shape = [5, *exported.SHAPE]
        rows = random.normal(size=shape) if signature == "decode" else random.uniform(0, exported.LEVELS, shape)
        rows = rows.astype(np.float32)
        model = openvino.convert_model(function)
        compiled = openvino.Core().compile_model(model, "CPU", _FLOAT32)
        answers = compiled({name: rows})
        for output, expected in function(**{name: tf.constant(rows)}).items():
            np.testing.assert_allclose(answers[output], expected, rtol=1e-4, atol=1e-3, err_msg=output)

    def test_the_folder(self):
        model = openvino.convert_model(str(exported.path()))
        compiled = openvino.Core().compile_model(model, "CPU", _FLOAT32)
        images = exported.distribution().sample(3, seed=(0, 1)).numpy()
        expected = exported.distribution().log_prob(images)
        np.testing.assert_allclose(compiled({"images": images})["log_prob"], expected, rtol=1e-4)


if __name__ == "__main__":
    absltest.main()
