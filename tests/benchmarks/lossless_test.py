"""The formats' files hold the same pixels, and the table says what the rows do."""

import numpy as np
from absl.testing import absltest

from benchmarks import lossless as benchmark


class LosslessTest(absltest.TestCase):
    def test_formats(self):
        images = benchmark.test_images("digits", None, 12)
        self.assertEqual(images.shape, (12, 8, 8, 1))
        found = {row["format"]: row for row in benchmark.of_formats(images)}
        self.assertContainsSubset(["PNG, each image", "PNG, strips", "WEBP, each image", "WEBP, strips"], found)
        self.assertLess(found["PNG, strips"]["bits_per_dim"], found["PNG, each image"]["bits_per_dim"])
        colour = np.random.default_rng(0).integers(0, 256, [2, 4, 4, 3]).astype(np.uint8)
        self.assertGreater(benchmark.of_formats(colour)[0]["bits_per_dim"], 8)

    def test_table(self):
        speed = {"write": 1.0, "read": 2.0}
        flow = {"format": "flow", "bits_per_dim": 3.0, "without_first": 2.9, "bound": 2.8, "first": 4, "stored": 0}
        png = {"format": "PNG, strips", "bits_per_dim": 6.0, **speed}
        row = {"data": "digits", "images": 100, "model": "digits/1", "found": [flow | speed, png]}
        text = "\n".join(benchmark.tables([row]))
        self.assertIn("The flow's file has 0.50 times the bits of the best other, PNG, strips.", text)
        self.assertRegex(text, r"\| flow +\| +3\.000 \| +1\.000 \| +2\.000 \|")


if __name__ == "__main__":
    absltest.main()
