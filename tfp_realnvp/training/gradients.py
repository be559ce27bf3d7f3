"""Gradients of a flow's variables."""

from collections.abc import Callable, Iterable, Sequence

import keras
import tensorflow as tf


def gradients_or_zeros(tape: tf.GradientTape, loss: tf.Tensor, variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """The gradient of each variable; zeros instead of None if the loss does not depend on it."""
    gradients = tape.gradient(loss, variables)
    return [tf.zeros_like(v.value) if g is None else tf.convert_to_tensor(g) for g, v in zip(gradients, variables)]


def with_vectors_joined(
    tensors: Sequence[tf.Tensor],
) -> tuple[list[tf.Tensor], Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]]:
    """Concatenates all vectors of a dtype; returns the tensors and a function that separates them again.

    Separate operations on the hundreds of vectors in a step would take long to trace and optimise.
    """
    places: dict[str | int, list[int]] = {}
    for i, tensor in enumerate(tensors):
        places.setdefault(tensor.dtype.name if tensor.shape.rank == 1 else i, []).append(i)

    def separated(joined: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        result = list(tensors)
        for group, tensor in zip(places.values(), joined):
            parts = [tensor] if len(group) == 1 else tf.split(tensor, [tensors[i].shape[0] for i in group])
            for i, part in zip(group, parts):
                result[i] = part
        return result

    return [tensors[g[0]] if len(g) == 1 else tf.concat([tensors[i] for i in g], 0) for g in places.values()], separated


def check_all_are_known(tape: tf.GradientTape, known: Iterable[keras.Variable]) -> None:
    """Raises an error if the loss depends on a variable that would not be trained, saved or averaged.

    Args:
      tape: the tape that recorded the loss.
      known: all variables of the model.

    Raises:
      ValueError: naming the variables.
    """
    handles = {id(variable.handle) for variable in known}
    unknown = [variable.name for variable in tape.watched_variables() if id(variable.handle) not in handles]
    if unknown:
        raise ValueError(
            f"expected a loss of the distribution's variables only, got others too: {', '.join(unknown)}; make "
            "the conditioner a Keras layer or a tf.Module that has its variables before the flow is made"
        )
