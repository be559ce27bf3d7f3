"""The job files of launch/cluster, run with stand-ins for Slurm and for the training program."""

import json
import os
import pathlib
import subprocess
import tempfile

from absl.testing import absltest, parameterized

import launch
from tests.launch import programs

try:
    import yaml
except ImportError:
    yaml = None

_LAUNCH = pathlib.Path(launch.__file__).parent
_CLUSTER = _LAUNCH / "cluster"
_TF_CONFIG = _CLUSTER / "tf_config.sh"
_SBATCH = _CLUSTER / "slurm.sbatch"

# Two tasks, one after the other.
_SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
status=0
for index in 0 1; do SLURM_PROCID=$index "$@" || status=$?; done
exit $status
"""
_SCONTROL = """#!/usr/bin/env bash
case $* in
  "show hostnames n[9-10]") printf '%s\\n' n9 n10 ;;
  requeue*) echo "$2" >requeued ;;
  *) exit 1 ;;
esac
"""
# Leaves what it was started with in a file, saves if told so, and ends as told.
_PYTHON = """#!/usr/bin/env bash
printf '%s\\n' "$TF_CONFIG" "$@" >"worker-${SLURM_PROCID-}${JOB_COMPLETION_INDEX-}"
if [[ -n ${SAVES-} ]]; then
  mkdir -p OUT/checkpoints/last
  touch "OUT/checkpoints/last/ckpt-$SAVES.index"
fi
exit "${STATUS-0}"
"""


def _config(index, *addresses):
    return {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}}


class _Test(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        (self.folder / "launch").symlink_to(_LAUNCH)
        for name, text in {"srun": _SRUN, "scontrol": _SCONTROL, "python": _PYTHON}.items():
            path = self.folder / ".venv/bin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def _run(self, *command, **environment):
        path = f"{self.folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env={"PATH": path, **environment},
            capture_output=True,
            text=True,
        )

    def _worker(self, index):
        """The TF_CONFIG of a worker that was started, and its arguments."""
        config, *arguments = (self.folder / f"worker-{index}").read_text().splitlines()
        return json.loads(config), arguments

    def _assert_trains(self, arguments):
        """That the arguments of `python` are those of a training with flags that there are."""
        self.assertEqual(arguments[:2], ["-m", "launch.train"])
        flags = [argument.replace("=launch/", f"={_LAUNCH}/") for argument in arguments[2:]]
        result = programs.run("train", *flags, "--only_check_args")
        self.assertEqual(result.status, 0, result.errors)


class TFConfigTest(_Test):
    def test_of_each_worker(self):
        for index in (0, 1):
            result = self._run(_TF_CONFIG, index, "host-a:12345", "host-b:23456")
            self.assertEqual(json.loads(result.stdout), _config(index, "host-a:12345", "host-b:23456"))

    def test_of_one_worker(self):
        self.assertEqual(json.loads(self._run(_TF_CONFIG, 0, "a:1").stdout), _config(0, "a:1"))

    @parameterized.parameters((), ("0",), ("2", "a:1", "b:1"), ("-1", "a:1"), ("a:1", "b:1"), ("", "a:1"))
    def test_refuses(self, *arguments):
        result = self._run(_TF_CONFIG, *arguments)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertStartsWith(result.stderr, "expected an index from 0 and the address of more workers than that, got:")


class SlurmTest(_Test):
    def _sbatch(self, *arguments, **environment):
        arguments = arguments or (_LAUNCH / "flagfiles/imagenet64_2x8gpu.flags", "DATA", "OUT")
        slurm = {"SLURM_JOB_ID": "7000001", "SLURM_JOB_NODELIST": "n[9-10]"}
        return self._run("bash", _SBATCH, *arguments, **slurm, **environment)

    def _was_requeued(self):
        return (self.folder / "requeued").exists()

    def test_a_worker_a_node(self):
        result = self._sbatch()
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        port = 10000 + 7000001 % 20000
        for index in (0, 1):
            config, arguments = self._worker(index)
            # Not in the order of the alphabet, but in that of the ranks.
            self.assertEqual(config, _config(index, f"n9:{port}", f"n10:{port}"))
            self.assertContainsSubset({"--data_dir=DATA", "--output_dir=OUT"}, arguments)
            self._assert_trains(arguments)
        self.assertFalse(self._was_requeued())

    def test_goes_back_into_the_queue_after_a_checkpoint(self):
        self.assertEqual(self._sbatch(SAVES="1", STATUS="143").returncode, 1)
        self.assertEqual((self.folder / "requeued").read_text(), "7000001\n")

    @parameterized.parameters("1", "143")
    def test_stays_out_of_the_queue_where_nothing_new_was_saved(self, status):
        self._sbatch(SAVES="1")
        self.assertEqual(self._sbatch(SAVES="1", STATUS=status).returncode, 1)
        self.assertFalse(self._was_requeued())

    def test_asks_for_its_arguments(self):
        result = self._sbatch("a.flags", "DATA")
        self.assertEqual(result.returncode, 1)
        self.assertIn("expected FLAGFILE DATA_DIR OUTPUT_DIR", result.stderr)
        self.assertEmpty(list(self.folder.glob("worker-*")))

    def test_options_come_before_the_first_command(self):
        # Slurm reads none after it.
        lines = _SBATCH.read_text().splitlines()
        first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
        self.assertNotEmpty([line for line in lines[:first] if line.startswith("#SBATCH ")])
        self.assertEmpty([line for line in lines[first:] if line.startswith("#SBATCH")])


@absltest.skipIf(yaml is None, "PyYAML is not installed")
class KubernetesTest(_Test):
    def setUp(self):
        super().setUp()
        text = (_CLUSTER / "kubernetes.yaml").read_text()
        self.service, self.job = yaml.safe_load_all(text)
        self.pod = self.job["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]

    def test_each_pod_is_a_worker(self):
        environment = {variable["name"]: variable["value"] for variable in self.container["env"]}
        count = self.job["spec"]["completions"]
        service = self.pod["subdomain"]
        # The names that an Indexed Job gives its pods.
        hosts = [f"{self.job['metadata']['name']}-{index}.{service}:12345" for index in range(count)]
        for index in range(count):
            command = [*self.container["command"], *self.container["args"]]
            result = self._run(*command, JOB_COMPLETION_INDEX=str(index), **environment)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            config, arguments = self._worker(index)
            self.assertEqual(config, _config(index, *hosts))
            self._assert_trains(arguments)

    def test_a_failed_worker_shows(self):
        environment = {"WORKERS": "a:1", "STATUS": "3"}
        result = self._run(*self.container["command"], JOB_COMPLETION_INDEX="0", **environment)
        self.assertEqual(result.returncode, 3)
        result = self._run(*self.container["command"], JOB_COMPLETION_INDEX="1", **environment)
        self.assertEqual(result.returncode, 1)  # No such worker.

    def test_all_pods_run_at_once_and_have_names(self):
        spec = self.job["spec"]
        self.assertEqual((spec["completionMode"], spec["parallelism"]), ("Indexed", spec["completions"]))
        self.assertEqual(self.service["metadata"]["name"], self.pod["subdomain"])
        self.assertEqual(self.service["spec"]["selector"], {"job-name": self.job["metadata"]["name"]})
        self.assertEqual(self.service["spec"]["clusterIP"], "None")

    def test_every_mount_is_of_a_volume(self):
        mounts = [mount["name"] for mount in self.container["volumeMounts"]]
        self.assertCountEqual(mounts, [volume["name"] for volume in self.pod["volumes"]])


if __name__ == "__main__":
    absltest.main()
