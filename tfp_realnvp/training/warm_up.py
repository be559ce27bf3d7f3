"""A learning rate that rises from zero."""

from typing import Any

import keras


class WarmUp(keras.callbacks.Callback):
    """Raises the learning rate in equal parts, to the optimizer's own after `steps` steps.

        rate at step t = rate * (t + 1) / steps,  for t < steps

    What lowers it later, such as `keras.callbacks.ReduceLROnPlateau`, finds it as it would be without. For cosine
    decay there is `keras.optimizers.schedules.CosineDecay`, which has a warm-up of its own.

    Args:
      rate: the learning rate to arrive at.
      steps: how many steps it takes.
    """

    def __init__(self, rate: float, steps: int):
        super().__init__()
        self.rate = rate
        self.steps = steps

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = int(self.model.optimizer.iterations.numpy())
        if step < self.steps:
            self.model.optimizer.learning_rate = self.rate * (step + 1) / self.steps
