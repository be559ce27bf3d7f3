"""An exponential moving average of a model's weights."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf


class WeightAverage(tf.Module):
    """Maintains a moving average of variables and can swap it in temporarily.

        average <- average - (1 - d) (average - variable),    d = min(decay, (1 + t) / (10 + t)) at step t

    Pass all variables of a distribution: the moving moments of batch norm belong to the weights that produced them, so
    averaged weights need averaged moments.

    Args:
      variables: the variables to average; their current values are the initial average.
      decay: weight of the old average, in (0, 1); 0.999 averages over about the last 1,000 steps.

    Raises:
      ValueError: for a decay outside (0, 1).

    ```python
    average = WeightAverage(distribution.variables, decay=0.999)
    average.update(step)  # After each step.
    with average.lent():
        distribution.log_prob(x)  # With the averaged weights.
    ```
    """

    def __init__(self, variables: Sequence[tf.Variable], decay: float):
        super().__init__(name="weight_average")
        if not 0 < decay < 1:
            raise ValueError(f"expected a decay between 0 and 1, got {decay}")
        self.decay = decay
        self._learned = [variable for variable in variables if variable.dtype.is_floating]
        self.averages = [tf.Variable(variable.read_value(), trainable=False) for variable in self._learned]

    def update(self, step: tf.Tensor, *, skip: tf.Tensor | bool = False) -> None:
        """Updates the average after step number `step`, from 0, unless `skip` is true."""
        step = tf.cast(step, tf.float64)
        weight = 1 - tf.minimum(tf.constant(self.decay, tf.float64), (1 + step) / (10 + step))
        weight = tf.where(skip, tf.zeros_like(weight), weight)
        weights = {dtype: tf.cast(weight, dtype) for dtype in {average.dtype for average in self.averages}}
        for average, variable in zip(self.averages, self._learned):
            average.assign_sub(weights[average.dtype] * (average - variable))

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """A context in which the variables hold the average."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def copy_to_variables(self) -> None:
        """Assigns the average to the variables permanently."""
        for average, variable in zip(self.averages, self._learned):
            variable.assign(average)

    def _swap(self) -> None:
        for average, variable in zip(self.averages, self._learned):
            value = variable.read_value()
            variable.assign(average)
            average.assign(value)
