"""What a model is worth: bits/dim and baselines, how well it inverts, pictures of its samples."""

from tfp_realnvp.evaluation.baselines import gaussian_bits_per_dim, histogram_bits_per_dim
from tfp_realnvp.evaluation.bits_per_dim import Evaluation, bits_per_dim
from tfp_realnvp.evaluation.evaluate import evaluate
from tfp_realnvp.evaluation.images import image_grid, save_image_grid
from tfp_realnvp.evaluation.inversion import InversionError, inversion_error
from tfp_realnvp.evaluation.log_likelihood import LogLikelihood, gaussian_log_likelihood, log_likelihood
from tfp_realnvp.evaluation.sample_grid import SampleGrid

__all__ = [
    "Evaluation",
    "InversionError",
    "LogLikelihood",
    "SampleGrid",
    "bits_per_dim",
    "evaluate",
    "gaussian_bits_per_dim",
    "gaussian_log_likelihood",
    "histogram_bits_per_dim",
    "image_grid",
    "inversion_error",
    "log_likelihood",
    "save_image_grid",
]
