"""Factories that return a distribution."""

from tfp_realnvp.flows import presets
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.real_nvp import real_nvp
from tfp_realnvp.flows.release_weights import load_release_weights
from tfp_realnvp.flows.summary import summary, trainable_parameters

__all__ = [
    "FlowDistribution",
    "load_release_weights",
    "presets",
    "real_nvp",
    "summary",
    "trainable_parameters",
]
