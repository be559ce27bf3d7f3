"""What a model is worth: its score and baselines', how well it inverts, pictures of what it has learned."""

from tfp_realnvp.evaluation.baselines import (
    NoBaselineError,
    gaussian_bits_per_dim,
    gaussian_log_likelihood,
    histogram_bits_per_dim,
)
from tfp_realnvp.evaluation.bits_per_dim import bits_per_dim
from tfp_realnvp.evaluation.coarse_latents import FILLS, keep_coarse
from tfp_realnvp.evaluation.column_baselines import column_log_likelihoods
from tfp_realnvp.evaluation.edit import change_labels
from tfp_realnvp.evaluation.evaluate import evaluate
from tfp_realnvp.evaluation.images import image_grid, save_image_grid
from tfp_realnvp.evaluation.interpolation import linear, manifold, spherical, tour
from tfp_realnvp.evaluation.inversion import InversionError, inversion_error
from tfp_realnvp.evaluation.labelled_grid import labelled_grid, save_animation, save_picture
from tfp_realnvp.evaluation.latents import draw_latents
from tfp_realnvp.evaluation.neighbours import nearest_images
from tfp_realnvp.evaluation.passes import decode, encode
from tfp_realnvp.evaluation.sample_grid import SampleGrid
from tfp_realnvp.evaluation.score import Score

__all__ = [
    "FILLS",
    "InversionError",
    "NoBaselineError",
    "SampleGrid",
    "Score",
    "bits_per_dim",
    "change_labels",
    "column_log_likelihoods",
    "column_log_likelihoods",
    "decode",
    "draw_latents",
    "encode",
    "evaluate",
    "gaussian_bits_per_dim",
    "gaussian_log_likelihood",
    "histogram_bits_per_dim",
    "image_grid",
    "inversion_error",
    "keep_coarse",
    "labelled_grid",
    "linear",
    "manifold",
    "nearest_images",
    "save_animation",
    "save_image_grid",
    "save_picture",
    "spherical",
    "tour",
]
