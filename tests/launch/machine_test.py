"""What a run keeps of its origin."""

import pathlib
import shutil
import subprocess
import tempfile
from unittest import mock

from absl.testing import absltest

import tfp_realnvp as nvp
from launch import machine


@absltest.skipIf(shutil.which("git") is None, "git is not installed")
class ProvenanceTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())).resolve()
        self._git("init", "--quiet")

    def _git(self, *command):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *command]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()

    def _provenance(self, folder):
        """With the package in `folder`."""
        file = self.root / folder / "launch/machine.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        with mock.patch.object(machine, "_FILE", file):
            return machine.provenance()

    def test_the_state_of_our_own_checkout(self):
        self._provenance(".")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message=first")
        found = self._provenance(".")
        self.assertEqual((found["commit"], found["uncommitted_changes"]), (self._git("rev-parse", "HEAD"), False))
        (self.root / "launch/machine.py").write_text("changed")
        self.assertTrue(self._provenance(".")["uncommitted_changes"])

    def test_nothing_of_the_repository_that_an_environment_is_in(self):
        self._git("commit", "--quiet", "--allow-empty", "--message=first")
        found = self._provenance(".venv/lib/site-packages")
        self.assertEqual((found["commit"], found["uncommitted_changes"]), (None, None))
        self._git("add", ".")  # Nor where somebody keeps the environment itself.
        self.assertIsNone(self._provenance(".venv/lib/site-packages")["commit"])

    def test_the_versions(self):
        self.assertEqual(self._provenance(".")["versions"]["tfp_realnvp"], nvp.__version__)


if __name__ == "__main__":
    absltest.main()
