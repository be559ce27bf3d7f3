"""Invertible maps, one in a file; mathematics only. Forward is from data to latent."""

from tfp_realnvp.bijectors.affine_coupling import AffineCoupling
from tfp_realnvp.bijectors.batch_norm import BatchNorm
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.chain import Chain
from tfp_realnvp.bijectors.dequantized_logit import DequantizedLogit, dequantize
from tfp_realnvp.bijectors.masks import Alternating, ChannelHalves, Checkerboard, Mask
from tfp_realnvp.bijectors.split import Split
from tfp_realnvp.bijectors.squeeze import Squeeze

__all__ = [
    "AffineCoupling",
    "Alternating",
    "BatchNorm",
    "Bijector",
    "Chain",
    "ChannelHalves",
    "Checkerboard",
    "DequantizedLogit",
    "Mask",
    "Split",
    "Squeeze",
    "dequantize",
]
