"""The file of compressed images: a header, the bits, and a checksum."""

import dataclasses
import hashlib
import json
import struct
import zlib
from typing import Any

import numpy as np

from tfp_realnvp.lossless.codec import Coded

_MAGIC = b"NVPPACK1"
_DIGEST = hashlib.sha256().digest_size


class PackError(ValueError):
    """A file that is damaged, or that this model or machine cannot decode."""


@dataclasses.dataclass(frozen=True)
class Packed:
    """The contents of a file.

    Attributes:
      coded: the images as bits.
      names: the name of each image, or None.
      pixels: a hash of all pixels.
      model: the model's name and `digest`.
      software: versions of the packages that compute.
      probe: a hash of what the machine computed for a known batch.
      batch_size: images in that batch.
    """

    coded: Coded
    names: tuple[str, ...] | None
    pixels: str
    model: tuple[str, str]
    software: dict[str, str]
    probe: str
    batch_size: int

    def to_bytes(self) -> bytes:
        about: dict[str, Any] = dataclasses.asdict(self)
        words = about["coded"].pop("words")
        about["coded"]["batches"] = _run_lengths(about["coded"]["batches"])
        header = zlib.compress(json.dumps(about).encode(), 9)
        body = _MAGIC + struct.pack("<I", len(header)) + header + words.astype("<u4").tobytes()
        return body + hashlib.sha256(body).digest()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Packed":
        """Reads a file.

        Raises:
          PackError: for another kind of file, or one that was cut or changed.
        """
        if not content.startswith(_MAGIC):
            raise PackError(f"expected a file that begins with {_MAGIC.decode()}, got {content[: len(_MAGIC)]!r}")
        body, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            raise PackError(f"expected a whole file, got {len(content):,} bytes with another checksum: copy it again")
        (size,), start = struct.unpack_from("<I", body, len(_MAGIC)), len(_MAGIC) + 4
        about = json.loads(zlib.decompress(body[start : start + size]))
        coded = about.pop("coded")
        words = np.frombuffer(body[start + size :], "<u4").astype(np.uint32)
        batches = tuple(size for count, size in coded["batches"] for _ in range(count))
        names = None if about["names"] is None else tuple(about["names"])
        given = about | {"coded": Coded(words, coded["first"], coded["payload"], batches), "names": names}
        return cls(**given | {"model": tuple(about["model"])})


def _run_lengths(values: tuple[int, ...]) -> list[tuple[int, int]]:
    """Pairs of a count and a value."""
    found: list[tuple[int, int]] = []
    for value in values:
        count = found.pop()[0] if found and found[-1][1] == value else 0
        found.append((count + 1, value))
    return found
