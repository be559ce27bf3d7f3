"""Write the latents of images or vectors into an .npz file.

    python -m launch.encode --output_dir=runs/mnist --data_dir=DIR
    python -m launch.encode --saved_model=mnist --data_dir=DIR --count=1000 --latents=latents.npz
    python -m launch.sample --saved_model=mnist --latents=latents.npz

Writes latents-SPLIT.npz into the run's folder, or into the working directory for an exported model, in whose name are
the model and the flags that are not as by default. It holds `latents`, float32
of the events' shape, `images` or `vectors` as they came, and `labels` of a conditional model. They are the first of
--split, in its order; images have the dequantisation noise of --seed. `launch.sample --latents` decodes them.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf
from absl import flags

from launch import arguments, run, source
from tfp_realnvp import evaluation, storage

_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to encode.")
_COUNT = flags.DEFINE_integer("count", None, "How many; by default all of the split.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Events encoded at a time.", lower_bound=1)
_LATENTS = arguments.DEFINE_path("latents", None, "File to write; by default latents-SPLIT.npz.")


def main() -> None:
    model = source.open_model()
    events, labels = _events(model)
    x, context = source.dequantized(model, events), source.one_hot(model, labels)
    if model.types is not None:
        rows = tf.constant(events)
        x, context, _ = model.types.dequantize(rows, model.types.noise(rows, seed=(run.SEED.value, 0)))
    z = evaluation.encode(
        model.distribution,
        x,
        context,
        batch_size=_BATCH_SIZE.value,
        jit_compile=run.jit_compile(),
        progress=source.progress(len(events)),
    )
    name = source.variant(f"latents-{_SPLIT.value}", ".npz", "split")
    path = pathlib.Path(_LATENTS.value) if _LATENTS.value else model.folder / name
    arrays = {"latents": z, "vectors" if model.levels is None else "images": events}
    if model.classes is not None:
        arrays["labels"] = labels
    with storage.replacing(path) as part, part.open("wb") as file:  # NumPy would add a suffix to a name without one.
        np.savez_compressed(file, allow_pickle=False, **arrays)
    source.wrote(path)


def _events(model: source.Source) -> tuple[np.ndarray, np.ndarray]:
    """The first of the split, and their classes: -1 of a model that is not told them."""
    given = source.open_data(model)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    left = _COUNT.value or given.num_examples(_SPLIT.value)
    for batch in given.evaluation_batches(_SPLIT.value, 1000):
        part, classes = batch if model.classes is not None else (batch, np.full(len(batch), -1))
        parts.append((np.asarray(part)[:left], np.asarray(classes)[:left]))
        left -= len(parts[-1][0])
        if not left:
            break
    events, labels = map(np.concatenate, zip(*parts, strict=True))
    if model.classes is not None and labels.min() < 0:
        raise run.UsageError(f"expected images whose class is known, got one without in {_SPLIT.value}")
    return events, labels


if __name__ == "__main__":
    run.start(main)
