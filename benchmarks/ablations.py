"""Ablations of the recipe: small models of CIFAR-10, a few seeds, one change at a time.

    python -m benchmarks.ablations --data_dir=DIR                              an hour on two cores
    python -m benchmarks.ablations --data_dir=DIR --questions=squeeze --seeds=0
    python -m benchmarks.ablations --norun                                     the table and picture of what was run

All runs see the same number of images, and a seed gives all variants the same batches. Each run is a line of a JSONL
file and is not repeated. The effect of a change is the difference of two means over seeds; its error is the standard
deviation of the differences divided by the square root of the number of seeds, which is rough for three seeds.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import keras
import matplotlib.figure
import tensorflow as tf
import tensorflow_probability as tfp
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved
from launch import machine
from tfp_realnvp import presets, training

tfd = tfp.distributions

_RESULTS = pathlib.Path(__file__).parent / "results"
_BASE = presets.cifar10_cpu.replace(width=8, blocks=1)
# Written into each row, so that rows of another base are not mistaken for rows of this one.
_FIELDS = ("dataset", "scales", "width", "blocks", "batch_size", "learning_rate", "l2", "clip_norm", "flip")


@dataclasses.dataclass(frozen=True)
class Variant:
    """A change to the base.

    Attributes:
      title: in a few words.
      settings: changed settings of the preset.
      form: form of the affine couplings.
      squeeze: the order of all squeezes, or None for the flow's own.
      weight_norm: whether kernels are normalised; they start the same either way.
    """

    title: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    form: str = "shift_first"
    squeeze: str | None = None
    weight_norm: bool = True


_SMALL = dict(batch_size=8)
QUESTIONS = {
    "running average": [
        Variant("batch 64"),
        Variant("batch 64, rho = 0.9", dict(rho=0.9)),
        Variant("batch 8", _SMALL),
        Variant("batch 8, rho = 0.9", dict(rho=0.9, **_SMALL)),
    ],
    "squeeze": [
        Variant("as released"),
        Variant("channel-major throughout", squeeze="channel_major"),
        Variant("position-major throughout", squeeze="position_major"),
        Variant("diagonal throughout", squeeze="diagonal"),
    ],
    "affine form": [Variant("(x + t) exp(s)"), Variant("x exp(s) + t", form="scale_first")],
    # A kernel that is not normalised starts about .4 as long as a direction, so that the same step of Adam turns it as
    # far as 2.5 times the rate would turn that.
    "weight norm": [
        Variant("with"),
        Variant("without", weight_norm=False),
        Variant("with, rate 0.0025", dict(learning_rate=2.5e-3)),
    ],
    "precision": [Variant("float32"), Variant("bfloat16", dict(dtype_policy="mixed_bfloat16"))],
    "flips": [Variant("with"), Variant("without", dict(flip=False))],
}


def define_flags() -> None:
    flags.DEFINE_string("data_dir", "../shared/data/tfds", "Folder of prepared TFDS sets.")
    flags.DEFINE_list("questions", list(QUESTIONS), f"Some of: {', '.join(QUESTIONS)}.")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "Of weights, order and noise.")
    flags.DEFINE_integer("images", 16_000, "Images that each run sees.", lower_bound=64)
    flags.DEFINE_integer("test", 2_000, "Images to evaluate on.", lower_bound=2)
    flags.DEFINE_bool("run", True, "Whether to run what is missing.")
    flags.DEFINE_string("output", str(_RESULTS / "ablations.md"), "The table; rows and picture lie beside it.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    if unknown := sorted(set(values.questions) - set(QUESTIONS)):
        raise app.UsageError(f"expected --questions to be some of {', '.join(QUESTIONS)}, got {', '.join(unknown)}")
    output = pathlib.Path(values.output)
    file = output.with_suffix(".jsonl")
    if values.run:
        images = nvp.data.load(_BASE.dataset, values.data_dir)
        run(jobs(values.questions, [int(seed) for seed in values.seeds], values.images, values.test), file, images)
    # Of other numbers of images there may be lines, too.
    of_these = dict(base=_base(), images=values.images, test=values.test)
    rows = [row for row in read(file) if row.items() >= of_these.items()]
    draw(rows, output.with_suffix(".png"))
    base = _base()
    about = (
        f"Real NVP on CIFAR-10, width {base['width']}, {base['blocks']} residual block, {values.images:,} images seen, "
        f"Adam at {base['learning_rate']:g}, constant; bits/dim of {values.test:,} test images, mean over seeds and "
        "the deviation between them; the difference to the first of each, with its error. A difference is named where "
        "by chance one comparison in twenty would show it: among so many, the smallest may be due to chance. The "
        "models are small and trained briefly; the differences may not carry over to large models. "
        f"{', '.join({row['on'] for row in rows})}."
    )
    lines = interleaved.heading("benchmarks.ablations", about, machines={row["machine"] for row in rows})
    interleaved.publish([*lines, *table(rows), f"![Bits/dim of each variant]({output.stem}.png)"], values.output)


def jobs(questions: Sequence[str], seeds: Sequence[int], images: int, test: int) -> list[dict[str, Any]]:
    """What is to be run; equal variants of two questions are one run. Each variant once before any a second time."""
    found = {}
    for seed in seeds:
        for question in questions:
            for variant in QUESTIONS[question]:
                job = job_of(variant, seed, images, test)
                found[json.dumps(job)] = job
    return list(found.values())


def job_of(variant: Variant, seed: int, images: int, test: int) -> dict[str, Any]:
    """A variant as a line of the file begins with it."""
    return {**_settings(variant), "base": _base(), "seed": seed, "images": images, "test": test}


def _base() -> dict[str, Any]:
    settings = _BASE.settings()
    return {name: settings[name] for name in _FIELDS}


def _settings(variant: Variant) -> dict[str, Any]:
    """What is not the title."""
    return {key: value for key, value in dataclasses.asdict(variant).items() if key != "title"}


def read(file: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def run(jobs: Sequence[dict[str, Any]], file: pathlib.Path, images: nvp.data.Events) -> None:
    """Runs the jobs that have no line yet; each adds its own when done."""
    rows = read(file)
    missing = [job for job in jobs if not any(row.items() >= job.items() for row in rows)]
    for i, job in enumerate(missing):
        started = time.monotonic()
        row = job | result_of(job, images)
        row |= dict(seconds=round(time.monotonic() - started, 1), machine=machine.processor())
        row["on"] = f"TensorFlow {tf.__version__}"
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        said = f"{i + 1}/{len(missing)} {job}: {row['bits_per_dim']:.3f}, {row['seconds']} s"
        print(said, file=sys.stderr, flush=True)


def result_of(job: dict[str, Any], images: nvp.data.Events) -> dict[str, Any]:
    """Trains and evaluates one."""
    keras.utils.set_random_seed(job["seed"])
    keras.backend.clear_session()
    preset = _BASE.replace(**job["settings"])
    recipe = preset.recipe
    options: dict[str, Any] = {"form": job["form"]}
    if job["squeeze"] is not None:
        options |= dict(squeeze=job["squeeze"], coupling_squeeze=job["squeeze"])
    if not job["weight_norm"]:
        options["conditioner"] = plain
    distribution = preset.replace(event_shape=images.shape, levels=images.levels).build(**options)
    model = nvp.FlowModel(
        distribution, levels=images.levels, l2=recipe.l2, clip_norm=recipe.clip_norm, seed=job["seed"]
    )
    model.compile(training.Adam(recipe.learning_rate))
    epochs = math.ceil(job["images"] / images.num_examples("train"))
    for epoch in range(epochs):
        batches = images.training_batches(recipe.batch_size, seed=job["seed"], epoch=epoch, flip=recipe.flip)
        left = job["images"] - epoch * images.num_examples("train")
        model.fit(batches.take(left // recipe.batch_size), verbose=0)
    some = images.evaluation_batches("test", 100).take(math.ceil(job["test"] / 100))
    found = nvp.evaluate(distribution, some, levels=images.levels)
    return dict(bits_per_dim=found.mean, standard_error=found.standard_error)


class PlainResidualNetwork(nvp.conditioners.ResidualNetwork):
    """The same network whose kernels are variables themselves: they start as they were, and then move freely."""

    def build(self, input_shape):
        super().build(input_shape)
        layers = [layer for layer in self._flatten_layers() if isinstance(layer, nvp.conditioners.WeightNormConv2D)]
        for layer in layers:
            kernel = super()._weights({})[layer.name][0]
            layer.direction.assign(tf.cast(kernel, layer.direction.dtype))
            if layer.magnitude is not None:
                layer.magnitude.assign(tf.ones_like(layer.magnitude))
                layer.magnitude.trainable = False

    def _weights(self, affine):
        weights = super()._weights(affine)
        for name, (kernel, *bias) in weights.items():
            layer = next(layer for layer in self._flatten_layers() if layer.name == name)
            # The scale of the batch norm that inference folds into a kernel is a factor still.
            scale, _ = affine.get(name, (1.0, None))
            weights[name] = [tf.cast(scale * layer.direction.value, kernel.dtype), *bias]
        return weights


def plain(mask: nvp.bijectors.Mask, channels: int, outputs: int) -> PlainResidualNetwork:
    """A conditioner of the base's size without weight norm; `real_nvp` doubles the width where it halves the sides."""
    is_checkerboard = isinstance(mask, nvp.bijectors.Checkerboard)
    first, blocks = _BASE.options["width"], _BASE.options["blocks"]
    width = first * channels // (_BASE.event_shape[-1] * (1 if is_checkerboard else 2))
    network = PlainResidualNetwork(outputs=outputs, width=width, blocks=blocks, mask_channel=is_checkerboard)
    network.build((None, None, None, mask.kept_size(channels)))
    return network


def _of(variant: Variant, rows: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Bits/dim by seed."""
    wanted = _settings(variant)
    return {row["seed"]: row["bits_per_dim"] for row in rows if row.items() >= wanted.items()}


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A row for each variant, and a sentence for each question."""
    cells, sentences = [], []
    for question, variants in QUESTIONS.items():
        first = _of(variants[0], rows)
        worth = []
        for variant in variants:
            found = _of(variant, rows)
            if not found:
                continue
            mean = statistics.fmean(found.values())
            spread = f"{statistics.stdev(found.values()):.3f}" if len(found) > 1 else "-"
            cell = "-"
            if variant is not variants[0] and (shared := sorted(found.keys() & first.keys())):
                differences = [found[seed] - first[seed] for seed in shared]
                difference = statistics.fmean(differences)
                error = statistics.stdev(differences) / math.sqrt(len(shared)) if len(shared) > 1 else math.nan
                cell = f"{difference:+.3f} +- {error:.3f}"
                worth.append(_sentence(variant.title, difference, error, len(shared)))
            cells.append([question, variant.title, f"{mean:.3f}", spread, str(len(found)), cell])
        if worth:
            sentences.append(f"- {question}, beside {variants[0].title}: {'; '.join(worth)}.")
    columns = ["question", "variant", "bits/dim", "between seeds", "seeds", "to the first"]
    return [*interleaved.table(columns, cells), *sentences, ""]


def _sentence(title: str, difference: float, error: float, seeds: int) -> str:
    # Of few seeds the error is rough itself: by chance alone, one comparison in twenty is as far apart.
    if seeds < 2 or not abs(difference) > tfd.StudentT(seeds - 1, 0.0, 1.0).quantile(0.975) * error:
        return f"{title} makes no difference that these seeds can show ({difference:+.3f})"
    return f"{title} is {'worse' if difference > 0 else 'better'} by {abs(difference):.3f}"


def draw(rows: Sequence[dict[str, Any]], file: pathlib.Path) -> None:
    """A panel for each question, a dot for each seed; one scale, so that effects can be compared."""
    figure = matplotlib.figure.Figure(figsize=(11, 6), layout="constrained")
    for axes, (question, variants) in zip(figure.subplots(2, 3, sharex=True).flat, QUESTIONS.items()):
        for i, variant in enumerate(variants):
            found = list(_of(variant, rows).values())
            axes.plot(found, [i] * len(found), "o", alpha=0.6)
        axes.set_yticks(range(len(variants)), [variant.title for variant in variants])
        axes.set_ylim(len(variants) - 0.5, -0.5)
        axes.set(title=question, xlabel="test bits/dim, three seeds")
        axes.tick_params(labelbottom=True)
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=80)


if __name__ == "__main__":
    define_flags()
    app.run(main)
