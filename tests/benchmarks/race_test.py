"""Contestants have the same time in turns, and what ours trains on is what it says."""

import os
import pathlib
import tempfile

import numpy as np
from absl.testing import absltest

from benchmarks import race, race_batches
from tfp_realnvp import presets


class _Steady:
    """Trains at a speed, and gets better with each image."""

    def __init__(self, images_per_second):
        self.speed, self.images, self.turns = images_per_second, 0, []

    def train(self, seconds):
        self.turns.append(seconds)
        self.images += int(seconds * self.speed)
        return seconds, self.images

    def evaluate(self):
        return 8 - self.images / 1000


class RaceTest(absltest.TestCase):
    def test_each_has_its_time_in_turns(self):
        contestants = {"ours, float32": _Steady(100), "port, float32": _Steady(50)}
        points = race.race(contestants, seconds=25, turn=10)
        for contestant in contestants.values():
            self.assertEqual(contestant.turns, [10, 10, 5])
        names = [point["name"] for point in points]
        self.assertEqual(names, [*contestants] * 3)
        self.assertEqual(points[-2], dict(name="ours, float32", seconds=25, images=2500, bits_per_dim=5.5))
        self.assertRegex(race.table(points)[3], r"\| port, float32 \| +7\.500 \| +7\.000 \| +6\.750 \| +1,250 \|")
        with tempfile.TemporaryDirectory() as folder:
            picture = pathlib.Path(folder, "race.png")
            race.draw(points, picture)
            self.assertGreater(picture.stat().st_size, 1_000)

    def test_batches_are_permutations_one_after_the_other(self):
        batches = race_batches.batches(np.arange(10), 4)
        seen = np.concatenate([next(batches) for _ in range(2)])
        self.assertLen(set(seen), 8)
        again = race_batches.batches(np.arange(10), 4)
        np.testing.assert_array_equal(np.concatenate([next(again) for _ in range(2)]), seen)

    def test_ours_learns(self):
        images = np.full([40, 4, 4, 1], 7, np.uint8)
        recipe = presets.Preset("none", event_shape=(4, 4, 1), scales=1, width=2, blocks=0, batch_size=8)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "images.npz")
            np.savez(path, train=images, validation=images[:5])
            ours = race.Ours(recipe, "float32", path)
        before = ours.evaluate()
        seconds, seen = ours.train(0.5)
        self.assertGreaterEqual(seconds, 0.5)
        self.assertEqual(seen % 8, 0)
        self.assertGreater(seen, 8)
        self.assertLess(ours.evaluate(), before)


if __name__ == "__main__":
    absltest.main()
