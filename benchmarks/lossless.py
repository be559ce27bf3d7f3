"""Lossless files of a test set by a flow, beside PNG, WebP and JPEG XL.

    pip install pillow-jxl-plugin
    python -m benchmarks.lossless --saved_model=served/cifar10 --data_dir=DIR
    python -m benchmarks.lossless --saved_model=served/mnist --data_dir=DIR --images=1000

Packs the first images of the test set, unpacks them, and compares every pixel; a difference ends the program. The table
has bits/dim in the file: of the flow with and without its first images, whose compressed pixels are the initial bits,
beside the flow's bound with one noise sample on the same images; of other formats one file for each image, and strips
of images, as tall as the format allows. MB/s are of pixels, both ways, in one process; `pack` by default reads what it
writes, too, and takes the time of both.

`--output` adds the rows of a model to a file of tables.
"""

from __future__ import annotations

import io
import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import app, flags
from PIL import Image, features

import tfp_realnvp as nvp
from benchmarks import interleaved
from tfp_realnvp import lossless, serving

_RESULTS = pathlib.Path(__file__).parent / "results"
# Most pixels of a side, by format.
_TALLEST = {"PNG": 2**16, "WEBP": 16_383, "JXL": 2**16}
_OPTIONS = {
    "PNG": {"optimize": True},
    "WEBP": {"lossless": True, "quality": 100, "method": 6},
    "JXL": {"lossless": True, "effort": 7},
}


def define_flags() -> None:
    flags.DEFINE_string(
        "saved_model", None, "A model's folder, with its layers: an export of this version.", required=True
    )
    flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS sets; digits needs none.")
    flags.DEFINE_integer("images", None, "Number of test images; by default all.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 16, "Images coded together.", lower_bound=1)
    flags.DEFINE_string("rows", str(_RESULTS / "lossless.jsonl"), "The file of all rows.")
    flags.DEFINE_string("output", str(_RESULTS / "lossless.md"), "File to write the tables to.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    model = lossless.Model(values.saved_model)
    about = serving.describe(serving.version_path(values.saved_model))
    images = test_images(about["dataset"], values.data_dir, values.images)
    found = [of_flow(model, images, values.saved_model, values.batch_size), *of_formats(images)]
    row = {"data": about["dataset"], "images": len(images), "model": model.name, "found": found}
    file = pathlib.Path(values.rows)
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    rows = [*(other for other in rows if other["data"] != row["data"]), row]
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    interleaved.publish(tables(rows), values.output)


def test_images(dataset: str, data_dir: str | None, count: int | None) -> np.ndarray:
    """The first test images, uint8."""
    given = nvp.data.load(dataset, data_dir)
    parts, left = [], count or given.num_examples("test")
    for batch in given.evaluation_batches("test", 1_000):
        parts.append(np.asarray(batch)[:left])
        left -= len(parts[-1])
        if not left:
            break
    return np.concatenate(parts)


def of_flow(model: lossless.Model, images: np.ndarray, saved_model: str, batch_size: int) -> dict[str, Any]:
    """Bits/dim and speed of a file by the flow, and the flow's own bits/dim."""
    content, packing = _timed(lossless.pack, model, images, batch_size=batch_size, verify=False)
    back, unpacking = _timed(lossless.unpack, model, content)
    if not np.array_equal(back, images):
        raise SystemExit("expected the images that were packed, got others")
    coded = lossless.Packed.from_bytes(content).coded
    after = images[coded.first :]
    score = nvp.evaluate(
        nvp.load(saved_model), (after[i : i + 100] for i in range(0, len(after), 100)), levels=model.levels
    )
    return {
        "format": "flow",
        "bits_per_dim": 8 * len(content) / images.size,
        "without_first": 8 * (4 * len(coded.words) - coded.payload) / after.size,
        "bound": score.mean,
        "first": coded.first,
        "stored": sum(size < 0 for size in coded.batches),
        "write": images.size / packing / 1e6,
        "read": images.size / unpacking / 1e6,
    }


def of_formats(images: np.ndarray) -> list[dict[str, Any]]:
    """The same of other formats, singly and as strips."""
    found: list[dict[str, Any]] = []
    for name in ("PNG", "WEBP", "JXL"):
        if not _has(name):
            print(f"{name}: no encoder is installed")
            continue
        per_strip = _TALLEST[name] // images.shape[1]
        strips = [images[i : i + per_strip].reshape(-1, *images.shape[2:]) for i in range(0, len(images), per_strip)]
        for title, pictures in ((f"{name}, each image", list(images)), (f"{name}, strips", strips)):
            files, writing = _timed(_encoded, pictures, name)
            back, reading = _timed(_decoded, files)
            for picture, pixels in zip(pictures, back, strict=True):
                if not np.array_equal(np.atleast_3d(pixels)[..., : picture.shape[-1]], picture):
                    raise SystemExit(f"{title}: expected the pixels that were written, got others")
            found.append(
                {
                    "format": title,
                    "bits_per_dim": 8 * sum(map(len, files)) / images.size,
                    "write": images.size / writing / 1e6,
                    "read": images.size / reading / 1e6,
                }
            )
    return found


def _has(name: str) -> bool:
    if name == "JXL":
        try:
            import pillow_jxl  # noqa: F401  Registers the format.
        except ImportError:
            return False
    return name != "WEBP" or features.check("webp")


def _encoded(pictures: Sequence[np.ndarray], name: str) -> list[bytes]:
    files = [io.BytesIO() for _ in pictures]
    for picture, file in zip(pictures, files, strict=True):
        Image.fromarray(picture if picture.shape[-1] == 3 else picture[..., 0]).save(file, name, **_OPTIONS[name])
    return [file.getvalue() for file in files]


def _decoded(files: Sequence[bytes]) -> list[np.ndarray]:
    # A format may give grey pictures back in colour.
    return [np.asarray(Image.open(io.BytesIO(file))) for file in files]


def _timed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    return function(*args, **kwargs), time.perf_counter() - start


def tables(rows: list[dict[str, Any]]) -> list[str]:
    """All rows as Markdown."""
    lines = ["# benchmarks.lossless", "", "Test images, equal pixel for pixel after reading the files. One process."]
    for row in rows:
        flow, *others = row["found"]
        best = min(others, key=lambda other: other["bits_per_dim"])
        lines += [
            "",
            f"## {row['data']}: {row['images']:,} images, by {row['model']}",
            "",
            f"The flow's file has {flow['bits_per_dim'] / best['bits_per_dim']:.2f} times the bits of the best other, "
            f"{best['format']}. Without the first {flow['first']} images, whose compressed pixels are the initial "
            f"bits, it has {flow['without_first']:.3f} bits/dim; the flow's bound with one noise sample on these "
            f"images is {flow['bound']:.3f}. {flow['stored']} images were stored as they are.",
            "",
        ]
        cells = [
            [one["format"], *(f"{one[name]:.3f}" for name in ("bits_per_dim", "write", "read"))] for one in row["found"]
        ]
        lines += interleaved.table(["format", "bits/dim", "MB/s, write", "MB/s, read"], cells)
    return lines


if __name__ == "__main__":
    define_flags()
    app.run(main)
