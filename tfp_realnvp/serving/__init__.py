"""A model for machines that have TensorFlow and nothing of ours."""

from tfp_realnvp.serving.export import save

__all__ = ["save"]
