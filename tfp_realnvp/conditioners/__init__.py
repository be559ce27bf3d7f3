"""Networks that compute transformers' parameters: Keras layers, independent of the bijectors."""

from tfp_realnvp.conditioners.attention_network import AttentionNetwork
from tfp_realnvp.conditioners.batch_normalization import BatchNormalization
from tfp_realnvp.conditioners.dense_network import DenseNetwork
from tfp_realnvp.conditioners.gated_network import GatedNetwork
from tfp_realnvp.conditioners.lipschitz_mlp import LipschitzMLP
from tfp_realnvp.conditioners.mlp import MLP, MaskedMLP
from tfp_realnvp.conditioners.residual_mlp import ResidualMLP
from tfp_realnvp.conditioners.residual_network import ResidualNetwork
from tfp_realnvp.conditioners.velocity_mlp import VelocityMLP
from tfp_realnvp.conditioners.weight_norm_conv import WeightNormConv2D

__all__ = [
    "MLP",
    "AttentionNetwork",
    "BatchNormalization",
    "DenseNetwork",
    "GatedNetwork",
    "LipschitzMLP",
    "MaskedMLP",
    "ResidualMLP",
    "ResidualNetwork",
    "VelocityMLP",
    "WeightNormConv2D",
]
