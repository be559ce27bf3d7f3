"""Rows of the results table come from what runs left, and a released model that differs from its row is found."""

import json
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest

import tfp_realnvp as nvp
from benchmarks import quality
from tfp_realnvp import presets


def _line(step, time, **more):
    line = {"step": step, "time": time, "epoch": 0, "steps_per_second": 2.0, "bits_per_dim": 3.0}
    return line | more


class QualityTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "run"
        self.folder.mkdir()
        preset = presets.digits.replace(width=2, blocks=0, scales=1)
        command = ["train.py", "--preset=digits", "--output_dir=x", "--width=2", "--data_dir=y", "--verbose=2"]
        config = {"model": preset.settings(), "commit": "0123456789", "command": command, "machine": "a TPU"}
        config["versions"] = {"tensorflow": "2.21.0"}
        (self.folder / "config.json").write_text(json.dumps(config))
        self.parameters = nvp.trainable_parameters(preset.build())
        results = {"Real NVP": nvp.evaluation.Score(2.5, 0.25, 300, "bits/dim", "uniform dequantisation, 1 sample")}
        results["independent pixel histogram"] = nvp.evaluation.Score(9.0, 0.1, 300, "bits/dim")
        self._write_results(results)
        # Two parts with a night between them.
        lines = [_line(10, 100.0), _line(20, 105.0), _line(30, 110.0, epoch=1)]
        lines += [_line(40, 90_000.0, epoch=1, val_bits_per_dim=2.75)]
        (self.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def _write_results(self, results):
        text = json.dumps({name: row.to_json() for name, row in results.items()})
        (self.folder / "results.json").write_text(text)

    def test_a_row(self):
        row = quality.row_of("digits", self.folder)
        self.assertEqual(row["test"], {"uniform": {"bits_per_dim": 2.5, "standard_error": 0.25}})
        self.assertEqual((row["images"], row["parameters"], row["histogram"]), (40 * 64, self.parameters, 9.0))
        # What was run, not what would be.
        self.assertEqual(row["flags"], ["--preset=digits", "--width=2"])
        text = "\n".join(quality.table({"digits": row}))
        command = "launch.train --preset=digits --width=2 --data_dir=DIR --output_dir=runs/quality/digits"
        self.assertIn(f"`python -m {command}`, commit 0123456, a TPU, TensorFlow 2.21.0", text)
        # Forty steps, two a second.
        self.assertEqual(row["seconds"], 20)

    def test_the_bound_with_many_noise_samples(self):
        found = quality.importance(quality._ROOT / "saved_models/digits", None, 10)
        self.assertLess(found["100"]["bits_per_dim"], found["1"]["bits_per_dim"])
        row = quality.row_of("digits", self.folder) | {"importance": found}
        expected = f"{found['100']['bits_per_dim']:.3f} .* on 10 test images, where one sample gives"
        self.assertRegex("\n".join(quality.table({"digits": row})), expected)

    def test_a_row_says_what_git_does_not_know(self):
        config = json.loads((self.folder / "config.json").read_text())
        (self.folder / "config.json").write_text(json.dumps(config | {"uncommitted_changes": True}))
        text = "\n".join(quality.table({"digits": quality.row_of("digits", self.folder)}))
        self.assertIn("commit 0123456 with changes,", text)

    def test_networks_of_learned_noise_are_counted(self):
        config = json.loads((self.folder / "config.json").read_text())
        config["model"]["dequantization"] = "variational"
        (self.folder / "config.json").write_text(json.dumps(config))
        dequantizer = presets.of_settings(config["model"]).build_dequantizer()
        parameters = self.parameters + nvp.trainable_parameters(dequantizer)
        self.assertEqual(quality.row_of("digits", self.folder)["parameters"], parameters)

    def test_both_bounds_are_in_the_table(self):
        of = nvp.evaluation.Score
        bounds = {"variational": 2.0, "uniform": 3.0}
        rows = {
            f"Real NVP, {how} dequantisation": of(bits, 0.1, 3, "bits/dim", f"{how} dequantisation, 1 sample")
            for how, bits in bounds.items()
        }
        self._write_results(rows | {"independent pixel histogram": of(9.0, 0.1, 300, "bits/dim")})
        text = "\n".join(quality.table({"digits_variational": quality.row_of("digits_variational", self.folder)}))
        self.assertRegex(text, r"2\.000 \+- 0\.100 \| +variational")
        self.assertRegex(text, r"3\.000 \+- 0\.100 \| +uniform")
        self.assertIn("Not run: `digits` (Real NVP)", text)

    def test_a_row_takes_the_place_of_its_name(self):
        file = self.folder / "rows.jsonl"
        for name, value in (("mnist", 1), ("digits", 2), ("mnist", 3)):
            quality.add({"name": name, "value": value}, file)
        rows = [(row["name"], row["value"]) for row in quality.read(file).values()]
        self.assertEqual(rows, [("digits", 2), ("mnist", 3)])

    def test_the_curve(self):
        quality.write_curve(self.folder, self.folder / "curve.jsonl")
        points = [json.loads(line) for line in (self.folder / "curve.jsonl").read_text().splitlines()]
        self.assertEqual([point["seconds"] for point in points], [5.0, 10.0, 15.0, 20.0])
        self.assertEqual(points[-1]["val_bits_per_dim"], 2.75)

    def test_a_run_counts_what_it_began_with(self):
        config = json.loads((self.folder / "config.json").read_text())
        before = {"command": ["train.py", "--preset=digits"], "commit": None, "uncommitted_changes": None}
        config["init_from"] = before | {"machine": "a GPU", "images": 1_000, "init_from": {}}
        config["command"].append("--init_from=/home/somebody/runs/part/")
        (self.folder / "config.json").write_text(json.dumps(config))
        row = quality.row_of("digits", self.folder)
        self.assertEqual(row["images"], 40 * 64 + 1_000)
        text = "\n".join(quality.table({"digits": row}))
        self.assertIn("--init_from=runs/quality/part --data_dir=DIR --output_dir=runs/quality/digits`, commit 01", text)
        command = "`python -m launch.train --preset=digits --data_dir=DIR --output_dir=runs/quality/part`"
        self.assertIn(f", initialised from {command}, commit unknown, a GPU", text)
        self.assertIn("0 in the last part", text)

    def test_seconds_of_a_run_with_a_night_in_it(self):
        speeds = [(10, 0, 2.0, 5.0), (20, 0, 2.0, 10.0), (40, 0, 4.0, 40_000.0), (45, 0, None, 40_001.0)]
        speeds += [(50, 1, 1.0, 40_020.0), (50, 1, 1.0, 40_020.1), (60, 1, 1.0, 40_030.0)]
        lines = [
            dict(step=step, epoch=epoch, time=time) | ({} if speed is None else {"steps_per_second": speed})
            for step, epoch, speed, time in speeds
        ]
        # Ten seconds to step 20; twenty-five steps at four a second; then one a second.
        np.testing.assert_allclose(quality.seconds(lines), [5, 10, 15, 16.25, 21.25, 21.25, 31.25])

    def test_seconds_of_a_run_that_was_slow_for_a_while(self):
        # The speed is a mean over the epoch, and tells of the pause.
        times = {10: 5.0, 20: 105.0, 30: 110.0}
        lines = [_line(step, time, steps_per_second=step / time) for step, time in times.items()]
        np.testing.assert_allclose(quality.seconds(lines), [5, 105, 110])

    def test_a_finished_run_is_read_alone(self):
        with mock.patch.object(quality.subprocess, "run") as called:
            quality.train(quality.RECIPES["digits"], self.folder, None)
            called.assert_not_called()
            quality.train(quality.RECIPES["digits"], self.folder / "new", "here")
        command = called.call_args.args[0]
        self.assertIn("--flagfile=launch/flagfiles/digits.flags", command)
        self.assertIn("--data_dir=here", command)

    def test_the_released_are_as_the_table_says(self):
        committed = quality.read(quality._RESULTS / "quality.jsonl")
        alone = {"digits_glow": committed["digits_glow"]}
        data_dir = str(self.folder)
        with mock.patch.object(quality, "_released", lambda recipe: quality._ROOT / "saved_models" / recipe.released):
            # There are other models, of which these rows say nothing.
            self.assertFalse(quality.check(alone, data_dir))
        with mock.patch.object(quality, "_ROOT", self._only("digits")):
            self.assertTrue(quality.check(alone, data_dir))
            with mock.patch.object(quality, "_INVERSION_TOLERANCE", 0.0):
                self.assertFalse(quality.check(alone, data_dir))
            worse = json.loads(json.dumps(alone))
            worse["digits_glow"]["test"]["uniform"]["bits_per_dim"] += 0.02
            self.assertFalse(quality.check(worse, data_dir))

    def _only(self, name):
        """A folder like the project's, with one released model."""
        root = self.folder / "root"
        (root / "saved_models").mkdir(parents=True)
        (root / "saved_models" / name).symlink_to(quality._ROOT / "saved_models" / name)
        return root

    def test_recipes_name_flagfiles_that_are_there(self):
        for recipe in quality.RECIPES.values():
            first = recipe.flags[0].removeprefix("--flagfile=")
            self.assertTrue(first.startswith("--preset=") or (quality._ROOT / first).is_file(), first)


if __name__ == "__main__":
    absltest.main()
