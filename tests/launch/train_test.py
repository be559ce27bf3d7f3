"""`python -m launch.train`."""

import json
import pathlib
import re
import shutil
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import launch
import tfp_realnvp as nvp
from tests.launch import programs
from tfp_realnvp import presets, training

_FLAGFILES = pathlib.Path(launch.__file__).parent / "flagfiles"
_NAMES = ("Real NVP", "independent pixel histogram", "full-covariance Gaussian of the logits")


def _tiny_flow():
    """The architecture of `programs.train`."""
    return nvp.real_nvp(event_shape=(8, 8, 1), scales=1, width=2, blocks=0, levels=17)


def _table(output):
    """The figures of the table that is printed."""
    rows = (re.fullmatch(rf"({'|'.join(_NAMES)}) +(\d+\.\d+) +(\d+\.\d+)", line) for line in output.splitlines())
    return {row[1]: (float(row[2]), float(row[3])) for row in rows if row}


def _epochs(output):
    """The numbers of the epochs that were trained, of how many, and the steps of each."""
    line = r"^Epoch (\d+)/(\d+): (\d+) steps in \d+ s, bits/dim \d+\.\d{4}, validation \d+\.\d{4}$"
    found = [tuple(map(int, match)) for match in re.findall(line, output, re.MULTILINE)]
    return [(epoch, of) for epoch, of, _ in found], [steps for _, _, steps in found]


class _Test(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "run"


class TrainTest(_Test):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained, cls.result = programs.trained()

    def _copy(self):
        """A copy of the small run, for tests that go on with it."""
        return pathlib.Path(shutil.copytree(self.trained, self.folder))

    def test_a_run_ends_well(self):
        self.assertEqual(self.result.status, 0, self.result.errors)
        self.assertNotIn("Traceback", self.result.errors)
        self.assertIn("304 trainable parameters", self.result.output)
        self.assertEqual(_epochs(self.result.output)[1], [3])

    def test_what_is_in_the_folder(self):
        samples = tf.io.decode_png((self.trained / "samples.png").read_bytes())
        self.assertEqual(samples.shape, (8 * 66 - 2, 8 * 66 - 2, 1))  # 64 images of 8x8, magnified 8 times.
        self.assertGreater(len(np.unique(samples)), 5)
        config = json.loads((self.trained / "config.json").read_text())
        self.assertEqual(config["preset"], "digits")
        expected = dict(dataset="digits", width=2, blocks=0, scales=1, batch_size=400, seed=0, learning_rate=1e-3)
        self.assertEqual(config["model"], {**config["model"], **expected})
        self.assertEqual(config["versions"]["tensorflow"], tf.__version__)
        self.assertEqual(config["versions"]["tfp_realnvp"], nvp.__version__)
        self.assertContainsSubset({"epochs", "commit", "command", "machine"}, config)
        self.assertNotEmpty(list((self.trained / "tensorboard").rglob("events.out.*")))
        for name in ("samples.png", "results.json", "config.json", "checkpoints", "tensorboard", "saved_model"):
            self.assertIn(f"  {self.trained / name}\n", self.result.output)

    def test_the_table_has_both_baselines(self):
        results = json.loads((self.trained / "results.json").read_text())
        self.assertEqual(tuple(results), _NAMES)
        table = _table(self.result.output)
        self.assertEqual(tuple(table), _NAMES)
        for name, (bits, error) in table.items():
            self.assertAlmostEqual(results[name]["bits_per_dim"], bits, 4)
            self.assertAlmostEqual(results[name]["standard_error"], error, 4)
            self.assertEqual(results[name]["count"], 300)
        margin = min(results[name]["bits_per_dim"] for name in _NAMES[1:]) - results["Real NVP"]["bits_per_dim"]
        self.assertLess(margin, 0)  # After three steps.
        self.assertIn(f"\n{-margin:.3f} bits/dim worse than the best baseline\n", self.result.output)

    def test_the_end_says_what_to_do_next(self):
        given = f"--output_dir={self.trained}"
        expected = [
            "Next:",
            f"  python -m launch.report {given} --data_dir=DIR",
            f"  python -m launch.sample {given} --count=100 --seed=1",
            f"  python -m launch.export {given} --export_dir=served/{self.trained.name}",
        ]
        output = re.sub(r"--data_dir=\S+", "--data_dir=DIR", self.result.output)
        self.assertEqual(output.splitlines()[-4:], expected)

    def test_the_output_is_lines_of_a_terminal(self):
        self.assertNotRegex(self.result.output, r"[\x1b\r\b]")
        long = [line for line in self.result.output.splitlines() if len(line) > 80 and str(self.trained) not in line]
        self.assertEmpty(long)

    def test_the_figure_is_that_of_the_best_checkpoint(self):
        flow = _tiny_flow()
        path = training.best_checkpoint(self.trained)
        self.assertIn(f"Read {path}\n", self.result.output)
        training.restore(flow, path)
        images = nvp.data.load("digits", programs.scratch() / "data")
        evaluation = nvp.evaluate(flow, images.evaluation_batches("test", 100), levels=17)
        self.assertAlmostEqual(evaluation.mean, _table(self.result.output)["Real NVP"][0], 3)
        self._assert_saved_model_is(self.trained / "saved_model", flow)

    def _assert_saved_model_is(self, path, flow):
        pixels = tf.random.stateless_uniform([3, 8, 8, 1], (1, 2), 0, 17)
        log_prob = tf.saved_model.load(str(path)).signatures["log_prob"](images=pixels)["log_prob"]
        np.testing.assert_allclose(log_prob, flow.log_prob(pixels), rtol=1e-4)

    def test_more_epochs_go_on_and_all_is_made_anew(self):
        folder = self._copy()
        config = json.loads((folder / "config.json").read_text())
        result = programs.train(folder, "--epochs=3", "--require_margin=5")
        # A margin that is not reached is told at the end, when all is written.
        table = _table(result.output)
        margin = min(bits for bits, _ in list(table.values())[1:]) - table["Real NVP"][0]
        self.assertEqual(result.error, f"expected a margin of 5.0 bits/dim, got {margin:.3f}")
        self.assertEqual(_epochs(result.output), ([(2, 3), (3, 3)], [3, 3]))
        found = json.loads((folder / "config.json").read_text())
        self.assertEqual(found, config | {"epochs": 3, "command": found["command"]})
        self.assertIn("--epochs=3", found["command"])
        # Three steps at a rate of 1e-3 improve little, but they do.
        self.assertLess(table["Real NVP"], _table(self.result.output)["Real NVP"])
        results = json.loads((folder / "results.json").read_text())
        self.assertAlmostEqual(results["Real NVP"]["bits_per_dim"], table["Real NVP"][0], 4)
        self.assertNotEqual((folder / "samples.png").read_bytes(), (self.trained / "samples.png").read_bytes())
        flow = _tiny_flow()
        training.restore(flow, training.best_checkpoint(folder))
        self._assert_saved_model_is(folder / "saved_model", flow)

    def test_all_that_a_recipe_may_have(self):
        recipe = ("--ema=0.9", "--accumulation_steps=2", "--schedule=cosine", "--warmup_steps=5")
        means = ("--dtype_policy=mixed_bfloat16", "--backprop=invert", "--profile", "--log_every=10", "--deterministic")
        result = programs.train(self.folder, *recipe, *means, "--batch_size=50", "--epochs=1")
        self.assertEqual(result.status, 0, result.errors)
        config = json.loads((self.folder / "config.json").read_text())
        expected = dict(ema=0.9, accumulation_steps=2, schedule="cosine", warmup_steps=5, dtype_policy="mixed_bfloat16")
        self.assertEqual(config["model"], {**config["model"], **expected, "batch_size": 50})
        self.assertEqual((config["backprop"], config["strategy"]), ("invert", "auto"))
        self.assertIn(config["uncommitted_changes"], (True, False) if config["commit"] else (None,))
        lines = [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in lines], [10, 20, 25])
        rates = [line["learning_rate"] for line in lines]
        self.assertEqual(rates, sorted(rates, reverse=True))
        self.assertAlmostEqual(rates[-1], 0, 5)
        self.assertNotEmpty(list((self.folder / "tensorboard").rglob("*.xplane.pb")))
        # The average, which the best checkpoint has, is what was evaluated.
        flow = _tiny_flow()
        training.restore(flow, training.best_checkpoint(self.folder))
        self._assert_saved_model_is(self.folder / "saved_model", flow)

    def test_a_batch_that_cannot_be_shared(self):
        result = programs.train(self.folder, "--accumulation_steps=3")
        self.assertEqual(
            result.error, "expected a batch_size that 1 devices times 3 accumulation_steps divide, got 400"
        )
        self.assertFalse(self.folder.exists())

    def test_a_plateau_after_a_warm_up(self):
        lines = (programs.trained_with_labels() / "metrics.jsonl").read_text().splitlines()
        rates = [json.loads(line)["learning_rate"] for line in lines]
        # A line for each of three steps in each of two epochs; the last has the figures of validation, too.
        np.testing.assert_allclose(rates, [5e-4, *[1e-3] * 5], rtol=1e-5)

    @parameterized.parameters(
        ("--width=3", "width=2 (here 3)"),
        ("--seed=1", "seed=0 (here 1)"),
        ("--learning_rate=0.1", "learning_rate=0.001 (here 0.1)"),
    )
    def test_the_folder_of_another_run_is_refused(self, flag, difference):
        before = programs.contents(self.trained)
        result = programs.train(self.trained, flag)
        self.assertEqual(
            result.error,
            f"{self.trained} contains a run of another model, with {difference}: choose another --output_dir",
        )
        self.assertEqual(programs.contents(self.trained), before)

    def test_git_need_not_be_there(self):
        # What is refused is what comes next.
        self.assertIn("width=2 (here 3)", programs.train(self.trained, "--width=3", PATH="").error)


class InitFromTest(_Test):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = programs.trained()[0]
        cls.flow = _tiny_flow()
        training.restore(cls.flow, training.best_checkpoint(cls.source))

    def _assert_weights_are_the_sources(self):
        flow = _tiny_flow()
        training.restore(flow, training.best_checkpoint(self.folder))
        for ours, theirs in zip(flow.trainable_variables, self.flow.trainable_variables, strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_a_run_begins_with_the_weights_of_another_and_goes_on_without_it(self):
        source = self.folder.parent / "source"
        shutil.copytree(self.source, source)
        # Nothing is learned at a rate of 0; the average of the weights begins with them, too.
        flags = (f"--init_from={source}", "--learning_rate=0", "--ema=0.5")
        result = programs.train(self.folder, *flags, "--epochs=1")
        self.assertIn(f"Starting from {training.best_checkpoint(source)}\n", result.output, result.errors)
        self._assert_weights_are_the_sources()
        config = json.loads((self.folder / "config.json").read_text())
        self.assertEqual(config["model"]["init_from"], "source")
        # Three steps of 400 images there.
        theirs = json.loads((source / "config.json").read_text())
        expected = {name: theirs[name] for name in ("command", "commit", "uncommitted_changes", "machine")}
        self.assertEqual(config["init_from"], expected | {"images": 1200, "init_from": {}})
        shutil.rmtree(source)
        result = programs.train(self.folder, *flags, "--epochs=2")
        self.assertEqual(_epochs(result.output)[0], [(2, 2)], result.errors)
        self.assertNotIn("Starting from", result.output)
        self._assert_weights_are_the_sources()

    def test_noise_may_be_learned_later(self):
        flags = (f"--init_from={self.source}", "--learning_rate=0", "--epochs=1", "--dequantization=variational")
        result = programs.train(self.folder, *flags, "--alpha=0.06")
        self.assertEqual(result.status, 0, result.errors)
        self.assertIn("Warning: the weights are those of a flow with alpha=0.05 (here 0.06)\n", result.errors)
        self._assert_weights_are_the_sources()

    def test_what_cannot_be_begun_with_is_refused(self):
        path = training.best_checkpoint(self.source)
        for source, message in (
            (self.folder, f"expected a run's folder with a config.json, found none in {self.folder}"),
            (self.source, f"{path} has another architecture: expected "),
        ):
            error = programs.train(self.folder, f"--init_from={source}", "--width=3").error
            self.assertStartsWith(error, message)
            self.assertFalse(self.folder.exists())
        error = programs.train(self.source, f"--init_from={self.folder}/other/").error
        self.assertIn("init_from=None (here other)", error)


class RefusalsTest(_Test):
    def _error(self, *flags):
        return programs.run("train", f"--output_dir={self.folder}", f"--data_dir={self.folder.parent}", *flags).error

    def test_an_unknown_preset(self):
        error = programs.run("train", "--preset=digit").error
        self.assertStartsWith(error, "flag --preset=digit: value should be one of <digits|mnist|digits_glow|")

    def test_an_unknown_data_set(self):
        error = self._error("--dataset=mnits")
        self.assertStartsWith(error, "unknown image set 'mnits' (did you mean mnist")

    def test_a_data_set_that_is_not_on_disk(self):
        error = self._error("--preset=cifar10", "--scales=1", "--width=1", "--blocks=0")
        self.assertStartsWith(error, f"cifar10 is not in {self.folder.parent}: ")
        error = self._error("--dataset=fashion_mnist")
        self.assertStartsWith(error, f"fashion_mnist is not in {self.folder.parent}: ")

    def test_a_run_that_could_not_start_claims_no_folder(self):
        self._error("--preset=cifar10", "--scales=1", "--width=1", "--blocks=0")
        self.assertFalse(self.folder.exists())

    def test_an_architecture_that_does_not_fit(self):
        self.assertEqual(
            self._error("--scales=5", "--width=1", "--blocks=0"),
            "real_nvp: expected an even height and width at each of 4 squeezes, i.e. multiples of 16, got (8, 8, 1)",
        )

    def test_a_batch_larger_than_the_data(self):
        self.assertEqual(
            programs.train(self.folder, "--batch_size=1298").error,
            "expected a batch_size of 1 to 1297, the size of the train split of digits, got 1298",
        )

    def test_numbers_that_run_away(self):
        error = programs.train(self.folder, "--learning_rate=1e30").error
        self.assertRegex(error, r"^step 1: not finite: the .* entries\); no checkpoint was written yet$")

    def test_a_folder_that_cannot_be_one(self):
        self.folder.write_text("a file")
        self.assertIn(str(self.folder), programs.train(self.folder).error)
        self.assertEqual(self.folder.read_text(), "a file")

    def test_a_seed_below_zero(self):
        self.assertStartsWith(programs.train(self.folder, "--seed=-1").error, "flag --seed=-1: -1 is")

    def test_an_argument_that_is_no_flag(self):
        self.assertStartsWith(programs.run("train", "digits").error, "expected flags only, got digits")


class FlagsTest(_Test):
    @parameterized.parameters(*presets.NAMES)
    def test_flagfile(self, name):
        file = _FLAGFILES / f"{name}.flags"
        lines = file.read_text().splitlines()
        self.assertEqual(lines[:2], [f"--preset={name}", f"--output_dir=runs/{name}"])
        result = programs.run("train", f"--flagfile={file}", "--only_check_args")
        self.assertEqual((result.status, result.errors), (0, ""))

    def test_describe(self):
        # Parameters of the others are counted by tests/presets/presets_test.py, without memory for them.
        flagfile = f"--flagfile={_FLAGFILES / 'cifar10'}.flags"
        result = programs.run("train", flagfile, "--describe", f"--output_dir={self.folder}")
        self.assertEqual(result.status, 0, result.errors)
        self.assertEndsWith(result.output, "\n19,609,545 trainable parameters\n")
        self.assertFalse(self.folder.exists())

    def test_flags_override_a_preset(self):
        flags = ("--scales=1", "--width=3", "--blocks=0", "--rho=0.5")
        result = programs.run("train", "--preset=cifar10", *flags, "--describe")
        self.assertEqual(result.status, 0, result.errors)
        self.assertIn("ResidualNetwork 0 blocks x 3\n", result.output)
        self.assertIn("BatchNorm rho=0.5", result.output)
        self.assertNotIn("Squeeze", result.output)

    def test_another_data_set_brings_its_shape_and_levels(self):
        flags = ("--preset=mnist", "--dataset=digits", f"--data_dir={programs.scratch() / 'data'}", "--width=1")
        result = programs.run("train", *flags, "--blocks=0", "--scales=1", "--describe")
        self.assertEqual(result.status, 0, result.errors)
        self.assertIn("DequantizedLogit 17 levels, alpha=0.05", result.output)
        self.assertIn(" 8x8x1 ", result.output)


if __name__ == "__main__":
    absltest.main()
