"""Which entries of an event a coupling keeps and which it changes.

`combine` leaves the kept entries bit for bit as they were. A height or width is never fixed, so that a flow trained on
one size runs on another.
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
        """The mask in two words."""

    @abc.abstractmethod
    def kept(self, x: tf.Tensor) -> tf.Tensor:
        """The part of `x` that a conditioner may read."""

    @abc.abstractmethod
    def kept_size(self, size: int) -> int:
        """The last axis of `kept(x)`, when that of `x` is `size`."""

    def changed(self, x: tf.Tensor) -> tf.Tensor:
        """A tensor that holds all changed entries of `x`."""
        return x

    def changed_size(self, size: int) -> int:
        """The last axis of `changed(x)`, when that of `x` is `size`."""
        return size

    def combine(self, x: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        """`x` with its changed entries replaced by those of `changed`."""
        return changed

    def weights(self, changed: tf.Tensor) -> tf.Tensor:
        """1 where an entry of `changed(x)` is a changed one, else 0, `[1, ..., 1]`: the same for all channels."""
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
    """Keeps the pixels where `(row + column + parity) mod 2` is 1, of images `[height, width, channels]`.

    `kept` is the image with zeros at the changed pixels and the mask as one more channel, which distinguishes a hidden
    pixel from a black one; `changed` is the whole image.
    """

    event_ndims: ClassVar[int] = 3

    def __str__(self) -> str:
        return f"checkerboard {self.parity}"

    def _keeps(self, x: tf.Tensor) -> tf.Tensor:
        """Where `x` is kept, `[1, height, width, 1]`."""
        # A single constant where the size is known: a step has a dozen masks a coupling.
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
        # A select, not a product: a kept pixel may hold anything, NaN included.
        return super().sum(tf.where(self._keeps(changed), tf.zeros([], changed.dtype), changed))


@dataclasses.dataclass(frozen=True)
class Halves(Mask):
    """Keeps one half of a vector, the `"first"` or the `"second"`, and changes the other.

    Of an odd number of entries the first half is the smaller.
    """

    keep: str
    event_ndims: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.keep not in ("first", "second"):
            raise ValueError(f'expected keep to be "first" or "second", got {self.keep!r}')

    def __str__(self) -> str:
        return f"{self.keep} half kept"

    def _halves(self, x: tf.Tensor) -> list[tf.Tensor]:
        # The gradient of a slice takes four times the time of a split's.
        middle = x.shape[-1] // 2
        return tf.split(x, [middle, x.shape[-1] - middle], -1)

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        return self._halves(x)[0 if self.keep == "first" else 1]

    def changed(self, x: tf.Tensor) -> tf.Tensor:
        return self._halves(x)[1 if self.keep == "first" else 0]

    def combine(self, x: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        parts = [self.kept(x), changed] if self.keep == "first" else [changed, self.kept(x)]
        combined = tf.concat(parts, -1)
        combined.set_shape(x.shape)  # A spline loses the number of its entries.
        return combined

    def changed_size(self, size: int) -> int:
        return size - self.kept_size(size)

    def kept_size(self, size: int) -> int:
        return size // 2 if self.keep == "first" else size - size // 2


@dataclasses.dataclass(frozen=True)
class ChannelHalves(Halves):
    """Keeps one half of the channels of an image, as `Halves` does of a vector."""

    event_ndims: ClassVar[int] = 3

    def __str__(self) -> str:
        return f"channels, {self.keep} half kept"


@dataclasses.dataclass(frozen=True)
class Alternating(_OfParity):
    """Keeps the entries `parity, parity + 2, ...` of a vector and changes those in between.

    Where all couplings of a flow alternate, `Halves` of a permuted vector are faster: slices with a stride take longer.
    """

    event_ndims: ClassVar[int] = 1

    def __str__(self) -> str:
        return f"alternating {self.parity}"

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        return x[..., self.parity :: 2]

    def changed(self, x: tf.Tensor) -> tf.Tensor:
        return x[..., 1 - self.parity :: 2]

    def combine(self, x: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
        # Stacked in pairs: a gather's gradient takes twice the time.
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
    """Changes every entry and keeps none."""

    event_ndims: ClassVar[int] = 1

    def __str__(self) -> str:
        return "everything"

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        return x[..., :0]

    def kept_size(self, size: int) -> int:
        return 0


@dataclasses.dataclass(frozen=True)
class Preceding(Everything):
    """Changes every entry of a vector, each with parameters computed from the entries before it.

    A conditioner reads the whole vector, and must respect the order itself, as `MaskedMLP` does.
    """

    def __str__(self) -> str:
        return "preceding entries"

    def kept(self, x: tf.Tensor) -> tf.Tensor:
        return x

    def kept_size(self, size: int) -> int:
        return size
