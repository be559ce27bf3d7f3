"""Factories that return a distribution."""

from tfp_realnvp.flows.autoregressive_flow import autoregressive_flow, iaf, maf, naf
from tfp_realnvp.flows.bnaf import bnaf
from tfp_realnvp.flows.coupling_flow import coupling_flow, nice, nsf
from tfp_realnvp.flows.dequantizer import Dequantizer, dequantizer
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.ffjord import ffjord
from tfp_realnvp.flows.flowpp import flowpp
from tfp_realnvp.flows.gaussianization import gaussianization
from tfp_realnvp.flows.glow import glow
from tfp_realnvp.flows.multiscale import multiscale
from tfp_realnvp.flows.planar import planar, radial, sylvester
from tfp_realnvp.flows.real_nvp import real_nvp
from tfp_realnvp.flows.release_weights import load_release_weights
from tfp_realnvp.flows.residual import residual
from tfp_realnvp.flows.scales import scale_of_latents, split_orders
from tfp_realnvp.flows.standardized import standardized
from tfp_realnvp.flows.summary import summary, trainable_parameters
from tfp_realnvp.flows.triangular_spline import triangular_spline

__all__ = [
    "Dequantizer",
    "FlowDistribution",
    "autoregressive_flow",
    "bnaf",
    "coupling_flow",
    "dequantizer",
    "ffjord",
    "flowpp",
    "gaussianization",
    "glow",
    "iaf",
    "load_release_weights",
    "maf",
    "multiscale",
    "naf",
    "nice",
    "nsf",
    "planar",
    "radial",
    "real_nvp",
    "residual",
    "scale_of_latents",
    "split_orders",
    "standardized",
    "summary",
    "sylvester",
    "trainable_parameters",
    "triangular_spline",
]
