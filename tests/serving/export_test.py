"""What is saved is what was there, and TensorFlow alone can read it."""

import json
import math
import os
import pathlib
import shutil
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
from tests.serving import exported
from tests.training import small
from tfp_realnvp import evaluation, serving
from tfp_realnvp.serving.settings import Settings

_LEVELS, _SHAPE = exported.LEVELS, exported.SHAPE

# Run by a process of its own: no import of these succeeds there, as on a machine without them.
_TENSORFLOW_ALONE = """
import json, sys
absent = ["keras", "tf_keras", "tensorflow_probability", "tfp_realnvp"]
sys.modules.update(dict.fromkeys(absent))
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
images = tf.io.parse_tensor(tf.io.read_file(sys.argv[2]), tf.float32)
sample = lambda count, *seed: model.signatures["sample"](
    count=tf.constant(count), seed=tf.constant(seed), temperature=tf.constant(1.0))["images"].numpy().tolist()
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
        cls.distribution, cls.path = exported.distribution(), os.fspath(exported.path())
        cls.model = tf.saved_model.load(cls.path)  # Whose signatures live as long as it does.
        cls.signatures = cls.model.signatures
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
        images = {"images": tf.TensorSpec([None, *_SHAPE], tf.float32, name="images")}
        integers = {"images": tf.TensorSpec([None, *_SHAPE], tf.uint8, name="images")}
        latents = {"latents": tf.TensorSpec([None, None, None, 1], tf.float32, name="latents")}
        drawn = {
            "count": tf.TensorSpec([], tf.int32, name="count"),
            "seed": tf.TensorSpec([2], tf.int32, name="seed"),
            "temperature": tf.TensorSpec([], tf.float32, name="temperature"),
        }
        number, number_of_images = (tf.float32, [None]), (tf.float32, [None, *_SHAPE])
        density = {"log_prob": number, "bits_per_dim": number}
        error, encoded = {"reconstruct_error": number}, {"latents": number_of_images}
        any_size = [None, None, None, 1]
        made = {"images": (tf.float32, any_size), "pixels": (tf.uint8, any_size)}
        samples = {"images": number_of_images, "pixels": (tf.uint8, [None, *_SHAPE])}
        expected = {
            "serving_default": (images, density),
            "log_prob": (images, density),
            "log_prob_uint8": (integers, density),
            "encode": (images, encoded),
            "encode_uint8": (integers, encoded),
            "reconstruct_error": (images, error),
            "reconstruct_error_uint8": (integers, error),
            "decode": (latents, made),
            "sample": (drawn, samples),
        }
        found = {
            name: (
                function.structured_input_signature[1],
                {key: (value.dtype, value.shape.as_list()) for key, value in function.structured_outputs.items()},
            )
            for name, function in self.signatures.items()
        }
        self.assertEqual(found, expected)

    def test_the_temperature_may_be_left_out(self):
        with open(os.path.join(self.path, "saved_model.pb"), "rb") as file:
            model = saved_model_pb2.SavedModel.FromString(file.read())
        defaults = model.meta_graphs[0].signature_def["sample"].defaults
        self.assertEqual({name: tf.make_ndarray(value) for name, value in defaults.items()}, {"temperature": 1.0})

    def test_temperature_scales_the_latents(self):
        signatures = self.signatures
        latents = [
            signatures["encode"](
                images=signatures["sample"](
                    count=tf.constant(4), seed=tf.constant([3, 4]), temperature=tf.constant(temperature)
                )["images"]
            )["latents"]
            for temperature in (0.25, 0.5, 0.0)
        ]
        np.testing.assert_allclose(2 * latents[0], latents[1], atol=1e-2)
        np.testing.assert_allclose(latents[2], 0, atol=1e-2)

    def test_encodes_and_decodes(self):
        signatures = self.signatures
        latents = signatures["encode"](images=self.images)["latents"]
        np.testing.assert_allclose(latents, self.distribution.flow.forward(self.images), rtol=1e-4, atol=1e-4)
        decoded = signatures["decode"](latents=latents)
        np.testing.assert_allclose(decoded["images"], self.images, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(decoded["pixels"], np.clip(np.floor(decoded["images"]), 0, _LEVELS - 1))
        error = signatures["reconstruct_error"](images=self.images)["reconstruct_error"]
        difference = np.abs(decoded["images"] - self.images)
        np.testing.assert_allclose(error, np.max(difference, axis=(1, 2, 3)), atol=1e-4)

    def test_decodes_other_sizes(self):
        decode = self.signatures["decode"]
        self.assertEqual(decode(latents=tf.zeros([0, 2, 4, 1]))["images"].shape, [0, 2, 4, 1])
        for shape in ((1, 2, 6, 1), (3, 8, 4, 1), (2, 1, 1, 1)):
            latents = tf.random.stateless_normal(shape, (1, 2))
            expected = self.distribution.flow.inverse(latents)
            np.testing.assert_allclose(decode(latents=latents)["images"], expected, rtol=1e-4, atol=1e-3)

    def test_integers_get_noise_of_their_own(self):
        signatures = self.signatures
        images = tf.cast(tf.random.stateless_uniform([4, *_SHAPE], (0, 0), 0, _LEVELS, tf.int32), tf.uint8)
        dequantised = signatures["decode"](latents=signatures["encode_uint8"](images=images)["latents"])
        noise = dequantised["images"] - tf.cast(images, tf.float32)
        self.assertBetween(np.min(noise), -1e-3, 0.2)
        self.assertBetween(np.max(noise), 0.8, 1 + 1e-3)
        self.assertGreater(np.min(np.std(noise, axis=0)), 0.01)  # One row's is not another's.
        np.testing.assert_array_equal(dequantised["pixels"][:, 1:], images[:, 1:])
        log_prob = signatures["log_prob"](images=dequantised["images"])["log_prob"]
        np.testing.assert_allclose(signatures["log_prob_uint8"](images=images)["log_prob"], log_prob, rtol=1e-3)

    def test_a_row_has_one_answer_whatever_stands_beside_it(self):
        signatures = self.signatures
        images = tf.cast(tf.random.stateless_uniform([5, *_SHAPE], (0, 1), 0, _LEVELS, tf.int32), tf.uint8)
        for name in ("log_prob", "encode", "reconstruct_error"):
            for given, kind in ((images, "_uint8"), (tf.cast(images, tf.float32) + 0.5, "")):
                answer = signatures[name + kind]
                together = answer(images=given)
                apart = [answer(images=given[i : i + 1]) for i in range(5)]
                turned = answer(images=given[::-1])
                for key, values in together.items():
                    tolerance = dict(rtol=1e-5, atol=2e-5)
                    np.testing.assert_allclose(np.concatenate([one[key] for one in apart]), values, **tolerance)
                    np.testing.assert_allclose(turned[key][::-1], values, **tolerance)

    def test_describes_itself(self):
        about = serving.describe(self.path)
        self.assertEqual((about["event_shape"], about["levels"], about["max_samples"]), ([*_SHAPE], _LEVELS, 4))
        self.assertEqual(about["dataset"], "made up")
        self.assertEqual(about["versions"], {"tfp_realnvp": nvp.__version__, "tensorflow": tf.__version__})
        with self.assertRaisesRegex(FileNotFoundError, "expected an export of tfp_realnvp"):
            serving.describe(os.path.dirname(self.path))

    def test_half_the_weights(self):
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "1")
        serving.save(self.distribution, path, weights_dtype="bfloat16")
        small, large = (
            os.path.getsize(os.path.join(folder, "variables", "variables.data-00000-of-00001"))
            for folder in (path, self.path)
        )
        self.assertLess(small, large)
        dtypes = {dtype for name, dtype in _saved_weights(path) if len(name) == 4}
        self.assertEqual(dtypes, {tf.bfloat16})
        found = tf.saved_model.load(path).signatures["log_prob"](images=self.images)["log_prob"]
        np.testing.assert_allclose(found, self._expected(self.images)[0], rtol=0.05)

    def test_samples_are_not_clipped(self):
        distribution = _small_flow()
        distribution.flow.bijectors[-1].moving_variance.assign([9.0])  # logits beyond those of 0, 1
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "model")
        serving.save(distribution, path)
        sample = tf.saved_model.load(path).signatures["sample"]
        images = sample(count=tf.constant(100), seed=tf.constant([0, 0]), temperature=tf.constant(1.0))["images"]
        self.assertLess(np.min(images), 0)
        self.assertGreater(np.max(images), _LEVELS)

    @parameterized.parameters(-1, 0, 5)
    def test_refuses_a_count_beyond_max_samples(self, count):
        sample = self.signatures["sample"]
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, r"a count in 1 \.\.\. 4 \(max_samples\), got"):
            sample(count=tf.constant(count), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))

    def test_holds_each_folded_weight_once(self):
        prefix = os.path.join(self.path, "variables", "variables")
        saved = dict(tf.train.list_variables(prefix))
        found = [shape for name, shape in saved.items() if name.startswith("weights/")]
        couplings = registry.parts(self.distribution, nvp.bijectors.Coupling)
        norms = registry.parts(self.distribution, nvp.bijectors.BatchNorm)
        expected = [list(v.shape) for norm in norms for v in norm.variables]
        for coupling in couplings:
            network = coupling.conditioner
            left = [v for norm in (network.norm_in, *network.norms_1) for v in norm.variables]
            folded = [weight for weights in network.folded().values() for weight in weights]
            expected += [list(v.shape) for v in (coupling.transformer.gain, *left, *folded)]
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
        self.assertEqual(kernels, 3 * 4 * 6)  # Of four networks, in log_prob, in sample, and each by itself.

    def test_gradients_pass_through_what_loads(self):
        gradients = []
        loaded = self.signatures["log_prob"]
        for log_prob in (self.distribution.log_prob, lambda x: loaded(images=x)["log_prob"]):
            with tf.GradientTape() as tape:
                tape.watch(self.images)
                values = log_prob(self.images)
            gradients.append(tape.gradient(values, self.images))
        self.assertGreater(np.max(np.abs(gradients[0])), 0)
        np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5 * np.max(np.abs(gradients[0])))

    def test_the_flow_itself_stays_as_it_was(self):
        distribution = small.two_couplings()
        before = distribution.log_prob(self.images).numpy()
        names = [v.name for v in distribution.variables]
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "model")
        serving.save(distribution, path)
        self.assertEqual([v.name for v in distribution.variables], names)
        np.testing.assert_array_equal(distribution.log_prob(self.images), before)
        registry.randomize(distribution, seed=1)
        self.assertFalse(np.allclose(distribution.log_prob(self.images), before, rtol=1e-2))

    def test_follows_no_later_change(self):
        distribution = _small_flow()
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "model")
        serving.save(distribution, path)
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
        images = signatures["sample"](count=tf.constant(2), seed=tf.constant([0, 0]), temperature=tf.constant(1.0))[
            "images"
        ]
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
                serving.save(_small_flow(), os.path.join(folder, "1"))
        self.assertEmpty(os.listdir(folder))

    def test_the_folder_is_open_to_a_server(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        serving.save(_small_flow(), os.path.join(folder, "1") + os.sep)
        self.assertEqual(os.listdir(folder), ["1"])
        os.mkdir(os.path.join(folder, "plain"))
        modes = {os.stat(os.path.join(folder, name)).st_mode for name in ("1", "plain")}
        self.assertLen(modes, 1)

    def test_refuses_to_overwrite(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with self.assertRaisesRegex(FileExistsError, folder):
            serving.save(_small_flow(), folder)
        self.assertEmpty(os.listdir(folder))

    def test_settings_take_integers_of_numpy(self):
        settings = Settings(max_rows=np.int64(5), noise_seed=np.uint8(3), classes=np.int32(2))
        self.assertEqual(settings, Settings(max_rows=5, noise_seed=3, classes=2))
        self.assertIs(type(settings.max_rows), int)

    def test_refuses_what_it_cannot_serve(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        path = os.path.join(folder, "1")
        matrices = nvp.FlowDistribution(nvp.bijectors.BatchNorm(2), [3, 2])
        with self.assertRaisesRegex(ValueError, r"expected images .* or vectors .*, got an event shape of \(3, 2\)"):
            serving.save(matrices, path)
        conditional = nvp.real_nvp(event_shape=_SHAPE, scales=1, width=2, blocks=1, context_size=3)
        with self.assertRaisesRegex(ValueError, "expected a context of size 3, got none"):
            serving.save(conditional, path)
        for settings, message in (
            (dict(weights_dtype="float16"), "expected weights_dtype to be one of float32, bfloat16, got 'float16'"),
            (dict(weights_dtype="bfloat16"), "expected a flow with residual networks .* bfloat16 kernels, got none"),
            (dict(max_samples=0), r"expected max_samples in 1 \.\.\. 2147483647, got 0"),
            (dict(max_rows=0), r"expected max_rows in 1 \.\.\. 2147483647, got 0"),
            (dict(max_rows=None), r"expected max_rows in 1 \.\.\. 2147483647, got None"),
            (dict(max_pixels=1.5), r"expected max_pixels in 1 \.\.\. 2147483647, got 1.5"),
            (dict(max_rows=True), r"expected max_rows in 1 \.\.\. 2147483647, got True"),
            (dict(noise_seed=2**31), r"expected noise_seed in -2147483648 \.\.\. 2147483647, got 2147483648"),
            (dict(noise_seed=0.5), r"expected noise_seed in -2147483648 \.\.\. 2147483647, got 0.5"),
            (dict(classes=0), r"expected classes in 1 \.\.\. 2147483647, got 0"),
            (dict(classes=2.0), r"expected classes in 1 \.\.\. 2147483647, got 2.0"),
            (dict(classes=2, context_size=3), "expected a context_size or classes, got both"),
            (dict(context_size=3), "expected a flow with a context for context_size=3, got one that takes none"),
            (dict(metadata={"levels": 3}), "expected metadata of other names than those of the export, got levels"),
            (dict(metadata={"labels": [], "data": ""}), "expected metadata of other names .*, got labels$"),
            (dict(invalid_rows="keep"), "expected invalid_rows to be one of refuse, minus_inf, got 'keep'"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                serving.save(_small_flow(), path, **settings)
        with self.assertRaisesRegex(TypeError, "expected metadata of texts, .*: .* PurePosixPath is not JSON"):
            serving.save(_small_flow(), path, metadata={"data": pathlib.PurePosixPath(path)})
        loaded = serving.load(self.path)
        with self.assertRaisesRegex(ValueError, "expected a flow with its networks, got a flow loaded"):
            serving.save(loaded, path)
        self.assertEmpty(os.listdir(folder))


class ConditionalTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.distribution = registry.randomize(
            nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=4, blocks=1, context_size=3)
        )
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        serving.save(cls.distribution, os.path.join(cls.folder, "labels"), classes=3)
        serving.save(cls.distribution, os.path.join(cls.folder, "context"), context_size=3)
        cls.labels, cls.one_hot = tf.constant([2, 0]), tf.one_hot([2, 0], 3)

    def test_classes_were_called_labels(self):
        folder = shutil.copytree(os.path.join(self.folder, "labels"), os.path.join(self.folder, "before"))
        file = pathlib.Path(folder, "assets.extra", "tfp_realnvp.json")
        file.write_text(file.read_text().replace('"classes"', '"labels"'))
        self.assertEqual(serving.describe(folder), serving.describe(os.path.join(self.folder, "labels")))
        self.assertEqual(nvp.load(folder).flow.context_size, 3)

    def test_answers_for_each_row(self):
        seed = tf.constant([0, 1])
        answers = {}
        for name, condition in (("labels", self.labels), ("context", self.one_hot)):
            signatures = tf.saved_model.load(os.path.join(self.folder, name)).signatures
            given = {name: condition}
            images = signatures["sample"](seed=seed, temperature=tf.constant(1.0), **given)["images"]
            log_prob = signatures["log_prob"](images=images, **given)["log_prob"]
            latents = signatures["encode"](images=images, **given)["latents"]
            decoded = signatures["decode"](latents=latents, **given)["images"]
            np.testing.assert_allclose(decoded, images, rtol=1e-3, atol=1e-3)
            answers[name] = images, log_prob
        for one, other in zip(answers["labels"], answers["context"]):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)
        images, log_prob = answers["labels"]
        np.testing.assert_allclose(self.distribution.log_prob(images, context=self.one_hot), log_prob, rtol=1e-5)
        self.assertFalse(
            np.allclose(self.distribution.log_prob(images, context=self.one_hot[::-1]), log_prob, rtol=1e-3)
        )

    def test_loads_as_a_distribution(self):
        loaded = serving.load(os.path.join(self.folder, "context"))
        images = loaded.sample(2, seed=(0, 1), context=self.one_hot)
        np.testing.assert_allclose(
            loaded.log_prob(images, context=self.one_hot),
            self.distribution.log_prob(images, context=self.one_hot),
            rtol=1e-5,
        )

    def test_what_loads_refuses_another_context(self):
        loaded = serving.load(os.path.join(self.folder, "labels"))
        images = tf.fill([2, *_SHAPE], 3.0)
        with self.assertRaisesRegex(ValueError, "expected a context of size 3, got none"):
            loaded.log_prob(images)
        with self.assertRaisesRegex(ValueError, r"expected a context of size 3, got shape \(2, 4\)"):
            loaded.sample(2, context=tf.zeros([2, 4]))

    def test_refuses_conditions_in_words(self):
        images = tf.fill([2, *_SHAPE], 3.0)
        of_labels = tf.saved_model.load(os.path.join(self.folder, "labels")).signatures["log_prob"]
        of_context = tf.saved_model.load(os.path.join(self.folder, "context")).signatures["log_prob"]
        for call, message in (
            (lambda: of_labels(images=images, labels=tf.constant([0, 3])), r"expected labels in 0 \.\.\. 2, got"),
            (lambda: of_labels(images=images, labels=tf.constant([0])), "expected as many labels as rows, got"),
            (lambda: of_context(images=images, context=tf.fill([2, 3], np.nan)), "expected a finite context, got"),
            (lambda: of_context(images=images, context=tf.ones([1, 3])), "expected as many context rows as rows, got"),
        ):
            with self.assertRaisesRegex(tf.errors.InvalidArgumentError, message):
                call()


class VectorsTest(absltest.TestCase):
    def test_are_served_too(self):
        distribution = registry.randomize(nvp.real_nvp(event_shape=(3,), couplings=2, hidden_units=(4,)))
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "1")
        serving.save(distribution, path)
        signatures = tf.saved_model.load(path).signatures
        self.assertEqual(
            set(signatures), {"serving_default", "log_prob", "encode", "decode", "sample", "reconstruct_error"}
        )
        drawn = signatures["sample"](count=tf.constant(5), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))
        self.assertEqual(set(drawn), {"vectors"})
        answers = signatures["log_prob"](vectors=drawn["vectors"])
        self.assertEqual(set(answers), {"log_prob"})
        np.testing.assert_allclose(answers["log_prob"], distribution.log_prob(drawn["vectors"]), rtol=1e-5)
        latents = signatures["encode"](vectors=drawn["vectors"])["latents"]
        np.testing.assert_allclose(signatures["decode"](latents=latents)["vectors"], drawn["vectors"], rtol=1e-4)


def _saved_weights(path):
    """Shape and dtype of what is saved."""
    reader = tf.train.load_checkpoint(os.path.join(path, "variables", "variables"))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    return [(tuple(shapes[name]), dtypes[name]) for name in shapes if name.startswith("weights/")]


if __name__ == "__main__":
    absltest.main()
