"""Lossless compression of images by the density of a flow."""

from tfp_realnvp.lossless.file_format import Packed, PackError
from tfp_realnvp.lossless.model import Model
from tfp_realnvp.lossless.packing import pack, unpack

__all__ = ["Model", "PackError", "Packed", "pack", "unpack"]
