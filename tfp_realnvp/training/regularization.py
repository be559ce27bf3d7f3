"""The penalties that regularizers of Keras variables add to the objective."""

from collections.abc import Iterable

import keras
import tensorflow as tf

from tfp_realnvp.bijectors import Checkerboard, Coupling
from tfp_realnvp.bijectors.variables import learned_layers, variables_of
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.transformers import Affine

# Regularizers that sum over entries, so several tensors can be handled as one.
_SUMS = (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)


def set_l2(distribution: FlowDistribution, l2: float) -> None:
    """Regularizes weight-norm magnitudes and the gains of checkerboard couplings, as in the authors' program.

    Args:
      distribution: a flow; its other variables keep their regularizers.
      l2: weight of the sum of squares; 0 for no regularizer.
    """
    regularizer = keras.regularizers.L2(l2) if l2 else None
    for variable in variables_of(learned_layers(distribution.flow)):
        if variable.name == "magnitude":
            variable.regularizer = regularizer
    for coupling in distribution.submodules:
        if isinstance(coupling, Coupling) and isinstance(coupling.mask, Checkerboard):
            if isinstance(coupling.transformer, Affine):
                coupling.transformer.gain.regularizer = regularizer


def regularization(variables: Iterable[keras.Variable]) -> list[tf.Tensor]:
    """The penalties of all variables, combined where they are sums, which saves a few hundred operations."""
    penalties: list[tf.Tensor] = []
    shared: dict[tuple[keras.regularizers.Regularizer, str], list[tf.Tensor]] = {}
    for variable in variables:
        regularizer = variable.regularizer
        if type(regularizer) in _SUMS:
            shared.setdefault((regularizer, variable.dtype), []).append(variable.value)
        elif regularizer is not None:
            penalties.append(regularizer(variable.value))
    for (regularizer, _), values in shared.items():
        flat = [value if value.shape.rank == 1 else tf.reshape(value, [-1]) for value in values]
        penalties.append(regularizer(tf.concat(flat, 0)))
    return penalties
