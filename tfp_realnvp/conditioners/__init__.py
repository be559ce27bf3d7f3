"""Networks that compute the parameters of transformers: Keras layers, independent of bijectors."""

from tfp_realnvp.conditioners.batch_normalization import BatchNormalization
from tfp_realnvp.conditioners.mlp import MLP, MaskedMLP
from tfp_realnvp.conditioners.residual_network import ResidualNetwork
from tfp_realnvp.conditioners.weight_norm_conv import WeightNormConv2D

__all__ = ["BatchNormalization", "MLP", "MaskedMLP", "ResidualNetwork", "WeightNormConv2D"]
