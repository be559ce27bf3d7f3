"""Exact-likelihood normalizing flows for images and vectors, on TensorFlow Probability and Keras 3."""

from tfp_realnvp import bijectors, conditioners
from tfp_realnvp.bijectors import dequantize
from tfp_realnvp.flows import (
    FlowDistribution,
    load_release_weights,
    presets,
    real_nvp,
    summary,
    trainable_parameters,
)

__version__ = "0.1.0"

__all__ = [
    "FlowDistribution",
    "bijectors",
    "conditioners",
    "dequantize",
    "load_release_weights",
    "presets",
    "real_nvp",
    "summary",
    "trainable_parameters",
]
