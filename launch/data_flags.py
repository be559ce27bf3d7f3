"""Flags that decide how data are read, and what a model keeps of that."""

from __future__ import annotations

from absl import flags

# What a config and an export keep, by the names of fields of `data.Events`.
KEPT = ("class_names", "image_size", "flatten_alpha", "shuffle_buffer")

IMAGE_SIZE = flags.DEFINE_integer(
    "image_size",
    None,
    "Side in pixels of square images to make: the shorter side is resized, antialiased, and the centre cropped. By "
    "default images stay as they are, or are made as a trained model's were.",
    lower_bound=1,
)
FLATTEN_ALPHA = flags.DEFINE_string(
    "flatten_alpha",
    None,
    "Colour that images of a folder with transparent pixels are put on, such as white or #808080. By default they are "
    "refused.",
)
SHUFFLE_BUFFER = flags.DEFINE_integer(
    "shuffle_buffer",
    None,
    "Read a csv:, parquet: or arrow: table in each pass, so that it may be larger than memory, and draw training "
    "batches from this many rows in memory. A hash of a row's number decides its split. By default the table is in "
    "memory, or read as in a model's training.",
    lower_bound=1,
)
ALL = (IMAGE_SIZE, FLATTEN_ALPHA, SHUFFLE_BUFFER)
