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
        points = [{**point, "seed": 0, "on": "a library"} for point in points]
        # After 25/3, 50/3 and 25 s; before the first turn's end it is that.
        row = race.table(points)[3]
        self.assertRegex(row, r"\| port, float32 \| +7\.500 \| +7\.167 \| +6\.750 \| +1,250 \| +1 \| a library \|")
        # Another start of one of them, which is worse by .2 everywhere.
        ours = [point for point in points if point["name"] == "ours, float32"]
        points += [{**point, "seed": 1, "bits_per_dim": point["bits_per_dim"] + 0.2} for point in ours]
        row = race.table(points)[2]
        self.assertRegex(row, r"\| +5\.600 \(deviation 0\.141\) \| +2,500 \| +2 \| a library \|")
        with tempfile.TemporaryDirectory() as folder:
            picture = pathlib.Path(folder, "race.png")
            race.draw(points, picture)
            self.assertGreater(picture.stat().st_size, 1_000)

    def test_a_run_takes_the_place_of_one_of_its_seed(self):
        here, there = dict(of=dict(preset="x"), machine="m"), dict(of=dict(preset="y"), machine="m")
        before = [dict(name=name, seed=seed, **here) for name in ("a", "b") for seed in (0, 1)]
        found = [dict(name="a", seed=seed, value=2, **here) for seed in (1, 2)]
        self.assertEqual(race.merged(before, found), [before[0], *before[2:], *found])
        elsewhere = [dict(name="a", seed=1, **there), dict(name="a", seed=1, of=dict(preset="x"), machine="n")]
        self.assertEqual(race.merged(elsewhere, found), elsewhere + found)

    def test_batches_are_permutations_one_after_the_other(self):
        batches = race_batches.batches(np.arange(10), 4)
        seen = np.concatenate([next(batches) for _ in range(2)])
        self.assertLen(set(seen), 8)
        again = race_batches.batches(np.arange(10), 4)
        np.testing.assert_array_equal(np.concatenate([next(again) for _ in range(2)]), seen)

    def test_ours_learns(self):
        images = np.full([40, 4, 4, 1], 7, np.uint8)
        small = presets.Recipe(batch_size=8)
        recipe = presets.Preset("none", (4, 4, 1), options=dict(scales=1, width=2, blocks=0), recipe=small)
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
