"""Exports models for machines with TensorFlow alone, and loads them again."""

from tfp_realnvp.serving.checks import WEIGHTS_DTYPES
from tfp_realnvp.serving.description import ExportError, calibration_of, describe
from tfp_realnvp.serving.export import publish, save
from tfp_realnvp.serving.litert import save_litert
from tfp_realnvp.serving.load import load, load_dequantizer, version_path
from tfp_realnvp.serving.released import released
from tfp_realnvp.serving.scorer import Fault, Scorer, Scores
from tfp_realnvp.serving.settings import INVALID_ROWS, Settings
from tfp_realnvp.serving.versions import versions

__all__ = [
    "INVALID_ROWS",
    "WEIGHTS_DTYPES",
    "ExportError",
    "Fault",
    "Scorer",
    "Scores",
    "Settings",
    "calibration_of",
    "describe",
    "load",
    "load_dequantizer",
    "publish",
    "released",
    "save",
    "save_litert",
    "version_path",
    "versions",
]
