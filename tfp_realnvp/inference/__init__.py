"""Neural posterior estimation: the posterior of a simulator's parameters by a conditional flow, and its calibration."""

from tfp_realnvp.inference.calibration import Calibration, expected_coverage, rank_statistics, tarp
from tfp_realnvp.inference.fit import fit_posterior
from tfp_realnvp.inference.parts import simulate
from tfp_realnvp.inference.plots import plot_coverage, plot_ranks
from tfp_realnvp.inference.posterior import Posterior
from tfp_realnvp.inference.saved import load
from tfp_realnvp.inference.truncated import fit_posterior_sequentially

__all__ = [
    "Calibration",
    "Posterior",
    "expected_coverage",
    "fit_posterior",
    "fit_posterior_sequentially",
    "load",
    "plot_coverage",
    "plot_ranks",
    "rank_statistics",
    "simulate",
    "tarp",
]
