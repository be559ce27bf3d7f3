"""Transformers: invertible scalar maps whose parameters a conditioner computes."""

from tfp_realnvp.transformers.affine import Affine
from tfp_realnvp.transformers.bernstein import Bernstein
from tfp_realnvp.transformers.bisection import inverse_by_bisection
from tfp_realnvp.transformers.by_entry import ByEntry
from tfp_realnvp.transformers.circular_spline import CircularSpline
from tfp_realnvp.transformers.compose import Compose
from tfp_realnvp.transformers.linear_spline import LinearSpline
from tfp_realnvp.transformers.probit import Probit
from tfp_realnvp.transformers.quadratic_spline import QuadraticSpline
from tfp_realnvp.transformers.rational_quadratic_spline import RationalQuadraticSpline
from tfp_realnvp.transformers.shift import Shift
from tfp_realnvp.transformers.sigmoidal import Sigmoidal
from tfp_realnvp.transformers.sum_of_squares import SumOfSquares
from tfp_realnvp.transformers.transformer import Transformer
from tfp_realnvp.transformers.unconstrained_monotonic import UnconstrainedMonotonic

__all__ = [
    "Affine",
    "Bernstein",
    "ByEntry",
    "CircularSpline",
    "Compose",
    "LinearSpline",
    "Probit",
    "QuadraticSpline",
    "RationalQuadraticSpline",
    "Shift",
    "Sigmoidal",
    "SumOfSquares",
    "Transformer",
    "UnconstrainedMonotonic",
    "inverse_by_bisection",
]
