"""The flagfiles for many devices."""

import pathlib
import re

from absl.testing import absltest, parameterized

import launch
from tests.launch import programs
from tfp_realnvp import presets, training

_FLAGFILES = pathlib.Path(launch.__file__).parent / "flagfiles"
_REPLICAS = {"cifar10_8gpu": 8, "cifar10_tpu": 8, "imagenet64_2x8gpu": 16}


def _settings(name):
    """The flags of a file by name."""
    lines = (_FLAGFILES / f"{name}.flags").read_text().splitlines()
    return dict(re.fullmatch(r"--(\w+)(?:=(.*))?", line).groups() for line in lines if not line.startswith("#"))


class FlagfilesTest(parameterized.TestCase):
    def test_every_file_is_of_a_preset_or_of_many_devices(self):
        names = [file.stem for file in _FLAGFILES.glob("*.flags")]
        self.assertCountEqual(names, [*presets.NAMES, *_REPLICAS])

    @parameterized.parameters(*_REPLICAS)
    def test_parses(self, name):
        result = programs.run("train", f"--flagfile={_FLAGFILES / name}.flags", "--only_check_args")
        self.assertEqual((result.status, result.errors), (0, ""))

    @parameterized.parameters(*_REPLICAS.items())
    def test_the_replicas_share_the_batch(self, name, replicas):
        settings = _settings(name)
        self.assertEqual(int(settings["batch_size"]) % replicas, 0)
        self.assertIn(settings["strategy"], training.STRATEGIES)
        self.assertEqual(settings["output_dir"], f"runs/{name}")
        self.assertStartsWith(name, f"{settings['preset']}_")


if __name__ == "__main__":
    absltest.main()
