"""The targets' samplers and densities belong together, and a panel is trained, kept and drawn."""

import contextlib
import io
import json
import pathlib
import tempfile
import types
from unittest import mock

import numpy as np
import PIL.Image
from absl import app, flags
from absl.testing import absltest, parameterized

from benchmarks import toy2d
from tfp_realnvp import presets
from tfp_realnvp.flows.networks import TRANSFORMERS


@parameterized.parameters(*toy2d.TARGETS)
class TargetTest(parameterized.TestCase):
    def test_samples_have_the_densitys_moments(self, name):
        target = toy2d.TARGETS[name]
        x = target.sample(np.random.default_rng(0), 20_000)
        self.assertEqual(x.shape, (20_000, 2))
        self.assertTrue(np.all(np.isfinite(target.log_prob(x))))
        cells = 180
        points = toy2d.grid(cells)
        masses = np.exp(target.log_prob(points)) * (2 * toy2d.BOUND / cells) ** 2
        self.assertAlmostEqual(np.sum(masses), 1, delta=2e-3)
        for statistic in (
            lambda x: x[:, 0],
            lambda x: x[:, 1],
            lambda x: x[:, 0] * x[:, 1],
            lambda x: np.sum(x**2, -1),
            lambda x: np.cos(3 * x[:, 0]) * np.sin(2 * x[:, 1] + 1),
            lambda x: (x[:, 1] > 0.5).astype(float),
        ):
            sampled = statistic(x)
            # Five standard errors, and the grid's.
            delta = 5 * np.std(sampled) / np.sqrt(len(x)) + 1e-2
            self.assertAlmostEqual(np.mean(sampled), np.sum(masses * statistic(points)), delta=delta)

    def test_same_seed_same_samples(self, name):
        first, second = (toy2d.TARGETS[name].sample(np.random.default_rng(3), 5) for _ in range(2))
        np.testing.assert_array_equal(first, second)


class PanelTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def test_a_panel_is_nearer_than_a_gaussian(self):
        panel = toy2d.panel("moons", "real_nvp", toy2d.Budget(steps=100, cells=60))
        points = toy2d.TARGETS["moons"].sample(np.random.default_rng(0), 20_000)
        gaussian = np.sum(np.log(np.std(points, 0)) + 0.5 * np.log(2 * np.pi * np.e))
        self.assertLess(panel["nats"], gaussian - 0.1)
        self.assertGreater(panel["divergence"], 0)
        self.assertEqual(panel["density"].shape, (60, 60))
        self.assertAlmostEqual(panel["outside"], 0, delta=0.1)

    def test_a_panel_is_computed_once_for_its_settings(self):
        computed = {"nats": 1.5, "density": np.ones([2, 2], np.float32)}
        with mock.patch.object(toy2d, "panel", return_value=computed) as panel:
            for steps, calls in ((5, 1), (5, 1), (6, 2)):
                result = toy2d.cached_panel(self.folder, "moons", "maf", toy2d.Budget(steps))
                self.assertEqual(panel.call_count, calls)
                self.assertEqual(result["nats"], 1.5)
                np.testing.assert_array_equal(result["density"], computed["density"])

    def _run(self, **given):
        values = dict(targets=["rings"], flows=["nice"], steps=40, seed=0, quick=True, panels=str(self.folder))
        with mock.patch.object(flags, "FLAGS", types.SimpleNamespace(**{**values, "output": None, **given})):
            toy2d.main([])

    def test_main(self):
        output = self.folder / "toy2d.md"
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self._run(output=str(output))
        self.assertIn("1 of 1: rings, nice", printed.getvalue())
        self.assertIn(output.read_text(), printed.getvalue())
        self.assertRegex(output.read_text(), r"(?m)^\| nice +\| +[\d.]+ \+- [\d.]+ \|")
        figures = json.loads(output.with_suffix(".json").read_text())
        self.assertGreater(figures["rings"]["nice"]["divergence"], 0)
        self.assertEqual(output.with_suffix(".png").read_bytes()[:4], b"\x89PNG")

    def test_has_every_flow_and_transformer(self):
        builders = {"coupling", "autoregressive"}  # Their transformers stand for them.
        self.assertEmpty({*presets.FLOWS} - builders - {*toy2d.RECIPES})
        # The others' own flows are real_nvp, nice, nsf and flowpp.
        self.assertEmpty({*TRANSFORMERS} - {"affine", "shift", "spline", "sigmoidal"} - {*toy2d.RECIPES})

    def test_more_flows_than_fit_are_drawn_below(self):
        panel = {"density": np.ones([4, 4], np.float32), "nats": 1.0, "divergence": 0.1, "outside": 0.0}
        panels = {("rings", flow): panel for flow in list(toy2d.RECIPES)[: toy2d._COLUMNS + 2]}
        sizes = []
        for few in (dict(list(panels.items())[:7]), panels):
            toy2d.draw(few, 4, self.folder / "few.png")
            with PIL.Image.open(self.folder / "few.png") as image:
                sizes.append(image.size)
        # 13 flows are two rows of 7 and of 6.
        self.assertEqual(sizes[0][0], sizes[1][0])
        self.assertAlmostEqual(sizes[1][1] / sizes[0][1], 2, delta=0.1)

    def test_refuses_what_it_does_not_know(self):
        with self.assertRaisesRegex(app.UsageError, "expected some of real_nvp, .*, got ellipse, maf"):
            self._run(flows=["ellipse", "maf"])
        with self.assertRaisesRegex(app.UsageError, "expected some of moons, .*, got none"):
            self._run(targets=[])


if __name__ == "__main__":
    absltest.main()
