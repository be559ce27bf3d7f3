"""Flags, help and versions: what a program lists, and what it says of a flag that is wrong or does nothing."""

import ast
import contextlib
import io
import itertools
import pathlib
import re
import tempfile
from unittest import mock

from absl import flags
from absl.testing import absltest, parameterized

import launch
import tfp_realnvp as nvp
from launch import __main__, arguments, settings  # noqa: F401  `settings` defines flags.
from tests.launch import programs
from tfp_realnvp import presets
from tfp_realnvp.flows.compositions import help_of, options_of

# A value of each setting that can be told from another by the summary of a small flow.
_SMALL = dict(scales=1, width=2, blocks=0, couplings=2, hidden_units=(2,), steps=2, components=2, rho=0.5)
_OTHER = dict(scales=2, width=3, blocks=1, couplings=3, hidden_units=(3,), steps=3, components=3, rho=0.6)


def _output_of(function, *args):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        return function(*args), output.getvalue()


class HelpTest(parameterized.TestCase):
    @parameterized.parameters(
        ("train", "Train a flow on images or vectors", ("epochs", "[no]describe", "preset", "init_from", "seed")),
        ("sample", "Draw images or vectors", ("count", "latents", "saved_model", "pictures_dir", "dataset")),
        ("export", "Export a trained model as a SavedModel", ("export_dir", "version", "output_dir")),
    )
    def test_a_program_lists_its_flags_and_those_it_shares(self, program, first, names):
        result = programs.run(program, "--help")
        self.assertEqual((result.status, result.errors), (0, ""))
        self.assertIn(first, result.output)
        for name in names:
            self.assertIn(f"  --{name}: ", result.output)
        self.assertNotIn("--logtostderr", result.output)

    def test_every_option_of_every_flow_is_a_flag(self):
        for flow, ndims in itertools.product(presets.FLOWS, (1, 3)):
            about = help_of(presets.FLOWS[flow], ndims)
            for name in presets.settings_of(flow, ndims):
                self.assertIn(name, flags.FLAGS, flow)
                self.assertIn(name, about, flow)
                self.assertIn(flow, flags.FLAGS[name].help)
        self.assertIn("Number of couplings", flags.FLAGS["couplings"].help)

    def test_the_programs(self):
        status, output = _output_of(__main__.main, [])
        self.assertEqual(status, 0)
        self.assertStartsWith(output, "usage: python -m launch.PROGRAM [FLAGS]\n")
        self.assertLessEqual(max(map(len, output.splitlines()[:-1])), 80)
        folder = pathlib.Path(__main__.__file__).parent
        programs_there = [file.stem for file in folder.glob("*.py") if "run.start(main)" in file.read_text()]
        self.assertEqual(re.findall(r"^  (\w+) +[A-Z]", output, re.MULTILINE), sorted(programs_there))
        for name in programs_there:
            start = arguments.start_of_help(ast.get_docstring(ast.parse((folder / f"{name}.py").read_text())))
            self.assertLessEqual(max(map(len, start.splitlines())), 80, start)
        self.assertEndsWith(output, f"\n{folder}\n")
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            self.assertEqual(__main__.main(["trian"]), 2)
        self.assertRegex(
            errors.getvalue(), r"^error: expected PROGRAM to be one of edit, .*train, unpack, got trian\n$"
        )

    def test_the_console_command_is_the_same_program(self):
        given = ("--flagfile=digits_glow", "--steps=1", "--describe")
        result = programs.run("__main__", "train", *given)
        self.assertEqual(result.output, programs.run("train", *given).output)
        self.assertIn("sigmoids", result.output)
        with mock.patch.object(launch, "call", "tfp-realnvp "):
            self.assertEqual(arguments.typed(["/x/launch/train.py", "--a=b c"]), "tfp-realnvp train '--a=b c'")
        self.assertEqual(arguments.typed(["train"]), "python -m launch.train")

    def test_a_flagfile_is_a_path_or_a_name(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            pathlib.Path("mnist").write_text("--width=3\n")
            packaged = str(pathlib.Path(launch.__file__).parent / "flagfiles/cifar10.flags")
            given = ["--flagfile=mnist", "--flagfile", "cifar10", "-flagfile=cifar10", "--flagfile=x"]
            expected = ["--flagfile=mnist", "--flagfile", packaged, f"-flagfile={packaged}", "--flagfile=x"]
            self.assertEqual(arguments.with_flagfiles(given), expected)

    def test_version(self):
        line = f"tfp_realnvp {nvp.__version__}\n"
        self.assertEqual(_output_of(__main__.main, ["--version"]), (0, line))
        with contextlib.redirect_stdout(io.StringIO()) as output, self.assertRaises(SystemExit) as caught:
            arguments.parse(["train", "--version"])
        self.assertEqual((caught.exception.code, output.getvalue()), (0, line))


class RefusalsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("--flagfile=nowhere.flags", "Unable to open flagfile: ", "nowhere.flags"),
        ("--widht=8", "Unknown command line flag 'widht'", "--help lists the flags"),
        ("--width=wide", "flag --width=wide: expected int, got 'wide'", "--help lists the flags"),
        ("--hidden_units=a,b", "flag --hidden_units=a,b: expected integers, got 'a,b'", "--help lists the flags"),
        ("--couplings=-1", "flag --couplings=-1: expected 0 or more, got -1", "--help lists the flags"),
        ("--norm=no", "flag --norm=no: expected batch or None or act or act_first or act_last", "got 'no'"),
        ("--output_dir=", "flag --output_dir=: expected a path, got an empty one", "--help lists the flags"),
    )
    def test_usage(self, flag, first, last):
        result = programs.run("train", flag)
        self.assertEqual((result.status, len(result.errors.splitlines())), (2, 1), result.errors)
        self.assertStartsWith(result.error, first)
        self.assertIn(last, result.error)

    def test_a_flag_that_does_nothing_for_vectors(self):
        with tempfile.TemporaryDirectory() as folder:
            table = pathlib.Path(folder) / "table.csv"
            table.write_text("".join(f"{i},{i * i}\n" for i in range(40)))
            error = programs.run("train", f"--dataset=csv:{table}", "--header=no", "--width=8", "--describe").error
        self.assertEqual(error, "real_nvp takes no --width for vectors")

    def test_every_option_does_something_or_is_refused(self):
        for shape, factory in itertools.product(((2,), (8, 8, 1)), (nvp.real_nvp, nvp.glow, nvp.flowpp)):
            takes = options_of(factory, len(shape))
            small = {name: value for name, value in _SMALL.items() if name in takes}
            if "rho" in small:
                small["norm"] = "batch"
            before = nvp.summary(factory(event_shape=shape, **small))
            for name in _SMALL:
                with self.subTest(f"{factory.__name__} {shape} {name}"):
                    if name in takes:
                        after = nvp.summary(factory(event_shape=shape, **{**small, name: _OTHER[name]}))
                        self.assertNotEqual(after, before)
                    else:
                        with self.assertRaises((TypeError, ValueError)):
                            factory(event_shape=shape, **small, **{name: _OTHER[name]})


if __name__ == "__main__":
    absltest.main()
