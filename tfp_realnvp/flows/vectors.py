"""What the factories of flows over vectors share."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Halves


def networks_policy(
    dtype: str, dtype_policy: str | keras.DTypePolicy | None
) -> str | keras.DTypePolicy:
    """The dtype policy of the networks of a flow: what was asked for, or what goes with the flow's dtype.

    Raises:
      ValueError: for weights in half precision, which small steps of training would leave as they are.
    """
    if dtype_policy is None:
        dtype = tf.as_dtype(dtype).name
        dtype_policy = keras.config.dtype_policy() if dtype == "float32" else dtype
    policy = keras.dtype_policies.get(dtype_policy)
    if policy.variable_dtype in ("float16", "bfloat16"):
        raise ValueError(
            f"expected networks with weights in float32 or float64, got the dtype policy {policy.name}: "
            f"mixed_{policy.variable_dtype} computes in half precision and keeps weights in float32"
        )
    return dtype_policy


def reverse(size: int) -> tfp.bijectors.Bijector:
    """Turns the order of the entries around, between autoregressive layers."""
    return tfp.bijectors.Permute(list(range(size))[::-1], name="reverse")


def odd_entries_first(size: int) -> tfp.bijectors.Bijector:
    """Puts every second entry in front, so that couplings on `half(i)` alternate among neighbours.

    Done once, at the data: strided slices in every coupling take longer.
    """
    return tfp.bijectors.Permute([*range(1, size, 2), *range(0, size, 2)], name="odd_entries_first")


def half(i: int) -> Halves:
    """The mask of coupling number `i` on vectors: the second half is kept first."""
    return Halves(("second", "first")[i % 2])
