"""Preprocessing and splits of each image set."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

SPLITS = ("train", "validation", "test")

# At most this many images, and at most a tenth, are held out from train for a split that TFDS lacks.
_MOST_HELD_OUT = 5000


class DataNotFoundError(FileNotFoundError):
    """The set is known but not on this machine, or there is no such folder or file."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The preprocessing of a set's images: crop a box, resize, crop a square; each step is optional.

    Attributes:
      box: top, left, height and width in pixels of the first crop.
      shorter_side: size in pixels to which the shorter side is then resized.
      size: side in pixels of the final square crop at the centre.
      random_crop: whether training crops the square at a random position instead.
      levels: the values of a pixel are 0, ..., levels - 1.
    """

    box: tuple[int, int, int, int] | None = None
    shorter_side: int | None = None
    size: int | None = None
    random_crop: bool = False
    levels: int = 256

    def resized(self, size: int) -> "Recipe":
        """The same recipe for squares of another size; the margin around a crop scales with it."""
        margin = self.shorter_side / self.size if self.shorter_side and self.size else 1
        return dataclasses.replace(self, shorter_side=round(size * margin), size=size)

    def apply(self, image: tf.Tensor, crop_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Applies the recipe to an image of the set.

        Args:
          image: uint8 `[height, width, channels]`, any height and width.
          crop_seed: integers `[2]` that place a random crop; None crops the centre.

        Returns:
          uint8 `[size, size, channels]`; without a `size`, the result of the preceding steps.
        """
        if self.box:
            image = tf.image.crop_to_bounding_box(image, *self.box)
        if self.shorter_side:
            image = _resize_shorter_side(image, self.shorter_side)
        if self.size:
            if self.random_crop and crop_seed is not None:
                square = (self.size, self.size, image.shape[-1])
                image = tf.image.stateless_random_crop(image, square, crop_seed)
            else:
                top, left = tf.unstack((tf.shape(image)[:2] - self.size) // 2)
                image = tf.image.crop_to_bounding_box(image, top, left, self.size, self.size)
        return image


_LSUN = Recipe(shorter_side=96, size=64, random_crop=True)

# The paper's sets and two small ones, by their TFDS names. Other sets use the plain `Recipe()`. TFDS has no static
# shape for downsampled ImageNet, so its size is given here.
RECIPES = {
    "digits": Recipe(levels=17),
    "mnist": Recipe(),
    "cifar10": Recipe(),
    "downsampled_imagenet/32x32": Recipe(size=32),
    "downsampled_imagenet/64x64": Recipe(size=64),
    "celeb_a": Recipe(box=(40, 15, 148, 148), shorter_side=64, size=64),
    "lsun/bedroom": _LSUN,
    "lsun/tower": _LSUN,
    "lsun/church_outdoor": _LSUN,
}


def names() -> tuple[str, ...]:
    """The paper's sets and two small ones; `load` also takes any other TFDS image set."""
    return tuple(RECIPES)


def plan_splits(sizes: Mapping[str, int]) -> dict[str, str]:
    """Maps our splits to TFDS split instructions.

    TFDS's own splits are used unchanged, with two exceptions:

    - If there is a validation split but no test split (downsampled ImageNet, LSUN), the validation split is our
      `test`, since published figures are on it.
    - A split that is still missing is held out from the end of train: the last 5,000 images, or the last tenth if that
      is fewer.

    Args:
      sizes: number of images in each of TFDS's splits; "train" must be among them.

    Returns:
      The TFDS split instructions of "train", "validation" and "test". No image is in two splits.
    """
    plan = {split: split for split in SPLITS if split in sizes}
    if "test" not in plan and "validation" in plan:
        plan["test"] = plan.pop("validation")
    end = sizes["train"]
    for split in ("test", "validation"):
        if split not in plan:
            start = end - min(_MOST_HELD_OUT, math.ceil(end / 10))
            plan[split] = f"train[{start}:{end}]"
            end = start
    return plan | {"train": f"train[:{end}]"}


def known_classes(name: str, classes: tuple[str, ...], expected: bool | Sequence[str]) -> tuple[str, ...]:
    """The classes of a set; raises a `ValueError` if others are expected by their names."""
    if not isinstance(expected, bool) and tuple(expected) != classes:
        raise ValueError(f"{name}: expected the classes {', '.join(expected)}, got {', '.join(classes)}")
    return classes


def without_last_tenth(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rows of a table except the last tenth, and the last tenth, which has at least 1 row."""
    rest, tenth = np.split(rows, [-max(1, len(rows) // 10)])
    return rest, tenth


def last_tenths(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Splits the rows of a table: the last tenth is "test", the last tenth of the rest "validation"."""
    train, test = without_last_tenth(rows)
    train, validation = without_last_tenth(train)
    return {"train": train, "validation": validation, "test": test}


def _resize_shorter_side(image: tf.Tensor, side: int) -> tf.Tensor:
    """Resizes uint8 `[height, width, channels]`, keeping the aspect ratio, and rounds to uint8.

    Levels must stay integers, or bits/dim after dequantisation would be meaningless. The antialiasing kernel is a
    triangle, which stays within the range of its inputs, so nothing needs clipping.
    """
    height_and_width = tf.shape(image)[:2]
    resized = tf.image.resize(image, height_and_width * side // tf.reduce_min(height_and_width), antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)
