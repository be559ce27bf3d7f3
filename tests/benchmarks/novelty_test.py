"""Novel images are of the model's shape and levels, and the table marks where a score fails."""

import numpy as np
from absl.testing import absltest

from benchmarks import novelty as benchmark


class NoveltyTest(absltest.TestCase):
    def test_novel_images(self):
        def of_set(name, split, count):
            shape, levels = {"mnist": ((28, 28, 1), 256), "digits": ((8, 8, 1), 17)}[name]
            return np.random.default_rng(0).integers(0, levels, [count, *shape]).astype(np.uint8)

        for dataset, shape, levels, other in (
            ("mnist", [28, 28, 1], 256, "digits of UCI, resized"),
            ("digits", [8, 8, 1], 17, "MNIST, resized"),
        ):
            kinds = benchmark.novel_images(dataset, shape, levels, 12, of_set)
            self.assertIn(other, kinds)
            for kind, images in kinds.items():
                self.assertEqual((images.shape, images.dtype), ((12, *shape), np.uint8), kind)
                self.assertLess(images.max(), levels, kind)
            self.assertGreater(kinds["digits of DejaVu fonts"].max(), 0.8 * (levels - 1))
            self.assertEqual(np.ptp(kinds["constant"], axis=(1, 2)).max(), 0)
            np.testing.assert_array_equal(kinds["inverted"], levels - 1 - of_set(dataset, "test", 12))

    def test_p_values(self):
        random = np.random.default_rng(0)
        calibrating = {"density": random.normal(size=300), "typicality": random.normal(size=300)}
        regular = benchmark.p_values({name: random.normal(size=200) for name in calibrating}, calibrating)
        # Too likely: what is one-sided misses it.
        novel = benchmark.p_values({"density": np.full(50, -9.0), "typicality": np.full(50, 9.0)}, calibrating)
        areas = {name: benchmark.compared(novel[name], regular[name]) for name in novel}
        self.assertLess(areas["density"]["area"], 0.1)
        self.assertEqual(areas["density"]["found"], 0)
        for name in ("typicality", "groups"):
            self.assertGreater(areas[name]["area"], 0.95)
            self.assertEqual(areas[name]["found"], 1)

    def test_table(self):
        found = {"noise": {"density": {"area": 0.5, "found": 0.0}, "gradient": {"area": 0.9, "found": 0.25}}}
        alarms = {"density": 0.01, "gradient": 0.0}
        row = {"model": "mnist", "images": 20, "calibration": 1000, "false_alarms": alarms, "found": found}
        text = "\n".join(benchmark.tables([row]))
        self.assertRegex(text, r"\| noise +\| +\*\*0.500\*\*, 0 % \| +0.900, 25 % \|")
        self.assertRegex(text, r"\| regular: false alarms +\| +1.0 % \| +0.0 % \|")


if __name__ == "__main__":
    absltest.main()
