"""Write the latents of images or vectors into an .npz file.

    python -m launch.encode --output_dir=runs/mnist --data_dir=DIR
    python -m launch.encode --saved_model=mnist --data_dir=DIR \\
      --count=1000 --latents=latents.npz
    python -m launch.sample --saved_model=mnist --latents=latents.npz

Writes latents-SPLIT.npz into the run's folder. For an exported model it writes into the working directory, and the name
includes the model and all flags with non-default values. The file contains `latents`, float32 in the shape of events,
the original `images` or `vectors`, and for a conditional model `labels`. They are the first events of --split, in
order; images get dequantisation noise from --seed. `sample --latents` decodes them.
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import flags

from launch import arguments, outputs, run, source
from tfp_realnvp import evaluation, storage

_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Split to encode.")
_COUNT = flags.DEFINE_integer("count", None, "Number of events; by default the whole split.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "Number of events per batch.", lower_bound=1)
_LATENTS = arguments.DEFINE_path("latents", None, "File to write; by default latents-SPLIT.npz.")


def main() -> None:
    model = source.open_model()
    name = source.variant(f"latents-{_SPLIT.value}", ".npz", "split")
    path = pathlib.Path(_LATENTS.value) if _LATENTS.value else model.folder / name
    outputs.check(path, run.DATASET.value or model.dataset, flag="latents")
    events, labels = _events(model)
    x, context = source.flow_events(model, events, labels)
    z = evaluation.encode(
        model.distribution,
        x,
        context,
        batch_size=_BATCH_SIZE.value,
        jit_compile=run.jit_compile(),
        progress=source.progress(len(events)),
    )
    arrays = {"latents": z, "vectors" if model.levels is None else "images": events}
    if model.classes is not None:
        arrays["labels"] = labels
    with storage.replacing(path) as part, part.open("wb") as file:  # NumPy would append a suffix to a bare name.
        np.savez_compressed(file, allow_pickle=False, **arrays)
    source.wrote(path)


def _events(model: source.Source) -> tuple[np.ndarray, np.ndarray]:
    """The first events of the split, and their classes (-1 for an unconditional model)."""
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
        raise run.UsageError(f"expected images with known classes, got one without a class in {_SPLIT.value}")
    return events, labels


if __name__ == "__main__":
    run.start(main)
