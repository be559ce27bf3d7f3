"""The batches of `benchmarks.race`, for processes with TensorFlow and for those without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def batches(images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Batches without an end, in an order that is the same for all."""
    generator = np.random.default_rng(0)
    while True:
        order = generator.permutation(len(images))
        for i in range(0, len(images) - batch_size + 1, batch_size):
            yield images[order[i : i + batch_size]]
