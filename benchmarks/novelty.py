"""What novelty scores find, and where each fails: the released models of images against images of other kinds.

    python -m benchmarks.novelty --data_dir=DIR
    python -m benchmarks.novelty --data_dir=DIR --models=mnist --images=20 --calibration=40     (a try)

The first validation images of a model's own data calibrate p-values. Its first test images are regular, those of other
kinds are novel. For each score the table has the area under the ROC curve of p-values, with ties counted half, and the
share of novel images with p <= .01. Of regular images that share are false alarms. "density" is one-sided: only images
less likely than the calibration images are novel. "groups" are of 10 images each, drawn from the regular or the novel
ones.

Everything has a fixed seed. `--output` adds the rows of a model to a file of tables.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
from absl import app, flags
from PIL import Image, ImageDraw, ImageFont
from sklearn.metrics import roc_auc_score

import tfp_realnvp as nvp
from benchmarks import interleaved
from tfp_realnvp import novelty, serving

_RESULTS = pathlib.Path(__file__).parent / "results"
_LEVEL = 0.01
_GROUP, _GROUPS = 10, 100
# Below this area, a score fails.
_FAILS = 0.8


def define_flags() -> None:
    flags.DEFINE_list("models", ["digits", "mnist", "cifar10"], "Released models.")
    flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS sets: mnist, cifar10 and tiny_imagenet.")
    flags.DEFINE_integer("images", 200, "Regular images, and novel images of each kind.", lower_bound=_GROUP)
    flags.DEFINE_integer("calibration", 500, "Calibration images, at most; digits has 200.", lower_bound=2)
    flags.DEFINE_list("codecs", ["png", "webp", "jpeg2000"], f"Codecs of {', '.join(novelty.CODECS)}.")
    flags.DEFINE_string("rows", str(_RESULTS / "novelty.jsonl"), "The file of all rows.")
    flags.DEFINE_string("output", str(_RESULTS / "novelty.md"), "File to write the tables to.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    file = pathlib.Path(values.rows)
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for model in values.models:
        row = of_model(model, values.data_dir, values.images, values.calibration, values.codecs)
        rows = [*(other for other in rows if other["model"] != model), row]
        file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    interleaved.publish(tables(rows), values.output)


def of_model(model: str, data_dir: str | None, count: int, calibration: int, codecs: list[str]) -> dict[str, Any]:
    """The areas and shares of a model."""
    version = serving.version_path(model)
    about = serving.describe(version)
    scorer = serving.Scorer.of_export(version, novelty=("typicality", "gradient"), batch_size=20)

    def scored(images: np.ndarray) -> dict[str, np.ndarray]:
        scores = scorer.score(images)
        if scores.faults:
            raise SystemExit(f"expected a score of each image, got {next(iter(scores.faults.values()))}")
        found = {"density": -scores.log_prob, **scores.novelty}
        return found | {
            f"complexity, {codec}": novelty.input_complexity(images, scores.log_prob, codec=codec) for codec in codecs
        }

    def of_set(name: str, split: str, count: int) -> np.ndarray:
        return images_of(name, split, count, data_dir)

    given = nvp.data.load(about["dataset"], None if about["dataset"] == "digits" else data_dir)
    calibration = min(calibration, given.num_examples("validation"))
    calibrating = scored(of_set(about["dataset"], "validation", calibration))
    regular = p_values(scored(of_set(about["dataset"], "test", count)), calibrating)
    kinds = novel_images(about["dataset"], about["event_shape"], about["levels"], count, of_set)
    found = {}
    for kind, images in kinds.items():
        print(f"{model}: {kind}", flush=True)
        novel = p_values(scored(images), calibrating)
        found[kind] = {name: compared(novel[name], regular[name]) for name in novel}
    return {
        "model": model,
        "images": count,
        "calibration": calibration,
        "false_alarms": {name: float(np.mean(values <= _LEVEL)) for name, values in regular.items()},
        "found": found,
    }


def p_values(statistics: Mapping[str, np.ndarray], calibrating: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The p-values of each image by each score, and of groups of images."""
    found = {
        name: novelty.p_values(values, calibrating[name], tail=novelty.TAILS.get(name, "upper"))
        for name, values in statistics.items()
    }
    random, log_prob = np.random.default_rng(0), statistics["typicality"]
    groups = np.stack([random.choice(log_prob, _GROUP, replace=False) for _ in range(_GROUPS)])
    return found | {"groups": novelty.group_p_values(groups, calibrating["typicality"])}


def compared(novel: np.ndarray, regular: np.ndarray) -> dict[str, float]:
    """The area under the ROC curve, and the share of novel events that are found."""
    is_novel = np.concatenate([np.ones(len(novel)), np.zeros(len(regular))])
    area = roc_auc_score(is_novel, -np.concatenate([novel, regular]))
    return {"area": float(area), "found": float(np.mean(novel <= _LEVEL))}


def images_of(name: str, split: str, count: int, data_dir: str | None, image_size: int | None = None) -> np.ndarray:
    """The first images of a split, uint8."""
    given = nvp.data.load(name, None if name == "digits" else data_dir, image_size=image_size)
    parts, left = [], count
    for batch in given.evaluation_batches(split, 100):
        parts.append(np.asarray(batch)[:left])
        left -= len(parts[-1])
        if not left:
            return np.concatenate(parts)
    raise SystemExit(f"expected {count} images in {split} of {name}, got {count - left}")


def novel_images(
    dataset: str, shape: list[int], levels: int, count: int, of_set: Callable[[str, str, int], np.ndarray]
) -> dict[str, np.ndarray]:
    """Images of other kinds than a set's, uint8 `[count, *shape]`, by kind."""
    random = np.random.default_rng(0)
    side, channels = shape[0], shape[-1]
    regular = of_set(dataset, "test", count)

    def fit(images: np.ndarray, inner: int) -> np.ndarray:
        """Images resized, antialiased, put in the middle of black ones, with the model's levels and channels."""
        before = (side - inner) // 2
        resized = np.zeros([len(images), side, side, images.shape[-1]])
        for image, target in zip(images, resized, strict=True):
            pixels = Image.fromarray(image if image.shape[-1] == 3 else image[..., 0])
            small = np.asarray(pixels.resize((inner, inner), Image.Resampling.BICUBIC))
            target[before : before + inner, before : before + inner] = np.reshape(small, [inner, inner, -1])
        scaled = np.round(resized * (levels - 1) / 255).astype(np.uint8)
        return np.broadcast_to(scaled, [*scaled.shape[:-1], channels]).copy()

    kinds: dict[str, np.ndarray] = {}
    if dataset == "cifar10":
        tiny = images_of("tiny_imagenet", "test", count, flags.FLAGS.data_dir, image_size=32)
        kinds["Tiny ImageNet, resized"] = tiny
        kinds["MNIST, in the middle"] = fit(of_set("mnist", "test", count), 28)
    else:
        kinds["digits of DejaVu fonts"] = fit(font_digits(count), side)
        if dataset == "mnist":
            small = (of_set("digits", "test", count).astype(int) * 255 // 16).astype(np.uint8)
            kinds["digits of UCI, resized"] = fit(small, 20)
        else:
            kinds["MNIST, resized"] = fit(of_set("mnist", "test", count)[:, 4:24, 4:24], side)
    kinds["inverted"] = levels - 1 - regular
    colours = random.integers(0, levels, [count, 1, 1, channels])
    kinds["constant"] = np.broadcast_to(colours, [count, *shape]).astype(np.uint8)
    kinds["blank"] = np.zeros([count, *shape], np.uint8)
    kinds["uniform noise"] = random.integers(0, levels, [count, *shape]).astype(np.uint8)
    return kinds


def font_digits(count: int) -> np.ndarray:
    """Digits of the fonts that come with matplotlib, white on black as MNIST's, uint8 `[count, 28, 28, 1]`."""
    folder = pathlib.Path(matplotlib.get_data_path()) / "fonts/ttf"
    fonts = [file for file in sorted(folder.glob("DejaVu*.ttf")) if "Display" not in file.name]
    random, images = np.random.default_rng(0), []
    for i in range(count):
        font = ImageFont.truetype(fonts[random.integers(len(fonts))], int(random.integers(22, 28)))
        image = Image.new("L", (28, 28))
        ImageDraw.Draw(image).text((14, 14), str(i % 10), fill=255, font=font, anchor="mm")
        images.append(np.asarray(image)[..., np.newaxis])
    return np.stack(images)


def tables(rows: list[dict[str, Any]]) -> list[str]:
    """All rows as Markdown."""
    lines = [
        "# benchmarks.novelty",
        "",
        "Area under the ROC curve, and the share found at p <= .01. Bold where the area is below "
        f"{_FAILS}: the score fails. Models of MNIST and digits are released, and of CIFAR-10; there is none of Tiny "
        "ImageNet, so that this pair has one direction. [What each score is](../../docs/novelty.md).",
    ]
    for row in rows:
        names = [*row["false_alarms"]]
        cells = [["regular: false alarms", *(f"{100 * row['false_alarms'][name]:.1f} %" for name in names)]]
        for kind, found in row["found"].items():
            cells.append([kind, *(_cell(found[name]) for name in names)])
        lines += [
            "",
            f"## {row['model']}",
            "",
            f"{row['images']:,} images of each kind, {row['calibration']:,} calibration images; {_GROUPS} groups of "
            f"{_GROUP}.",
            "",
            *interleaved.table(["images", *names], cells),
        ]
    return lines


def _cell(found: dict[str, float]) -> str:
    area = f"{found['area']:.3f}"
    return f"{f'**{area}**' if found['area'] < _FAILS else area}, {100 * found['found']:.0f} %"


if __name__ == "__main__":
    define_flags()
    app.run(main)
