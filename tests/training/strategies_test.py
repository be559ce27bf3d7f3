"""Which strategy a name and the environment make."""

import json
import os
import socket
from unittest import mock

import tensorflow as tf
from absl.testing import absltest, parameterized

from tests.training import processes
from tfp_realnvp import training


def _config(cluster, job="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})


def _mirrored_cpus():
    processes.set_cpus(3)
    strategy = training.strategy("mirrored")
    is_mirrored = isinstance(strategy, tf.distribute.MirroredStrategy)
    return strategy.num_replicas_in_sync, training.is_chief(strategy), is_mirrored


class StrategyTest(parameterized.TestCase):
    @parameterized.parameters("auto", "one_device")
    def test_one_device(self, name):
        with mock.patch.dict(os.environ, TF_CONFIG=_config({"worker": ["a:1"]})):  # A cluster of one is none.
            strategy = training.strategy(name)
        self.assertIsInstance(strategy, tf.distribute.OneDeviceStrategy)
        self.assertEqual(strategy.num_replicas_in_sync, 1)
        self.assertTrue(training.is_chief(strategy))

    def test_mirrored(self):
        self.assertEqual(processes.Process(_mirrored_cpus).result(), (3, True, True))

    @parameterized.parameters(
        ("auto", {"worker": ["a:1", "b:1"]}),
        ("auto", {"chief": ["a:1"], "worker": ["b:1"]}),
        ("multi_worker", {"worker": ["a:1"]}),
    )
    def test_several_workers(self, name, cluster):
        with (
            mock.patch.dict(os.environ, TF_CONFIG=_config(cluster)),
            mock.patch.object(tf.distribute, "MultiWorkerMirroredStrategy") as strategy,
        ):
            self.assertIs(training.strategy(name), strategy.return_value)

    def test_the_chief_is_one(self):
        for cluster, chief in (
            ({"worker": ["a:1", "b:1"]}, ("worker", 0)),
            ({"chief": ["a:1"], "worker": ["b:1"]}, ("chief", 0)),
        ):
            for job, hosts in cluster.items():
                for index in range(len(hosts)):
                    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
                    strategy = mock.Mock(cluster_resolver=resolver)
                    with mock.patch.dict(os.environ, TF_CONFIG=_config(cluster, job, index)):
                        self.assertEqual(training.is_chief(strategy), (job, index) == chief)

    def test_workers_that_nobody_lists(self):
        with self.assertRaisesRegex(ValueError, "^multi_worker: expected a TF_CONFIG in the environment .*, got none$"):
            training.strategy("multi_worker")

    def test_an_operation_before_several_workers(self):
        tf.constant(0)
        with (
            mock.patch.dict(os.environ, TF_CONFIG=_config({"worker": ["a:1"]})),
            self.assertRaisesRegex(RuntimeError, "^expected .* to be connected before TensorFlow runs any operation$"),
        ):
            training.strategy("multi_worker")

    @parameterized.parameters(
        (True, r"worker 0: expected a port to listen on, got \d+: Address already in use"),
        (False, "worker 0: expected all workers of TF_CONFIG to connect, got: Deadline Exceeded"),
    )
    def test_workers_that_cannot_be_connected(self, in_use, message):
        error = tf.errors.UnknownError(None, None, "Deadline Exceeded\nAdditional information")
        with socket.create_server(("localhost", 0)) as server:
            address = f"localhost:{server.getsockname()[1]}"
            if not in_use:
                server.close()
            with (
                mock.patch.dict(os.environ, TF_CONFIG=_config({"worker": [address]})),
                mock.patch.object(tf.distribute, "MultiWorkerMirroredStrategy", side_effect=error),
                self.assertRaisesRegex(ValueError, f"^{message}$"),
            ):
                training.strategy("multi_worker")

    @parameterized.parameters("parameter_server", "")
    def test_another_name(self, name):
        with self.assertRaisesRegex(ValueError, f"^expected a strategy among auto, .*, got '{name}'$"):
            training.strategy(name)


if __name__ == "__main__":
    absltest.main()
