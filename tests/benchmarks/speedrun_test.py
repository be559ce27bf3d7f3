"""The speedrun trains for its time, and tells what it reached."""

from absl.testing import absltest

from benchmarks import speedrun
from tfp_realnvp import presets


class SpeedrunTest(absltest.TestCase):
    def test_some_seconds_of_digits(self):
        preset = presets.digits.replace(flow="glow", scales=1, steps=1, width=4, blocks=0, ema=0.9)
        cells = speedrun.run(preset, 1 / 30, 0, None)
        # Of images of 17 levels, log2(17) = 4.09 is what knows nothing.
        self.assertLess(float(cells["test bits/dim"].partition(" ")[0]), 4.0)
        self.assertGreater(int(cells["images"].replace(",", "")), 0)
        self.assertEqual(cells["skipped steps"], "0")

    def test_settings(self):
        self.assertEqual(speedrun.settings_of("width=96, optimizer='adam'"), {"width": 96, "optimizer": "adam"})
        self.assertEqual(speedrun.settings_of(""), {})


if __name__ == "__main__":
    absltest.main()
