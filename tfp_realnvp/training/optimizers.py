"""Optimizers by name."""

import keras

from tfp_realnvp.named import named
from tfp_realnvp.training.adam import Adam
from tfp_realnvp.training.muon import Muon

OPTIMIZERS = {
    "adam": Adam,
    "adamax": keras.optimizers.Adamax,
    "adamw": keras.optimizers.AdamW,
    "lion": keras.optimizers.Lion,
    "muon": Muon,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def optimizer(
    name: str, learning_rate: float | keras.optimizers.schedules.LearningRateSchedule
) -> keras.optimizers.Optimizer:
    """The optimizer with a name in `OPTIMIZERS`, options in parentheses, for example "adamax(beta_2=0.99)".

    Raises:
      ValueError: for an unknown name or option.
    """
    make = named(name, OPTIMIZERS, "optimizer")
    if "learning_rate" in make.keywords:
        raise ValueError(f"expected the learning rate as a separate setting, got {name!r}")
    return make(learning_rate)
