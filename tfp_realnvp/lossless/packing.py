"""Images to bytes and back, by a saved model."""

import collections
import hashlib
import importlib.metadata
import os
from collections.abc import Sequence

import numpy as np

from tfp_realnvp.lossless import codec
from tfp_realnvp.lossless.codec import Progress
from tfp_realnvp.lossless.file_format import Packed, PackError
from tfp_realnvp.lossless.model import Model

_SOFTWARE = ("tensorflow", "tensorflow-probability", "numpy", "constriction")


def pack(
    saved_model: str | os.PathLike[str] | Model,
    images: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    batch_size: int = 16,
    verify: bool = True,
    progress: Progress | None = None,
) -> bytes:
    """Compresses images losslessly, into about as many bits as the flow's bound on `-log2 p(image)`.

        bits = sum over images of -log2 p(image + u) + log2 q(u),    u uniform, 12 bits for 256 levels

    The bits of the noise are not lost: they are popped from those that code the images before ("bits back"), see
    `tfp_realnvp.lossless.codec.encode`. The first images, a few for each that is then coded alone, are compressed by
    `zlib`; many images of one set in one file pay.

    What a flow computes differs in the last digit between processors and versions, and a digit decides what is decoded.
    The file therefore holds a hash of the model and of what this machine computes for a known batch; `unpack` refuses
    where either differs.

    Args:
      saved_model: an export by `tfp-realnvp export` of an unconditional flow of images made of couplings, or a `Model`.
      images: uint8 `[n, height, width, channels]`, of the model's shape.
      names: a different name for each image, kept in the file.
      batch_size: number of images coded together.
      verify: whether to decode each batch, too, which takes two thirds of the time. Images that would not come back,
        because a layer overflows for example, are stored as pixels; without it, `unpack` would refuse the file.
      progress: called with the number of finished images.

    Returns:
      The contents of a file.

    Raises:
      TypeError: for images that are not uint8, names that are not strings, or a flow with layers that cannot be coded.
      ValueError: for images of another shape or with too large values, equal names, or a model that `Model` refuses.

    ```python
    from tfp_realnvp import lossless

    preset = nvp.presets.get("digits_glow").replace(steps=1, width=4)
    nvp.publish(preset.build(), "small", metadata={"model": preset.settings()})
    images = next(iter(nvp.data.load("digits").evaluation_batches("test", 5)))
    content = lossless.pack("small", images)
    lossless.unpack("small", content)  # [5, 8, 8, 1]
    ```

    Ho, Lohn, Abbeel. Compression with flows via local bits-back coding. NeurIPS 2019. arXiv 1905.08500.
    """
    model = saved_model if isinstance(saved_model, Model) else Model(saved_model)
    images, shape = np.asarray(images), tuple(model.distribution.event_shape.as_list())
    if images.dtype != np.uint8:
        raise TypeError(f"expected uint8 images, got {images.dtype}")
    if images.ndim != 4 or images.shape[1:] != shape:
        raise ValueError(f"expected images of shape [n, {', '.join(map(str, shape))}], got {list(images.shape)}")
    if images.size and int(np.max(images)) >= model.levels:
        raise ValueError(f"expected pixels in 0 ... {model.levels - 1}, got {np.max(images)}")
    if names is not None and len(names) != len(images):
        raise ValueError(f"expected a name for each of {len(images)} images, got {len(names)}")
    if names is not None and (others := [name for name in names if not isinstance(name, str)]):
        raise TypeError(f"expected names as strings, got {others[0]!r}")
    if names is not None and len(set(names)) < len(names):
        ((name, count),) = collections.Counter(names).most_common(1)
        raise ValueError(f"expected different names, got {name!r} {count} times")
    if batch_size < 1:
        raise ValueError(f"expected a batch_size of 1 or more, got {batch_size}")
    coded = codec.encode(model.coder, images, batch_size=batch_size, verify=verify, progress=progress)
    return Packed(
        coded=coded,
        names=None if names is None else tuple(names),
        pixels=_hash(images),
        model=(model.name, model.digest),
        software=_software(),
        probe=_probe(model, batch_size),
        batch_size=batch_size,
    ).to_bytes()


def unpack(
    saved_model: str | os.PathLike[str] | Model, content: bytes, *, progress: Progress | None = None
) -> np.ndarray:
    """The images of a file by `pack`, uint8 `[n, height, width, channels]`.

    Raises:
      PackError: for a damaged file, another model, or a machine or versions that compute something else.
    """
    packed = Packed.from_bytes(content)
    model = saved_model if isinstance(saved_model, Model) else Model(saved_model)
    if model.digest != packed.model[1]:
        raise PackError(
            f"expected the model {packed.model[0]} ({packed.model[1][:12]}), got {model.name} ({model.digest[:12]})"
        )
    if _probe(model, packed.batch_size) != packed.probe:
        theirs, ours = packed.software, _software()
        differ = [f"{name} {theirs.get(name)}" for name in ours if theirs.get(name) != ours[name]]
        raise PackError(
            "expected a machine that computes the same numbers as the one that packed the file, got another result for "
            f"a known batch: use {', '.join(differ) or 'a processor with the same instructions'}"
        )
    images = codec.decode(model.coder, packed.coded, progress=progress)
    if _hash(images) != packed.pixels:
        raise PackError("expected the pixels that were packed, got others: this machine computes other numbers")
    return images


def _probe(model: Model, batch_size: int) -> str:
    """A hash of the bits of a known batch."""
    shape = (batch_size, *model.distribution.event_shape.as_list())
    images = np.random.default_rng(0).integers(0, model.levels, shape).astype(np.uint8)
    return hashlib.sha256(codec.probe(model.coder, images)).hexdigest()


def _hash(images: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def _software() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _SOFTWARE}
