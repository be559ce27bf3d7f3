"""What the pages in docs/ name is there: flags, their values, commands, files."""

import functools
import json
import pathlib
import re
import shlex
import subprocess

from absl.testing import absltest, parameterized

import launch
from tests.launch import programs

_LAUNCH = pathlib.Path(launch.__file__).parent
_DOCS = _LAUNCH.parent / "docs"
_PAGES = sorted(page.name for page in _DOCS.glob("*.md"))
_WITH_COMMANDS = (
    "compression.md",
    "distributed.md",
    "first_flow.md",
    "gallery.md",
    "install.md",
    "novelty.md",
    "own_images.md",
    "programs.md",
    "serving.md",
    "tables.md",
    "training.md",
    "vectors.md",
)
# Whose text tells of other programs, too.
_OTHER_PAGES = ("../README.md", "../benchmarks/results/gpu.md", "../benchmarks/results/quality.md")
_PROGRAMS = (
    "train",
    "evaluate",
    "sample",
    "encode",
    "export",
    "interpolate",
    "reconstruct",
    "extrapolate",
    "edit",
    "report",
    "impute",
    "score",
    "pack",
    "unpack",
)


def _blocks(text, language):
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _prose(text):
    """What is not in a code block."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def _commands(text):
    """The calls of the programs in code blocks and in the text: program and flags."""
    text = re.sub(r"\btfp-realnvp (?=[a-z])", "python -m launch.", text)
    in_text = re.findall(r"`(python -m launch\.[^`]+)`", _prose(text))
    for block in [*_blocks(text, "sh"), *in_text]:
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.replace(";", " "), comments=True)
            for program in _PROGRAMS:
                if f"launch.{program}" in words:
                    yield program, words[words.index(f"launch.{program}") + 1 :]


@functools.cache
def _flags(program):
    """The names of a program's flags."""
    output = programs.run(program, "--helpfull").output
    found = re.findall(r"^ +(?:-\S,)?--(\[no\])?(\w+):", output, re.MULTILINE)
    return {name for _, name in found} | {f"no{name}" for no, name in found if no}


def _check(program, flags):
    flags = [flag.replace("=launch/", f"={_LAUNCH}/") for flag in flags]
    return programs.run(program, *flags, "--only_check_args")


@parameterized.parameters(*_PAGES)
class PagesTest(parameterized.TestCase):
    def test_commands(self, page):
        commands = list(_commands((_DOCS / page).read_text()))
        self.assertEqual(bool(commands), page in _WITH_COMMANDS)
        for program, flags in commands:
            result = _check(program, flags)
            self.assertEqual(result.status, 0, f"{program} {flags}: {result.errors}")

    def test_flags_in_the_text(self, page):
        text = re.sub(r"`python -m benchmarks\.[^`]*`", "", _prose((_DOCS / page).read_text()))
        names = set(re.findall(r"--(\w+)", text))
        self.assertEmpty(names - set().union(*map(_flags, _PROGRAMS)))

    def test_values_in_the_text(self, page):
        text = _prose((_DOCS / page).read_text())
        flags = [flag for flag in re.findall(r"`(--\w+=[^`]+)`", text) if flag[2:].split("=")[0] in _flags("train")]
        result = _check("train", flags)
        self.assertEqual(result.status, 0, f"{flags}: {result.errors}")

    def test_links(self, page):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", _prose((_DOCS / page).read_text())):
            if "://" not in target:
                self.assertTrue((_DOCS / target).exists(), target)


@parameterized.parameters(*_OTHER_PAGES)
class OtherPagesTest(parameterized.TestCase):
    def test_commands(self, page):
        commands = list(_commands((_DOCS / page).read_text()))
        self.assertNotEmpty(commands)
        for program, flags in commands:
            result = _check(program, flags)
            self.assertEqual(result.status, 0, f"{program} {flags}: {result.errors}")

    def test_links(self, page):
        folder = (_DOCS / page).parent
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", _prose((_DOCS / page).read_text())):
            if "://" not in target:
                self.assertTrue((folder / target).exists(), target)


class TFConfigTest(absltest.TestCase):
    def test_is_what_the_script_prints(self):
        configs = [json.loads(block) for block in _blocks((_DOCS / "distributed.md").read_text(), "json")]
        self.assertNotEmpty(configs)
        for config in configs:
            index, workers = config["task"]["index"], config["cluster"]["worker"]
            output = subprocess.check_output([_LAUNCH / "cluster/tf_config.sh", str(index), *workers], text=True)
            self.assertEqual(json.loads(output), config)


if __name__ == "__main__":
    absltest.main()
