"""Exact-likelihood normalizing flows for images and vectors, on TensorFlow Probability and Keras 3."""

from tfp_realnvp import backend, bijectors, conditioners, data, evaluation, serving, training  # noqa: F401  `backend` first
from tfp_realnvp.bijectors import dequantize
from tfp_realnvp.evaluation import bits_per_dim, evaluate
from tfp_realnvp.flows import (
    Dequantizer,
    FlowDistribution,
    dequantizer,
    flowpp,
    glow,
    iaf,
    load_release_weights,
    maf,
    naf,
    nice,
    planar,
    presets,
    radial,
    real_nvp,
    spline_coupling,
    standardized,
    summary,
    trainable_parameters,
)
from tfp_realnvp.serving import load, publish, save
from tfp_realnvp.training import FlowModel

__version__ = "0.1.0"

__all__ = [
    "Dequantizer",
    "FlowDistribution",
    "FlowModel",
    "bijectors",
    "bits_per_dim",
    "conditioners",
    "data",
    "dequantize",
    "dequantizer",
    "evaluate",
    "evaluation",
    "flowpp",
    "glow",
    "iaf",
    "load",
    "load_release_weights",
    "maf",
    "naf",
    "nice",
    "planar",
    "presets",
    "publish",
    "radial",
    "real_nvp",
    "save",
    "serving",
    "spline_coupling",
    "standardized",
    "summary",
    "trainable_parameters",
    "training",
]
