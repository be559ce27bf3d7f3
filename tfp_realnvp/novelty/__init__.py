"""Novelty detection: p-values of new events, and of groups of events, against events known to be regular."""

from tfp_realnvp.novelty.complexity import CODECS, codec_bits_per_dim, input_complexity
from tfp_realnvp.novelty.conformal import TAILS, Calibration, p_values
from tfp_realnvp.novelty.gradient import gradient_norm
from tfp_realnvp.novelty.group import group_p_values

__all__ = [
    "CODECS",
    "TAILS",
    "Calibration",
    "codec_bits_per_dim",
    "gradient_norm",
    "group_p_values",
    "input_complexity",
    "p_values",
]
