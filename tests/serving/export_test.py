"""What is saved is what was there, and TensorFlow alone can read it."""

import json
import math
import os
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized
from tensorflow.core.protobuf import saved_model_pb2

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import evaluation, serving

_LEVELS = 17
_SHAPE = (4, 4, 1)

# Run by a process of its own: no import of these succeeds there, as on a machine without them.
_TENSORFLOW_ALONE = """
import json, sys
absent = ["keras", "tf_keras", "tensorflow_probability", "tfp_realnvp"]
sys.modules.update(dict.fromkeys(absent))
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
images = tf.io.parse_tensor(tf.io.read_file(sys.argv[2]), tf.float32)
sample = lambda count, *seed: model.signatures["sample"](
    count=tf.constant(count), seed=tf.constant(seed))["images"].numpy().tolist()
log_prob = lambda images: {
    name: value.numpy().tolist() for name, value in model.signatures["log_prob"](images=images).items()}
results = {
    "one": log_prob(images[:1]),
    "three": log_prob(images),
    "default": model.signatures["serving_default"](images=images)["log_prob"].numpy().tolist(),
    "sample": sample(3, 5, 7),
    "again": sample(3, 5, 7),
    "other": sample(3, 5, 8),
    "single": sample(1, 5, 7),
    "levels": int(model.levels),
    "imported": [name for name in absent if sys.modules[name] is not None],
}
json.dump(results, open(sys.argv[3], "w"))
"""


def _small_flow() -> nvp.FlowDistribution:
    """No network, so that it is quick to trace."""
    norm = nvp.bijectors.BatchNorm(1, mask=nvp.bijectors.Checkerboard(parity=0))
    layers = [nvp.bijectors.DequantizedLogit(_LEVELS), norm]
    return nvp.FlowDistribution(nvp.bijectors.Chain(layers), _SHAPE)


class ExportTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.distribution = registry.randomize(
            nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=4, blocks=1)
        )
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.path = os.path.join(folder, "model", "1")
        serving.save(cls.distribution, cls.path, levels=_LEVELS, max_samples=4)
        cls.images = cls.distribution.sample(3, seed=(0, 1))

    def _expected(self, images: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        log_prob = self.distribution.log_prob(images)
        return log_prob.numpy(), evaluation.bits_per_dim(log_prob, _SHAPE).numpy()

    def test_loads_with_tensorflow_alone(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        images, results = (os.path.join(folder, name) for name in ("images", "results.json"))
        tf.io.write_file(images, tf.io.serialize_tensor(self.images))
        subprocess.run(
            [sys.executable, "-c", _TENSORFLOW_ALONE, self.path, images, results],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
        )
        with open(results) as file:
            found = json.load(file)

        log_prob, bits = self._expected(self.images)
        np.testing.assert_allclose(found["three"]["log_prob"], log_prob, rtol=1e-5)
        np.testing.assert_allclose(found["three"]["bits_per_dim"], bits, rtol=1e-5)
        np.testing.assert_allclose(found["one"]["log_prob"], log_prob[:1], rtol=1e-5)
        np.testing.assert_allclose(found["default"], log_prob, rtol=1e-5)
        sample = self.distribution.sample(3, seed=tf.constant([5, 7]))
        np.testing.assert_allclose(found["sample"], sample, rtol=1e-4, atol=1e-4)
        self.assertEqual(found["sample"], found["again"])
        self.assertNotEqual(found["sample"], found["other"])
        self.assertEqual(np.shape(found["single"]), (1, *_SHAPE))
        self.assertEqual(found["levels"], _LEVELS)
        self.assertEqual(found["imported"], [])

    def test_signatures(self):
        signatures = tf.saved_model.load(self.path).signatures
        self.assertEqual(set(signatures), {"log_prob", "sample", "serving_default"})
        images = tf.TensorSpec([None, *_SHAPE], tf.float32, name="images")
        for name in ("log_prob", "serving_default"):
            self.assertEqual(signatures[name].structured_input_signature[1], {"images": images})
            outputs = signatures[name].structured_outputs
            self.assertEqual(set(outputs), {"log_prob", "bits_per_dim"})
            for output in outputs.values():
                self.assertEqual((output.dtype, output.shape.as_list()), (tf.float32, [None]))
        self.assertEqual(
            signatures["sample"].structured_input_signature[1],
            {
                "count": tf.TensorSpec([], tf.int32, name="count"),
                "seed": tf.TensorSpec([2], tf.int32, name="seed"),
            },
        )
        samples = signatures["sample"].structured_outputs["images"]
        self.assertEqual((samples.dtype, samples.shape.as_list()), (tf.float32, [None, *_SHAPE]))

    def test_samples_are_not_clipped(self):
        distribution = _small_flow()
        distribution.flow.bijectors[-1].moving_variance.assign([9.0])  # logits beyond those of 0, 1
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "model")
        serving.save(distribution, path, levels=_LEVELS)
        sample = tf.saved_model.load(path).signatures["sample"]
        images = sample(count=tf.constant(100), seed=tf.constant([0, 0]))["images"]
        self.assertLess(np.min(images), 0)
        self.assertGreater(np.max(images), _LEVELS)

    @parameterized.parameters(-1, 0, 5)
    def test_refuses_a_count_beyond_max_samples(self, count):
        sample = tf.saved_model.load(self.path).signatures["sample"]
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, r"a count in 1 \.\.\. 4, got"):
            sample(count=tf.constant(count), seed=tf.constant([0, 1]))

    def test_holds_each_folded_weight_once(self):
        prefix = os.path.join(self.path, "variables", "variables")
        saved = dict(tf.train.list_variables(prefix))
        found = [shape for name, shape in saved.items() if name.startswith("weights/")]
        couplings = registry.parts(self.distribution, nvp.bijectors.AffineCoupling)
        norms = registry.parts(self.distribution, nvp.bijectors.BatchNorm)
        expected = [list(v.shape) for norm in norms for v in norm.variables]
        for coupling in couplings:
            network = coupling.conditioner
            left = [v for norm in (network.norm_in, *network.norms_1) for v in norm.variables]
            folded = [weight for weights in network.folded().values() for weight in weights]
            expected += [list(v.shape) for v in (coupling.gain, *left, *folded)]
        self.assertCountEqual(found, expected)
        self.assertLess(len(found), len(self.distribution.variables))
        # The rest is the graph of objects, some 120 bytes for each variable.
        floats = sum(math.prod(shape) for shape in expected)
        size = os.path.getsize(f"{prefix}.data-00000-of-00001")
        self.assertBetween(size, 4 * floats, 4 * floats + 300 * len(found))

    def test_no_request_normalises_a_kernel(self):
        with open(os.path.join(self.path, "saved_model.pb"), "rb") as file:
            model = saved_model_pb2.SavedModel.FromString(file.read())
        kernels = 0
        for function in model.meta_graphs[0].graph_def.library.function:
            nodes = {node.name: node for node in function.node_def}
            for node in function.node_def:
                if node.op == "Conv2D":
                    kernels += 1
                    self.assertEqual(nodes[node.input[1].split(":")[0]].op, "ReadVariableOp", node)
        self.assertEqual(kernels, 2 * 4 * 6)  # Of four networks, in log_prob and in sample.

    def test_gradients_pass_through_what_loads(self):
        gradients = []
        model = tf.saved_model.load(self.path)
        loaded = model.signatures["log_prob"]
        for log_prob in (self.distribution.log_prob, lambda x: loaded(images=x)["log_prob"]):
            with tf.GradientTape() as tape:
                tape.watch(self.images)
                values = log_prob(self.images)
            gradients.append(tape.gradient(values, self.images))
        self.assertGreater(np.max(np.abs(gradients[0])), 0)
        np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5 * np.max(np.abs(gradients[0])))

    def test_the_flow_itself_stays_as_it_was(self):
        distribution = registry.randomize(
            nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=2, blocks=1)
        )
        before = distribution.log_prob(self.images).numpy()
        names = [v.name for v in distribution.variables]
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "model")
        serving.save(distribution, path, levels=_LEVELS)
        self.assertEqual([v.name for v in distribution.variables], names)
        np.testing.assert_array_equal(distribution.log_prob(self.images), before)
        registry.randomize(distribution, seed=1)
        self.assertFalse(np.allclose(distribution.log_prob(self.images), before, rtol=1e-2))

    def test_follows_no_later_change(self):
        distribution = _small_flow()
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "model")
        serving.save(distribution, path, levels=_LEVELS)
        before = distribution.log_prob(self.images).numpy()
        registry.randomize(distribution)
        loaded = tf.saved_model.load(path).signatures["log_prob"](images=self.images)["log_prob"]
        np.testing.assert_allclose(loaded, before, rtol=1e-5)
        self.assertFalse(np.allclose(loaded, distribution.log_prob(self.images), rtol=1e-2))

    def test_a_flow_in_double_precision_serves_single(self):
        mask = nvp.bijectors.Checkerboard(parity=0)
        norm = nvp.bijectors.BatchNorm(1, mask=mask, dtype="float64")
        distribution = nvp.FlowDistribution(norm, [2, 2, 1], dtype=tf.float64)
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "model")
        serving.save(distribution, path)
        signatures = tf.saved_model.load(path).signatures
        images = signatures["sample"](count=tf.constant(2), seed=tf.constant([0, 0]))["images"]
        self.assertEqual(images.dtype, tf.float32)
        found = signatures["log_prob"](images=images)["log_prob"]
        expected = distribution.log_prob(tf.cast(images, tf.float64))
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_a_failed_export_leaves_nothing(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())

        def half(module, export_dir, *args, **kwargs):
            os.makedirs(export_dir)
            with open(os.path.join(export_dir, "saved_model.pb"), "w") as file:
                file.write("half")
            raise KeyboardInterrupt

        with mock.patch.object(tf.saved_model, "save", half):
            with self.assertRaises(KeyboardInterrupt):
                serving.save(_small_flow(), os.path.join(folder, "1"), levels=_LEVELS)
        self.assertEmpty(os.listdir(folder))

    def test_the_folder_is_open_to_a_server(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        serving.save(_small_flow(), os.path.join(folder, "1") + os.sep, levels=_LEVELS)
        self.assertEqual(os.listdir(folder), ["1"])
        os.mkdir(os.path.join(folder, "plain"))
        modes = {os.stat(os.path.join(folder, name)).st_mode for name in ("1", "plain")}
        self.assertLen(modes, 1)

    def test_refuses_to_overwrite(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with self.assertRaisesRegex(FileExistsError, folder):
            serving.save(_small_flow(), folder)
        self.assertEmpty(os.listdir(folder))

    def test_refuses_what_it_cannot_serve(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        path = os.path.join(folder, "1")
        vectors = nvp.FlowDistribution(nvp.bijectors.BatchNorm(2), [2])
        with self.assertRaisesRegex(ValueError, r"images \[height, width, channels\], got .*\(2,\)"):
            serving.save(vectors, path)
        conditional = nvp.real_nvp(event_shape=_SHAPE, scales=1, width=2, blocks=1, context_size=3)
        with self.assertRaisesRegex(ValueError, "expected a context of size 3, got none"):
            serving.save(conditional, path)
        self.assertEmpty(os.listdir(folder))


if __name__ == "__main__":
    absltest.main()
