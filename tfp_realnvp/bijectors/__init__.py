"""Invertible maps, one in a file; mathematics only. Forward is from data to latent."""

from tfp_realnvp.bijectors.act_norm import ActNorm
from tfp_realnvp.bijectors.autoregressive import Autoregressive
from tfp_realnvp.bijectors.batch_norm import BatchNorm
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.block_autoregressive import BlockAutoregressive
from tfp_realnvp.bijectors.chain import Chain
from tfp_realnvp.bijectors.continuous import Continuous
from tfp_realnvp.bijectors.coupling import Coupling
from tfp_realnvp.bijectors.dequantized_logit import DequantizedLogit, dequantize
from tfp_realnvp.bijectors.elementwise import Elementwise
from tfp_realnvp.bijectors.invertible_linear import InvertibleLinear
from tfp_realnvp.bijectors.masks import Alternating, ChannelHalves, Checkerboard, Halves, Mask, Preceding
from tfp_realnvp.bijectors.planar import Planar
from tfp_realnvp.bijectors.precision import half_precision_inference
from tfp_realnvp.bijectors.radial import Radial
from tfp_realnvp.bijectors.residual import Residual
from tfp_realnvp.bijectors.split import Split
from tfp_realnvp.bijectors.squeeze import Squeeze
from tfp_realnvp.bijectors.standardize import Standardize
from tfp_realnvp.bijectors.sylvester import Sylvester

__all__ = [
    "ActNorm",
    "Alternating",
    "Autoregressive",
    "BatchNorm",
    "Bijector",
    "BlockAutoregressive",
    "Chain",
    "ChannelHalves",
    "Checkerboard",
    "Continuous",
    "Coupling",
    "DequantizedLogit",
    "Elementwise",
    "Halves",
    "InvertibleLinear",
    "Mask",
    "Planar",
    "Preceding",
    "Radial",
    "Residual",
    "Split",
    "Squeeze",
    "Standardize",
    "Sylvester",
    "dequantize",
    "half_precision_inference",
]
