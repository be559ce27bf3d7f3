"""The recipes against NumPy and Pillow, and the plan of the splits."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized
from PIL import Image

from tfp_realnvp.data import sets


def _photograph(height: int, width: int) -> np.ndarray:
    """Noise: whatever aliases, shows."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _coordinates(height: int, width: int) -> np.ndarray:
    """An image whose pixels say where they are: row, column, 0."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], -1).astype(np.uint8)


def _pillow_resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Antialiased by Pillow in floating point, not rounded."""
    channels = [
        Image.fromarray(channel.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        for channel in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, -1)


class RecipeTest(parameterized.TestCase):
    @parameterized.parameters((256, 341, 96, 127), (341, 256, 127, 96), (48, 60, 96, 120))
    def test_shorter_side_is_resized_with_antialiasing_and_rounded(self, height, width, new_height, new_width):
        image = _photograph(height, width)
        resized = sets.Recipe(shorter_side=96).apply(tf.constant(image))
        self.assertEqual(resized.dtype, tf.uint8)
        self.assertEqual(resized.shape, (new_height, new_width, 3))
        # Half a level is what rounding may change, and truncation would exceed.
        exact = _pillow_resized(image, new_height, new_width)
        self.assertLess(np.abs(resized.numpy() - exact).max(), 0.5 + 1e-3)

    def test_celeb_a_is_rows_40_to_188_and_columns_15_to_163_at_64(self):
        image = _photograph(218, 178)
        made = sets.RECIPES["celeb_a"].apply(tf.constant(image))
        self.assertEqual(made.shape, (64, 64, 3))
        exact = _pillow_resized(image[40:188, 15:163], 64, 64)
        self.assertLess(np.abs(made.numpy() - exact).max(), 0.5 + 1e-3)

    @parameterized.parameters("lsun/bedroom", "lsun/tower", "lsun/church_outdoor")
    def test_lsun_is_cropped_in_the_centre_for_evaluation(self, name):
        image = _coordinates(96, 121)
        made = sets.RECIPES[name].apply(tf.constant(image))
        np.testing.assert_array_equal(made, image[16:80, 28:92])

    def test_lsun_is_cropped_anywhere_and_nowhere_else_for_training(self):
        image = tf.constant(_coordinates(96, 120))
        recipe = sets.RECIPES["lsun/bedroom"]
        crop = tf.function(lambda seed: recipe.apply(image, tf.stack([0, seed])))
        corners = set()
        for seed in range(400):
            made = crop(tf.constant(seed)).numpy()
            top, left, _ = made[0, 0]
            np.testing.assert_array_equal(made, image[top : top + 64, left : left + 64])
            corners.add((int(top), int(left)))
        tops, lefts = (set(values) for values in zip(*corners, strict=True))
        self.assertContainsSubset({0, 32}, tops)
        self.assertContainsSubset({0, 56}, lefts)

    def test_lsun_is_resized_before_it_is_cropped(self):
        image = _photograph(256, 256)
        made = sets.RECIPES["lsun/tower"].apply(tf.constant(image))
        exact = _pillow_resized(image, 96, 96)[16:80, 16:80]
        self.assertLess(np.abs(made.numpy() - exact).max(), 0.5 + 1e-3)

    @parameterized.parameters("digits", "mnist", "cifar10", "another")
    def test_other_sets_are_taken_as_they_are(self, name):
        image = _photograph(10, 12)
        recipe = sets.RECIPES.get(name, sets.Recipe())
        np.testing.assert_array_equal(recipe.apply(tf.constant(image)), image)

    def test_another_size_keeps_the_box_and_the_margin(self):
        lsun = sets.RECIPES["lsun/bedroom"].resized(32)
        self.assertEqual((lsun.shorter_side, lsun.size, lsun.random_crop), (48, 32, True))
        celeb_a = sets.RECIPES["celeb_a"].resized(32)
        self.assertEqual((celeb_a.box, celeb_a.shorter_side), ((40, 15, 148, 148), 32))
        self.assertEqual(sets.Recipe().resized(24), sets.Recipe(shorter_side=24, size=24))

    def test_only_digits_has_fewer_levels(self):
        self.assertEqual({n for n in sets.names() if sets.RECIPES[n].levels != 256}, {"digits"})
        self.assertEqual(sets.RECIPES["digits"].levels, 17)


class PlanSplitsTest(parameterized.TestCase):
    @parameterized.parameters(
        # MNIST, CIFAR-10: validation out of train.
        ({"train": 60000, "test": 10000}, "train[:55000]", "train[55000:60000]", "test"),
        ({"train": 50000, "test": 10000}, "train[:45000]", "train[45000:50000]", "test"),
        # CelebA: as it is.
        ({"train": 9, "validation": 2, "test": 3}, "train[:9]", "validation", "test"),
        # Downsampled ImageNet, LSUN, Tiny ImageNet: figures are on validation.
        (
            {"train": 1281149, "validation": 49999},
            "train[:1276149]",
            "train[1276149:1281149]",
            "validation",
        ),
        ({"train": 10000, "validation": 3000}, "train[:9000]", "train[9000:10000]", "validation"),
        # Nothing but train: both out of it, and never empty.
        ({"train": 30000}, "train[:24300]", "train[24300:27000]", "train[27000:30000]"),
        ({"train": 5}, "train[:3]", "train[3:4]", "train[4:5]"),
        # Other splits do not matter.
        ({"train": 100, "test": 10, "extra": 9}, "train[:90]", "train[90:100]", "test"),
    )
    def test_plan(self, sizes, train, validation, test):
        plan = sets.plan_splits(sizes)
        self.assertEqual(plan, {"train": train, "validation": validation, "test": test})


if __name__ == "__main__":
    absltest.main()
