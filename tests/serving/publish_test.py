"""Versions appear as a whole, under the next number, whatever interrupts the one who writes them."""

import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile
from unittest import mock

import tensorflow as tf
from absl.testing import absltest, parameterized
from tensorflow_serving.apis import prediction_log_pb2

import tfp_realnvp as nvp
from tfp_realnvp import serving

_SHAPE = (4, 2, 1)
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tfp_realnvp"])


def _flow():
    norm = nvp.bijectors.BatchNorm(1, mask=nvp.bijectors.Checkerboard(parity=0))
    return nvp.FlowDistribution(nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(17), norm]), _SHAPE)


def _publish(folder):
    serving.publish(_flow(), folder)


def _entries(folder):
    return sum(len(folders) + len(files) for _, folders, files in os.walk(folder))


class _Test(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "model"


class PublishTest(_Test):
    def test_numbers_versions(self):
        self.assertEqual(serving.versions(self.folder), [])
        self.assertEqual(serving.publish(_flow(), self.folder), self.folder / "1")
        self.assertEqual(serving.publish(_flow(), self.folder, version=9), self.folder / "9")
        (self.folder / "README.md").touch()
        self.assertEqual(serving.publish(_flow(), self.folder), self.folder / "10")
        self.assertEqual(serving.versions(self.folder), [1, 9, 10])
        self.assertCountEqual(os.listdir(self.folder), ["1", "9", "10", "README.md"])

    def test_refuses_a_version_that_is_there(self):
        serving.publish(_flow(), self.folder)
        with self.assertRaisesRegex(FileExistsError, "there is something at .*/model/1"):
            serving.publish(_flow(), self.folder, version=1)
        for version in (0, 1.5, True):
            with self.assertRaisesRegex(ValueError, f"expected a version of 1 or more, got {version}"):
                serving.publish(_flow(), self.folder, version=version)

    def test_without_the_extra_serve_there_are_no_warm_up_requests(self):
        absent = {"tensorflow_serving": None, "tensorflow_serving.apis": None}
        with mock.patch.dict(sys.modules, absent), self.assertLogs(level="WARNING") as logs:
            path = serving.publish(_flow(), self.folder)
        self.assertIn("no warm-up requests for TensorFlow Serving: pip install 'tfp_realnvp[serve]'", logs.output[0])
        self.assertFalse((path / "assets.extra/tf_serving_warmup_requests").exists())
        self.assertEqual(nvp.load(path).event_shape, _SHAPE)

    def test_warms_up_every_signature(self):
        path = serving.publish(_flow(), self.folder)
        signatures = tf.saved_model.load(str(path)).signatures
        asked = []
        for record in tf.data.TFRecordDataset(str(path / "assets.extra" / "tf_serving_warmup_requests")):
            request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
            name = request.model_spec.signature_name
            inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
            signatures[name](**inputs)
            asked.append(name)
            # What a server that batches asks for.
            self.assertEqual({value.shape[0] for value in inputs.values()}, {1})
        self.assertCountEqual(asked, set(signatures) - {"sample"})

    def test_of_two_exports_each_gets_a_number(self):
        save = tf.saved_model.save

        def save_while_another_is_faster(*args, **kwargs):
            save(*args, **kwargs)
            (self.folder / "1").mkdir()
            (self.folder / "1" / "saved_model.pb").touch()

        with mock.patch.object(tf.saved_model, "save", save_while_another_is_faster):
            self.assertEqual(serving.publish(_flow(), self.folder), self.folder / "2")
            shutil.rmtree(self.folder / "1")
            with self.assertRaisesRegex(FileExistsError, "there is something at .*/model/1"):
                serving.publish(_flow(), self.folder, version=1)
        self.assertCountEqual(os.listdir(self.folder), ["1", "2"])

    def test_names_that_are_numbers(self):
        serving.publish(_flow(), self.folder, version=3)
        os.rename(self.folder / "3", self.folder / "0003")
        self.assertEqual(serving.versions(self.folder), [3])
        self.assertEqual(serving.version_path(self.folder), self.folder / "0003")
        self.assertEqual(nvp.load(self.folder).event_shape, _SHAPE)

    def test_refuses_a_path_that_is_no_local_one(self):
        with self.assertRaisesRegex(ValueError, "expected a path on a local disk, got gs://bucket/model"):
            serving.publish(_flow(), "gs://bucket/model")


class InterruptedTest(_Test):
    @parameterized.parameters(1, 4, 7)
    def test_no_half_version(self, number):
        """SIGKILL once this many files and folders are there, of the ten or so of an export."""
        self.folder.mkdir()
        process = _processes.Process(target=_publish, args=(self.folder,))
        process.start()
        while process.is_alive() and _entries(self.folder) < number:
            pass
        process.kill()
        process.join()
        for version in serving.versions(self.folder):
            path = self.folder / str(version)
            self.assertEqual(serving.describe(path)["event_shape"], [*_SHAPE])
            self.assertTrue((path / "assets.extra" / "tf_serving_warmup_requests").exists())
            tf.saved_model.load(str(path)).signatures["log_prob"](images=tf.ones([1, *_SHAPE]))
        # What was left does not stand in the way of the next.
        path = serving.publish(_flow(), self.folder)
        self.assertIn(int(path.name), (1, 2))
        tf.saved_model.load(str(path))


if __name__ == "__main__":
    absltest.main()
