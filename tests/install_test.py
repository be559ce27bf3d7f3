"""The wheel, and what an installed package has: files, metadata, few imports. `tools/wheel_test.sh` installs it."""

import email
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

from absl.testing import absltest

import tfp_realnvp as nvp
from tfp_realnvp import extras

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_SOURCES = ("BUILD", "LICENSE", "README.md", "launch", "pyproject.toml", "saved_models", "setup.py", "tfp_realnvp")
_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


class WheelTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        source, ignored = cls.folder / "source", shutil.ignore_patterns("__pycache__")
        source.mkdir()
        for name in _SOURCES:
            path = _ROOT / name
            (shutil.copytree if path.is_dir() else shutil.copy)(
                path, source / name, **({"ignore": ignored} if path.is_dir() else {})
            )
        command = [sys.executable, "-c", _BUILD, str(cls.folder)]
        result = subprocess.run(command, cwd=source, capture_output=True, text=True)
        if result.returncode:
            raise AssertionError(result.stderr)
        cls.path = cls.folder / result.stdout.splitlines()[-1]
        wheel = cls.enterClassContext(zipfile.ZipFile(cls.path))
        cls.files = {info.filename: info for info in wheel.infolist()}
        (metadata,) = [name for name in cls.files if name.endswith(".dist-info/METADATA")]
        cls.metadata = email.message_from_bytes(wheel.read(metadata))
        cls.scripts = wheel.read(metadata.replace("METADATA", "entry_points.txt")).decode()

    def test_has_every_file_and_no_other(self):
        found = {name for name in self.files if ".dist-info/" not in name}
        modules = {file for package in ("tfp_realnvp", "launch") for file in (_ROOT / package).rglob("*.py")}
        models = {file for file in (_ROOT / "saved_models").rglob("*") if file.is_file() and file.name != "BUILD"}
        launch = {file for name in ("flagfiles", "serving", "cluster") for file in (_ROOT / "launch" / name).iterdir()}
        data = {_ROOT / "tfp_realnvp/data/digits.npz", *_ROOT.glob("*/py.typed")}
        expected = {str(file.relative_to(_ROOT)) for file in modules | launch | data if file.name != "BUILD"}
        expected |= {f"tfp_realnvp/{file.relative_to(_ROOT)}" for file in models}
        self.assertEqual(found, expected)
        self.assertLess(self.path.stat().st_size, 30e6)

    def test_programs_may_be_run(self):
        for name in ("launch/cluster/tf_config.sh", "launch/serving/docker.sh"):
            self.assertTrue(self.files[name].external_attr >> 16 & 0o100, name)
        self.assertIn("tfp-realnvp = launch.__main__:console", self.scripts)

    def test_metadata(self):
        self.assertEqual(self.metadata["Name"], "tfp_realnvp")
        self.assertEqual(self.metadata["License-Expression"], "Apache-2.0")
        self.assertEqual(self.metadata["License-File"], "LICENSE")
        self.assertEqual(self.metadata["Description-Content-Type"], "text/markdown")
        self.assertIn((_ROOT / "README.md").read_text().strip(), self.metadata.get_payload())
        self.assertContainsSubset({"serve", "plots", "data", "beam", "cuda"}, self.metadata.get_all("Provides-Extra"))
        required = [line for line in self.metadata.get_all("Requires-Dist") if "extra ==" not in line]
        names = {re.match(r"[\w-]+", line)[0] for line in required}
        self.assertContainsSubset({"tensorflow", "tensorflow-probability", "keras", "tensorflow-datasets"}, names)
        self.assertNoCommonElements({"matplotlib", "pandas", "apache-beam", "tensorflow-serving-api"}, names)

    def test_one_version(self):
        self.assertEqual(self.metadata["Version"], nvp.__version__)
        self.assertIn(f"\nversion: {nvp.__version__}\n", (_ROOT / "CITATION.cff").read_text())
        self.assertIn(f"\n## {nvp.__version__}", (_ROOT / "CHANGELOG.md").read_text())

    def test_the_file_build_is_left_alone(self):
        # Where the case of names does not count, a folder `build` would be that file.
        self.assertEqual([path.name for path in (self.folder / "source").glob("[Bb][Uu][Ii][Ll][Dd]")], ["BUILD"])


# What TensorFlow, TFP and Keras load themselves is theirs, such as h5py and, where it is installed, matplotlib.
_NEW = """
import sys
import keras, tensorflow, tensorflow_probability
before = set(sys.modules)
import tfp_realnvp
print(*sorted({name.partition(".")[0] for name in sys.modules.keys() - before}))
"""


class ImportTest(absltest.TestCase):
    def test_only_tensorflow_tfp_and_keras_are_loaded(self):
        command = [sys.executable, "-c", _NEW]
        loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        self.assertIn("tfp_realnvp", loaded)
        heavy = {"grpc", "h5py", "matplotlib", "pandas", "pyarrow", "tensorboard", "tensorflow_datasets"}
        self.assertEmpty((heavy | {"tensorflow_serving", "PIL", "apache_beam"}).intersection(loaded))


class ExtraTest(absltest.TestCase):
    def test_a_missing_package_is_an_error_of_one_line(self):
        with self.assertRaises(extras.MissingExtraError) as caught, extras.extra("plots"):
            import no_such_package.figure  # noqa: F401
        self.assertEqual(str(caught.exception), "no_such_package is not installed: pip install 'tfp_realnvp[plots]'")


if __name__ == "__main__":
    absltest.main()
