"""Masks: which entries of an event a coupling keeps and which it changes.

`combine` returns the kept entries bit for bit. Heights and widths are never fixed, so that a flow trained on one size
runs on another.
"""

import abc
import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf


class Mask(abc.ABC):
    """Divides an event into kept and changed entries. Tensors are `[batch, *event]`."""

    event_ndims: ClassVar[int]

    @abc.abstractmethod
    def __str__(self) -> str:
        """A short description of the mask."""

    @abc.abstractmethod
    def kept(self, x: tf.Tensor) -> tf.Tensor:
        """The part of `x` that a conditioner may read."""

    @abc.abstractmethod
    def kept_size(self, size: int) -> int:
        """The size of the last axis of `kept(x)` if the last axis of `x` has `size` entries."""

    def changed(self, x: tf.Tensor) -> tf.Tensor:
        """A tensor that holds all changed entries of `x`."""
        return x

    def changed_size(self, size: int) -> int:
        """The size of the last axis of `changed(x)` if the last axis of `x` has `size` entries."""
        return size

    def combine(self, x: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        """`x` with its changed entries replaced by the entries of `changed`."""
        return changed

    def weights(self, changed: tf.Tensor) -> tf.Tensor:
        """1 at the changed entries of `changed(x)`, else 0; shape `[1, ..., 1]`, the same for all channels."""
        return tf.ones_like(changed[:1, ..., :1])

    def sum(self, changed: tf.Tensor) -> tf.Tensor:
        """The sum of the changed entries of each event, `[batch]`."""
        return tf.reduce_sum(changed, axis=list(range(1, changed.shape.rank)))


@dataclasses.dataclass(frozen=True)
class _OfParity(Mask):
    parity: int

    def __post_init__(self) -> None:
        if self.parity not in (0, 1):
            raise ValueError(f"expected a parity of 0 or 1, got {self.parity}")


@dataclasses.dataclass(frozen=True)
class Checkerboard(_OfParity):
    """Keeps the pixels of images `[height, width, channels]` where `(row + column + parity) mod 2` is 1.

    `kept` is the image with zeros at the changed pixels and the mask as an additional channel, which distinguishes
    hidden pixels from black ones; `changed` is the whole image.
    """

    event_ndims: ClassVar[int] = 3

    def __str__(self) -> str:
        return f"checkerboard {self.parity}"

    def _keeps(self, x: tf.Tensor) -> tf.Tensor:
        """True where `x` is kept, `[1, height, width, 1]`."""
        # One constant if the size is static: a training step builds a dozen masks per coupling.
        is_known = x.shape[1:3].is_fully_defined()
        numbers, sizes = (np.arange, x.shape) if is_known else (tf.range, tf.shape(x))
        odd = (numbers(sizes[1])[:, np.newaxis] + numbers(sizes[2]) + self.parity) % 2 == 1
        return tf.convert_to_tensor(odd[np.newaxis, :, :, np.newaxis])

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        keeps = self._keeps(x)
        mask = tf.cast(keeps, x.dtype) + tf.zeros_like(x[..., :1])
        return tf.concat([tf.where(keeps, x, tf.zeros([], x.dtype)), mask], -1)

    def kept_size(self, size: int) -> int:
        return size + 1

    def combine(self, x: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        return tf.where(self._keeps(x), x, changed)

    def weights(self, changed: tf.Tensor) -> tf.Tensor:
        return tf.cast(~self._keeps(changed), changed.dtype)

    def sum(self, changed: tf.Tensor) -> tf.Tensor:
        # A select instead of a product, since a kept pixel may be NaN or infinite.
        return super().sum(tf.where(self._keeps(changed), tf.zeros([], changed.dtype), changed))


@dataclasses.dataclass(frozen=True)
class Halves(Mask):
    """Keeps one half of a vector, the `"first"` or the `"second"`, and changes the other half.

    With an odd number of entries the first half is the smaller one.
    """

    keep: str
    event_ndims: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.keep not in ("first", "second"):
            raise ValueError(f'expected keep to be "first" or "second", got {self.keep!r}')

    def __str__(self) -> str:
        return f"{self.keep} half kept"

    def _halves(self, x: tf.Tensor) -> list[tf.Tensor]:
        # The gradient of a slice takes four times as long as the gradient of a split.
        middle = x.shape[-1] // 2
        return tf.split(x, [middle, x.shape[-1] - middle], -1)

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        return self._halves(x)[0 if self.keep == "first" else 1]

    def changed(self, x: tf.Tensor) -> tf.Tensor:
        return self._halves(x)[1 if self.keep == "first" else 0]

    def combine(self, x: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        parts = [self.kept(x), changed] if self.keep == "first" else [changed, self.kept(x)]
        combined = tf.concat(parts, -1)
        combined.set_shape(x.shape)  # A spline loses the static number of entries.
        return combined

    def changed_size(self, size: int) -> int:
        return size - self.kept_size(size)

    def kept_size(self, size: int) -> int:
        return size // 2 if self.keep == "first" else size - size // 2


@dataclasses.dataclass(frozen=True)
class ChannelHalves(Halves):
    """Keeps one half of the channels of an image, as `Halves` keeps half of a vector."""

    event_ndims: ClassVar[int] = 3

    def __str__(self) -> str:
        return f"channels, {self.keep} half kept"


@dataclasses.dataclass(frozen=True)
class Alternating(_OfParity):
    """Keeps the entries `parity, parity + 2, ...` of a vector and changes the entries in between.

    If all couplings of a flow alternate, `Halves` of a permuted vector are faster, since strided slices take longer.
    """

    event_ndims: ClassVar[int] = 1

    def __str__(self) -> str:
        return f"alternating {self.parity}"

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        return x[..., self.parity :: 2]

    def changed(self, x: tf.Tensor) -> tf.Tensor:
        return x[..., 1 - self.parity :: 2]

    def combine(self, x: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        # Entries are stacked in pairs, since the gradient of a gather takes twice as long.
        size = x.shape[-1]
        even, odd = (self.kept(x), changed) if self.parity == 0 else (changed, self.kept(x))
        odd = tf.pad(odd, [[0, 0], [0, 1]]) if size % 2 else odd
        return tf.reshape(tf.stack([even, odd], -1), [-1, size + size % 2])[:, :size]

    def changed_size(self, size: int) -> int:
        return size - self.kept_size(size)

    def kept_size(self, size: int) -> int:
        return (size + 1 - self.parity) // 2


@dataclasses.dataclass(frozen=True)
class Everything(Mask):
    """Changes every entry."""

    event_ndims: ClassVar[int] = 1

    def __str__(self) -> str:
        return "everything"

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        return x[..., :0]

    def kept_size(self, size: int) -> int:
        return 0


@dataclasses.dataclass(frozen=True)
class Preceding(Everything):
    """Changes every entry of a vector, with parameters computed from the preceding entries.

    The conditioner reads the whole vector and must itself respect the order, as `MaskedMLP` does.
    """

    def __str__(self) -> str:
        return "preceding entries"

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        return x

    def kept_size(self, size: int) -> int:
        return size
