"""The L2 term of the authors' program."""

from __future__ import annotations

import tensorflow as tf

from tfp_realnvp.bijectors import Checkerboard, Coupling
from tfp_realnvp.bijectors.variables import learned_layers
from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.transformers import Affine


def l2_term(distribution: FlowDistribution, l2: float) -> tf.Tensor:
    """`l2` times the squares of weight-norm magnitudes and of checkerboard couplings' gains."""
    couplings = [m for m in distribution.submodules if isinstance(m, Coupling) and isinstance(m.mask, Checkerboard)]
    gains = [c.transformer.gain.value[tf.newaxis] for c in couplings if isinstance(c.transformer, Affine)]
    own = learned_layers(distribution.flow)
    variables = [v for part in own for v in getattr(part, "trainable_variables", [part])]
    magnitudes = [v.value for v in variables if v.name == "magnitude"]
    if not l2 or not gains + magnitudes:
        return tf.zeros([], distribution.dtype)
    # `l2_loss` is half of the sum of squares. One of the whole is a few hundred operations less.
    return 2 * l2 * tf.nn.l2_loss(tf.concat(gains + magnitudes, 0))
