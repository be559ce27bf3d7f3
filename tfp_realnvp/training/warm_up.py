"""Linear warm-up of the learning rate."""

from typing import Any

import keras


class WarmUp(keras.callbacks.Callback):
    """Raises the learning rate linearly to the optimizer's own rate within `steps` steps.

        rate at step t = rate * (t + 1) / steps,  for t < steps

    Later callbacks such as `keras.callbacks.ReduceLROnPlateau` see the rate as if there had been no warm-up. For cosine
    decay use `keras.optimizers.schedules.CosineDecay`, which has its own warm-up.

    Args:
      rate: the learning rate after the warm-up.
      steps: number of warm-up steps.
    """

    def __init__(self, rate: float, steps: int):
        super().__init__()
        self.rate = rate
        self.steps = steps

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = int(self.model.optimizer.iterations.numpy())
        if step < self.steps:
            self.model.optimizer.learning_rate = self.rate * (step + 1) / self.steps
