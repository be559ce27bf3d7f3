"""What the factories of flows over vectors share."""

from __future__ import annotations

import tensorflow_probability as tfp

from tfp_realnvp.bijectors import Halves


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
