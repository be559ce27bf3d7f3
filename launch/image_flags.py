"""The flags that decide how images are made, and what a model keeps of that."""

from __future__ import annotations

from absl import flags

# What a config and an export keep, by the names of fields of `data.Events`.
KEPT = ("class_names", "image_size", "flatten_alpha")

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
