"""Images as bits of a stack, by a flow's density: local bits-back coding."""

import contextlib
import dataclasses
import zlib
from collections.abc import Callable

import numpy as np

from tfp_realnvp.flows import FlowDistribution
from tfp_realnvp.lossless.lattice import BITS, NotIncreasing
from tfp_realnvp.lossless.layers import IntegerFlow, pixel_bits
from tfp_realnvp.lossless.stack import REACH, OutOfBits, Stack

# Called with the number of images that are done.
Progress = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Coded:
    """Images as bits.

    Attributes:
      words: the stack, uint32 `[n]`.
      first: number of images whose compressed pixels are the initial bits.
      payload: number of bytes of those.
      batches: for each batch after them, its number of images; negative where the pixels are stored as they are.
    """

    words: np.ndarray
    first: int
    payload: int
    batches: tuple[int, ...]


class _NotCodable(Exception):
    """An image whose latents are too far from 0, or that does not come back."""


class Coder:
    """Pushes images onto a stack of bits, and pops them.

    Args:
      distribution: a flow over images in float64, with a standard normal base and no context.
      levels: number of levels of a pixel.
    """

    def __init__(self, distribution: FlowDistribution, levels: int):
        self._flow = IntegerFlow(distribution.flow)
        self.bits = pixel_bits(levels)
        self.event_shape = tuple(distribution.event_shape.as_list())

    def push(self, images: np.ndarray, stack: Stack) -> None:
        noise_bits = BITS - self.bits
        noise = stack.pop_bits(images.size, noise_bits).reshape(images.shape)
        numbers = self._flow.to_latents((images.astype(np.int64) << noise_bits) + noise, stack)
        if np.max(np.abs(numbers)) >= REACH * 2**BITS:
            raise _NotCodable
        stack.push_normal(numbers.reshape(-1), BITS)

    def pop(self, count: int, stack: Stack) -> np.ndarray:
        noise_bits, shape = BITS - self.bits, (count, *self.event_shape)
        latents = stack.pop_normal(int(np.prod(shape)), BITS).reshape(shape)
        numbers = self._flow.to_data(latents, stack)
        stack.push_bits((numbers & (2**noise_bits - 1)).reshape(-1), noise_bits)
        return (numbers >> noise_bits).astype(np.uint8)


def encode(
    coder: Coder, images: np.ndarray, *, batch_size: int = 16, verify: bool = True, progress: Progress | None = None
) -> Coded:
    """Codes images into about `-log2 p(image)` bits each, by the bound with one noise sample.

    For each batch: noise is popped from the stack, so that its bits are not lost; each layer maps integers to integers,
    where a segment that is stretched pops bits and one that shrinks pushes bits; latents are pushed with the base's
    probabilities. The first pops need bits: those are the compressed pixels of the first images.

    Args:
      coder: of the flow.
      images: uint8 `[n, *event_shape]`.
      batch_size: images that are coded together; more need more initial bits.
      verify: whether each batch is decoded, too; one that would not come back is stored as pixels.
      progress: called with the number of finished images.

    Raises:
      TypeError: for a flow with layers that cannot be coded.

    Ho, Lohn, Abbeel. Compression with flows via local bits-back coding. NeurIPS 2019. arXiv 1905.08500.
    """
    first = min(1, len(images))
    while True:
        payload = _compressed(images[:first])
        stack = Stack(np.frombuffer(payload + bytes(-len(payload) % 4), np.uint32), is_payload=True)
        rest = images[first:]
        try:
            if len(rest):
                coder.push(rest[:1], stack.copy())
        except OutOfBits:
            first = min(2 * first, len(images))
            continue
        except (NotIncreasing, _NotCodable):
            pass
        break
    batches, size = [], 1
    while len(rest):
        size = min(size, len(rest))
        try:
            stack, kind = _pushed(coder, rest[:size], stack, verify), 1
        except (OutOfBits, NotIncreasing, _NotCodable):
            if size > 1:
                size //= 2
                continue
            stack.push_bits(rest[:1].astype(np.int64).reshape(-1), coder.bits)
            kind = -1
        batches.append(kind * size)
        rest = rest[size:]
        if progress is not None:
            progress(len(images) - len(rest))
        size = min(2 * size, batch_size)
    return Coded(stack.words(), first, len(payload), tuple(batches))


def _pushed(coder: Coder, images: np.ndarray, stack: Stack, verify: bool) -> Stack:
    """A copy of the stack with the images on it."""
    pushed = stack.copy()
    coder.push(images, pushed)
    if verify:
        popped = pushed.copy()
        # Both: other noise with the same pixels would leave other bits for the images before.
        if not np.array_equal(coder.pop(len(images), popped), images) or popped != stack:
            raise _NotCodable
    return pushed


def decode(coder: Coder, coded: Coded, *, progress: Progress | None = None) -> np.ndarray:
    """Undoes `encode`: the images, uint8 `[n, *event_shape]`."""
    stack, parts = Stack(coded.words, is_payload=False), []
    for size in reversed(coded.batches):
        if size < 0:
            shape = (-size, *coder.event_shape)
            parts.append(stack.pop_bits(int(np.prod(shape)), coder.bits).reshape(shape).astype(np.uint8))
        else:
            parts.append(coder.pop(size, stack))
        if progress is not None:
            progress(sum(map(len, parts)))
    payload = stack.payload().tobytes()[: coded.payload]
    parts.append(_decompressed(payload, (coded.first, *coder.event_shape)))
    return np.concatenate(parts[::-1])


def probe(coder: Coder, images: np.ndarray) -> bytes:
    """The bits after a batch, coded with known initial bits: another machine gets the same if it computes the same."""
    words = np.random.default_rng(1).integers(0, 2**32, 4 * images.size, dtype=np.uint32)
    stack = Stack(words, is_payload=True)
    with contextlib.suppress(NotIncreasing, _NotCodable):
        coder.push(images, stack)
    return stack.words().tobytes()


def _compressed(images: np.ndarray) -> bytes:
    return zlib.compress(images.tobytes(), 9)


def _decompressed(payload: bytes, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(zlib.decompress(payload), np.uint8).reshape(shape)
