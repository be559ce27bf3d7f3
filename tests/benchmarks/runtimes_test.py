"""TensorFlow answers as a candidate, and the table says what the results do."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest

from benchmarks import interleaved
from benchmarks import runtimes as benchmark
from tests.serving import exported


class RuntimesTest(absltest.TestCase):
    def test_tensorflow(self):
        work = benchmark.of_tensorflow(str(exported.path()), "log_prob", 3)
        self.assertEqual(work.run().shape, (3,))
        self.assertEqual(work.report(), {"error": 0.0})

    def test_inputs(self):
        model = tf.saved_model.load(str(exported.path()))
        name, images = benchmark.inputs_of(model, "encode", 3)
        self.assertEqual((name, images.shape), ("images", (3, *exported.SHAPE)))
        name, latents = benchmark.inputs_of(model, "decode", 3)
        self.assertEqual((name, latents.shape), ("latents", (3, *exported.SHAPE)))
        self.assertTrue(np.all(np.isfinite(model.signatures["encode"](images=tf.constant(images))["latents"])))

    def test_table(self):
        results = {
            "tensorflow": interleaved.Result(1.0, [0.02, 0.02], facts={"error": 0.0}),
            "openvino": interleaved.Result(0.5, [0.01, 0.01], facts={"error": 2e-6}),
            "onnxruntime": interleaved.Result(error="ImportError: No module named 'onnxruntime'"),
        }
        rows = benchmark.table_rows("encode", 64, results)
        self.assertEqual(rows[1], ["encode, openvino", "0.50", "10.00", "6,400", "0.50", "2.0e-06"])
        self.assertEqual(rows[2][:2], ["encode, onnxruntime", "ImportError: No module named 'onnxruntime'"])


if __name__ == "__main__":
    absltest.main()
