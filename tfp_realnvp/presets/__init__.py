"""Named models: the models of papers, and a few smaller ones."""

from tfp_realnvp.presets import images, tables
from tfp_realnvp.presets.images import (
    celeba,
    cifar10,
    cifar10_cpu,
    cifar10_glow,
    digits,
    digits_glow,
    imagenet32,
    imagenet64,
    lsun_bedroom,
    lsun_church,
    lsun_tower,
    mnist,
    mnist_glow,
)
from tfp_realnvp.presets.preset import FLOWS, Preset, comparable, of_settings, settings_of
from tfp_realnvp.presets.recipe import DEQUANTIZATIONS, Recipe
from tfp_realnvp.presets.tables import TABLE_RECIPE, bsds300, gas, hepmass, miniboone, power
from tfp_realnvp.presets.values import parsed

IMAGE_NAMES, _TABLE_NAMES = (
    tuple(name for name, value in vars(file).items() if isinstance(value, Preset) and not name.startswith("_"))
    for file in (images, tables)
)
NAMES = IMAGE_NAMES + _TABLE_NAMES

__all__ = [
    "DEQUANTIZATIONS",
    "FLOWS",
    "IMAGE_NAMES",
    "NAMES",
    "Preset",
    "Recipe",
    "TABLE_RECIPE",
    "bsds300",
    "celeba",
    "cifar10",
    "cifar10_cpu",
    "cifar10_glow",
    "comparable",
    "digits",
    "digits_glow",
    "gas",
    "get",
    "hepmass",
    "imagenet32",
    "imagenet64",
    "lsun_bedroom",
    "lsun_church",
    "lsun_tower",
    "miniboone",
    "mnist",
    "mnist_glow",
    "of_settings",
    "parsed",
    "power",
    "settings_of",
]


def get(name: str) -> Preset:
    """The preset of that name.

    Raises:
      ValueError: if there is none.
    """
    if name not in NAMES:
        raise ValueError(f"expected a preset among {', '.join(NAMES)}, got {name!r}")
    return globals()[name]
