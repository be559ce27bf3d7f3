"""Which forms of TF_CONFIG list workers."""

import json
import os
from unittest import mock

from absl.testing import absltest, parameterized

from tfp_realnvp.training.cluster import Cluster, read_cluster

_ADDRESSES = ["a:1", "b:2"]


def _config(cluster=None, job="worker", index=0):
    cluster = {"worker": _ADDRESSES} if cluster is None else cluster
    return {"cluster": cluster, "task": {"type": job, "index": index}}


class ClusterTest(parameterized.TestCase):
    def _read(self, config):
        text = config if isinstance(config, str) else json.dumps(config)
        with mock.patch.dict(os.environ, TF_CONFIG=text):
            return read_cluster()

    @parameterized.parameters(
        (_config(index=1), Cluster(("a:1", "b:2"), "worker 1", "b:2")),
        (_config(index="1"), Cluster(("a:1", "b:2"), "worker 1", "b:2")),
        (_config({"worker": ["b:2"], "chief": ["a:1"], "ps": []}), Cluster(("a:1", "b:2"), "worker 0", "b:2")),
        (_config({"worker": ["[::1]:65535"]}), Cluster(("[::1]:65535",), "worker 0", "[::1]:65535")),
        ("", None),
        (" {} ", None),
    )
    def test_right_forms(self, config, cluster):
        self.assertEqual(self._read(config), cluster)

    @parameterized.parameters(
        ("{", "JSON, got '{' .*"),
        ([], 'an object with "cluster" and "task", got .*'),
        ({"task": {"type": "worker", "index": 0}}, '"cluster" to be an object .*, got null'),
        (_config(["a:1"]), '"cluster" to be an object .*'),
        (_config({"worker": "a:1"}), '"cluster" to be an object .*'),
        (_config({}), 'addresses under "worker", .*'),
        (_config({"worker": []}), 'addresses under "worker", .*'),
        (_config({"worker": ["a:1"], "ps": ["b:1"]}), 'addresses under "worker", .*'),
        (_config({"chief": ["a:1", "b:1"]}, "chief"), "at most one chief, got .*"),
        (_config({"worker": ["a"]}), "addresses of the form host:port, .*, got a"),
        (_config({"worker": ["a:0"]}), "addresses of the form host:port, .*, got a:0"),
        (_config({"worker": ["a:65536"]}), "addresses of the form host:port, .*, got a:65536"),
        (_config({"worker": [1]}), "addresses of the form host:port, .*, got 1"),
        (_config({"worker": ["a:1", "a:1"]}), "a different address for each worker, got a:1 twice"),
        ({"cluster": {"worker": _ADDRESSES}}, '"task" to be an object .*, got null'),
        ({"cluster": {"worker": _ADDRESSES}, "task": {"type": "worker"}}, '"task" to be an object .*'),
        (_config(job="wrkr"), "a task type among worker, got wrkr"),
        (_config(job=["worker"]), "a task type among worker, got .*"),
        (_config(index=2), "a task index from 0 to 1 for worker, got 2"),
        (_config(index=-1), "a task index from 0 to 1 for worker, got -1"),
        (_config(index=None), "a task index from 0 to 1 for worker, got null"),
    )
    def test_wrong_forms(self, config, message):
        with self.assertRaisesRegex(ValueError, f"^TF_CONFIG: expected {message}$"):
            self._read(config)


if __name__ == "__main__":
    absltest.main()
