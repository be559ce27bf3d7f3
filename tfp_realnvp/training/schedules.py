"""Learning rate schedules by name."""

import keras

from tfp_realnvp.named import named
from tfp_realnvp.training.warm_up import WarmUp

# The optimizer's learning rate, and the callbacks that change it.
Schedule = tuple[float | keras.optimizers.schedules.LearningRateSchedule, list[keras.callbacks.Callback]]


def constant(rate: float, steps: int, warmup_steps: int) -> Schedule:
    """Constant after the warm-up."""
    return rate, [WarmUp(rate, warmup_steps)] if warmup_steps else []


def cosine(rate: float, steps: int, warmup_steps: int, alpha: float = 0.0) -> Schedule:
    """Cosine decay to `alpha` times the rate at the last step."""
    warmup = dict(initial_learning_rate=0.0, warmup_target=rate, warmup_steps=warmup_steps)
    given = warmup if warmup_steps else dict(initial_learning_rate=rate)
    steps = max(steps - warmup_steps, 1)
    return keras.optimizers.schedules.CosineDecay(decay_steps=steps, alpha=alpha, **given), []


def plateau(rate: float, steps: int, warmup_steps: int, factor: float = 0.5, patience: int = 5) -> Schedule:
    """Multiplies the rate by `factor` after `patience` epochs without a better validation loss."""
    rate, callbacks = constant(rate, steps, warmup_steps)
    return rate, [*callbacks, keras.callbacks.ReduceLROnPlateau("val_loss", factor=factor, patience=patience)]


SCHEDULES = {"constant": constant, "cosine": cosine, "plateau": plateau}


def schedule(name: str, rate: float, *, steps: int, warmup_steps: int = 0) -> Schedule:
    """The schedule with a name in `SCHEDULES`, options in parentheses, for example "plateau(factor=0.3)".

    Args:
      name: the schedule.
      rate: the maximum learning rate.
      steps: number of steps of the whole training.
      warmup_steps: number of steps over which the rate rises from 0.

    Returns:
      The learning rate for the optimizer, and the callbacks that change it.

    Raises:
      ValueError: for an unknown name or option.
    """
    return named(name, SCHEDULES, "schedule")(rate, steps, warmup_steps)
