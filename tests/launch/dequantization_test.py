"""Variational dequantisation, from training to evaluation."""

import json

from absl.testing import absltest

import tfp_realnvp as nvp
from tests.launch import programs


class DequantizationTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained = programs.scratch() / "variational"
        cls.flags = (f"--output_dir={cls.trained}", f"--data_dir={programs.scratch() / 'data'}")
        small = ("--scales=1", "--width=3", "--blocks=0", "--epochs=1", "--batch_size=256", "--verbose=0")
        cls.result = programs.run("train", "--dequantization=variational", "--ema=0.5", *small, *cls.flags)

    def test_training_says_both_bounds(self):
        self.assertEqual(self.result.status, 0, self.result.errors)
        self.assertIn("Dequantisation:", self.result.output)
        results = json.loads((self.trained / "results.json").read_text())
        for how in ("variational", "uniform"):
            self.assertEqual(results[f"Real NVP, {how} dequantisation"]["bound"], f"{how} dequantisation, 1 sample")
        # The margin is over what is no model.
        names = ("independent pixel histogram", "full-covariance Gaussian of the logits")
        better = min(results[name]["bits_per_dim"] for name in names)
        margin = better - results["Real NVP, variational dequantisation"]["bits_per_dim"]
        word = "better" if margin > 0 else "worse"
        self.assertIn(f"\n{abs(margin):.3f} bits/dim {word} than the best baseline\n", self.result.output)

    def test_evaluate_says_which(self):
        results = json.loads((self.trained / "results.json").read_text())
        for flags, how in (((), "variational"), (("--dequantization=uniform",), "uniform")):
            result = programs.run("evaluate", *flags, *self.flags)
            bits = results[f"Real NVP, {how} dequantisation"]["bits_per_dim"]
            self.assertIn(f"test: {bits:.4f} +- ", result.output, result.errors)
            self.assertIn(f"({how} dequantisation, 1 sample", result.output)

    def test_the_export_has_both(self):
        results = json.loads((self.trained / "results.json").read_text())
        export = self.trained / "saved_model"
        images = nvp.data.load("digits").evaluation_batches("test", 100)
        for how, noise in (("variational", nvp.load_dequantizer(export)), ("uniform", None)):
            loaded = nvp.evaluate(nvp.load(export), images, levels=17, dequantizer=noise)
            self.assertAlmostEqual(loaded.mean, results[f"Real NVP, {how} dequantisation"]["bits_per_dim"], places=4)
        result = programs.run("evaluate", f"--saved_model={export}", self.flags[1])
        bits = results["Real NVP, variational dequantisation"]["bits_per_dim"]
        self.assertIn(f"test: {bits:.4f} +- ", result.output, result.errors)

    def test_what_it_is_not_for_is_refused(self):
        for program, flags, message in (
            ("train", ("--dataset=csv:x.csv", "--dequantization=variational"), "expected images for --dequantization"),
            (
                "evaluate",
                ("--saved_model=digits", "--dequantization=variational"),
                "expected a model with --dequantization=variational, got one with uniform noise, digits",
            ),
        ):
            result = programs.run(program, *flags, self.flags[1])
            self.assertStartsWith(result.error, message)


if __name__ == "__main__":
    absltest.main()
