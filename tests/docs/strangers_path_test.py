"""docs/strangers_path.sh: what docs/own_images.md tells a stranger to type, from image files to a loaded model."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from absl.testing import absltest

_DOCS = pathlib.Path(__file__).parents[2] / "docs"
_SCRIPT = _DOCS / "strangers_path.sh"
_PAGE = _DOCS / "own_images.md"
_SMALL = ("--scales=1", "--width=2", "--blocks=0", "--epochs=1", "--verbose=0")


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", _PAGE.read_text(), re.MULTILINE | re.DOTALL)


class PathTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        # The script's Python is the one that runs this test.
        for name, arguments in {"python": "", "tfp-realnvp": "-m launch"}.items():
            command = self.folder / "bin" / name
            command.parent.mkdir(exist_ok=True)
            command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            command.chmod(0o755)

    def _run(self, *arguments):
        return subprocess.run(
            [_SCRIPT, *arguments],
            env=os.environ
            | {
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "TF_NUM_INTRAOP_THREADS": "1",
            },
            capture_output=True,
            text=True,
            cwd=self.folder,
        )

    def test_from_images_to_a_loaded_model(self):
        result = self._run("work", *_SMALL)
        self.assertEqual(result.returncode, 0, result.stderr)
        work = self.folder / "work"
        self.assertLen(list(work.glob("pngs/*.png")), 60)
        said = json.loads((work / "runs/mine/results.json").read_text())["Real NVP"]
        self.assertEqual(said["count"], 6)
        self.assertIn("Skipping the Gaussian baseline: expected more than 64 training images", result.stdout)
        # The export says the same of the same images, and its samples have a likelihood.
        self.assertIn(f"folder:pngs test: {said['bits_per_dim']:.4f} +- ", result.stdout)
        self.assertRegex(result.stdout, r"bits/dim of four samples: \[(\s*\d+\.\d*){4}\s*\]")
        self.assertTrue((work / "runs/mine/samples-0-count-16.png").exists())
        again = self._run("work")
        said = f"expected a new FOLDER, got {work}, which has been used\n"
        self.assertEqual((again.returncode, again.stderr), (1, said))

    def test_wants_a_folder(self):
        result = self._run()
        self.assertEqual((result.returncode, result.stderr), (1, "expected FOLDER [FLAGS], got nothing\n"))


class PageTest(absltest.TestCase):
    def test_has_each_command_of_the_script(self):
        lines = [line.removesuffix(' "$@"') for line in _SCRIPT.read_text().splitlines()]
        commands = [line for line in lines if line.startswith("tfp-realnvp ")]
        self.assertLen(commands, 4)
        of_page = "".join(_blocks("sh")).splitlines()
        for command in commands:
            self.assertIn(command, of_page)

    def test_has_each_program_of_the_script(self):
        programs = re.findall(r"<<'PYTHON'\n(.*?)^PYTHON$", _SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
        self.assertEqual(programs, _blocks("python"))


if __name__ == "__main__":
    absltest.main()
