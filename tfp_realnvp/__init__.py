"""Exact-likelihood normalizing flows for images and vectors, on TensorFlow Probability and Keras 3."""

from typing import TYPE_CHECKING

from tfp_realnvp import (  # noqa: F401  `backend` first
    backend,
    bijectors,
    columns,
    conditioners,
    data,
    evaluation,
    inference,
    mcmc,
    novelty,
    presets,
    serving,
    training,
    transformers,
)
from tfp_realnvp.bijectors import dequantize
from tfp_realnvp.evaluation import bits_per_dim, evaluate
from tfp_realnvp.flows import (
    Dequantizer,
    FlowDistribution,
    autoregressive_flow,
    bnaf,
    coupling_flow,
    dequantizer,
    ffjord,
    flowpp,
    gaussianization,
    glow,
    iaf,
    load_release_weights,
    maf,
    multiscale,
    naf,
    nice,
    nsf,
    planar,
    radial,
    real_nvp,
    residual,
    standardized,
    summary,
    sylvester,
    trainable_parameters,
    triangular_spline,
)
from tfp_realnvp.serving import load, load_dequantizer, publish, save
from tfp_realnvp.training import FlowModel
from tfp_realnvp.version import __version__

__all__ = [
    "Dequantizer",
    "FlowDistribution",
    "FlowModel",
    "__version__",
    "autoregressive_flow",
    "bijectors",
    "bits_per_dim",
    "bnaf",
    "columns",
    "conditioners",
    "coupling_flow",
    "data",
    "dequantize",
    "dequantizer",
    "evaluate",
    "evaluation",
    "ffjord",
    "flowpp",
    "gaussianization",
    "glow",
    "iaf",
    "inference",
    "load",
    "load_dequantizer",
    "load_release_weights",
    "maf",
    "mcmc",
    "multiscale",
    "naf",
    "nice",
    "novelty",
    "nsf",
    "planar",
    "presets",
    "publish",
    "radial",
    "real_nvp",
    "residual",
    "save",
    "serving",
    "standardized",
    "summary",
    "sylvester",
    "trainable_parameters",
    "training",
    "transformers",
    "triangular_spline",
]


if TYPE_CHECKING:  # A type checker takes any name for one of a module with a `__getattr__`.
    from tfp_realnvp.estimator import FlowEstimator as FlowEstimator
else:

    def __getattr__(name: str) -> object:
        if name == "FlowEstimator":  # Imports scikit-learn.
            from tfp_realnvp.estimator import FlowEstimator

            return FlowEstimator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
