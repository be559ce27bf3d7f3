"""Baselines without networks, which a flow must beat."""

import math
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors import DequantizedLogit, dequantize
from tfp_realnvp.evaluation.bits_per_dim import bits_per_dim
from tfp_realnvp.evaluation.evaluate import checked_images
from tfp_realnvp.evaluation.score import BITS_PER_DIM, NATS, Score, bound_of

Images: TypeAlias = np.ndarray | tf.data.Dataset | Iterable[np.ndarray]

_CHUNK = 1024  # images; enough for a matrix product to be quick, and 25 MB of CIFAR-10 in float64
_JITTER = 1e-9


class NoBaselineError(ValueError):
    """The data have no such baseline; the message gives the reason."""


def histogram_bits_per_dim(train_images: Images, test_images: Images, levels: int = 256) -> Score:
    """Bits/dim of independent histograms, one for each entry of an image.

        P(image) = prod_i (count_i[image_i] + 1) / (n + levels)

    `count_i[v]` is the number of training images, out of n, with value v at entry i (a row, a column and a channel).
    The 1 is Laplace's rule, one pseudo-count per level, so that unseen values are not impossible. It is not tuned. The
    model is discrete, so the figure is exact.

    Args:
      train_images: integers `[n, *event_shape]`, or batches of such; read once.
      test_images: the same of the images to evaluate on.
      levels: number of levels of a pixel.

    Returns:
      The `Score` of the test images.

    Raises:
      TypeError: when the images are not integers.
      ValueError: when there are no images, shapes differ, or a pixel is no level.

    ```python
    images = np.random.default_rng(0).integers(17, size=[100, 8, 8, 1], dtype=np.uint8)
    print(histogram_bits_per_dim(images[:50], images[50:], levels=17))
    ```
    """
    counts: np.ndarray | int = 0
    num_train = 0
    event_shape: tuple[int, ...] = ()
    for images in _chunks(train_images, levels):
        event_shape = images.shape[1:]
        cells = _cells(images, levels)
        num_train += len(images)
        counts += np.bincount(cells.ravel(), minlength=cells.shape[1] * levels)
    _refuse_none(num_train, "train")
    log_probability = np.log(counts + 1) - np.log(num_train + levels)
    log_probs = [log_probability[_cells(images, levels)].sum(1) for images in _chunks(test_images, levels, event_shape)]
    _refuse_none(len(log_probs), "evaluate")
    return Score.of(bits_per_dim(np.concatenate(log_probs), event_shape), BITS_PER_DIM)


def gaussian_bits_per_dim(
    train_images: Images,
    test_images: Images,
    levels: int = 256,
    alpha: float = 0.05,
    seed: int = 0,
) -> Score:
    """Bits/dim of a Gaussian with full covariance after the preprocessing of a flow.

        z = DequantizedLogit(image + u);  z ~ N(m, S + jitter I)

    m and S are the mean and the covariance (divided by n) of the training images with noise u uniform on [0, 1)^D.
    Evaluation is as for a flow: the density of pixels, including the log-det of the preprocessing, with one noise
    sample. The jitter, 1e-9 times the mean variance, only guards the Cholesky factorisation against rounding. All
    computations are in float64.

    Memory is a few matrices of D x D (75 MB each for CIFAR-10), regardless of the number of images.

    Args:
      train_images: integers `[n, *event_shape]`, n > D, or batches of such; each is read once.
      test_images: the same of the images to evaluate on.
      levels: number of levels of a pixel.
      alpha: `alpha` of the preprocessing.
      seed: seed of the noise.

    Returns:
      The `Score` of the test images.

    Raises:
      TypeError: when the images are not integers.
      NoBaselineError: if there are not more training images than entries in an image, since S is then singular.
      ValueError: when there are no images, shapes differ, or a pixel is no level.

    ```python
    images = np.random.default_rng(0).integers(17, size=[200, 8, 8, 1], dtype=np.uint8)
    print(gaussian_bits_per_dim(images[:100], images[100:], levels=17))
    ```
    """
    preprocessing = DequantizedLogit(levels, alpha=alpha)

    def logits(images: np.ndarray, noise_seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """`z` and its entrywise log-det, both `[n, D]`."""
        pixels = dequantize(_flat(images), seed=noise_seed, levels=levels, dtype="float64")
        z, log_det = preprocessing.forward_and_log_det(pixels)
        return z.numpy(), log_det.numpy()

    sums: np.ndarray | float = 0.0
    products: np.ndarray | float = 0.0
    num_train = size = 0
    event_shape: tuple[int, ...] = ()
    held: list[np.ndarray] = []  # Held until there are enough images to justify a large matrix.
    for number, images in enumerate(_chunks(train_images, levels)):
        event_shape = images.shape[1:]
        z, _ = logits(images, [seed, number])
        num_train, size = num_train + len(z), z.shape[1]
        sums += z.sum(0)
        held.append(z)
        if num_train > size:
            products += sum(part.T @ part for part in held)
            held.clear()
    _refuse_none(num_train, "train")
    if num_train <= size:
        raise NoBaselineError(
            f"expected more than {size:,} training images for a covariance of {size:,} x {size:,}, got {num_train:,}"
        )
    mean = sums / num_train
    # Logits are a few units at most, so in float64 the difference is accurate to 1e-14.
    covariance = products / num_train - np.outer(mean, mean)
    covariance[np.diag_indices(size)] += _JITTER * np.trace(covariance) / size
    factor = np.linalg.cholesky(covariance)
    log_scale = np.log(np.diag(factor)).sum() + size / 2 * np.log(2 * np.pi)
    log_probs = []
    for number, images in enumerate(_chunks(test_images, levels, event_shape)):
        z, log_det = logits(images, [seed, -1 - number])  # negative: independent of the training noise
        # `MultivariateNormalTriL` takes ten times as long to solve for a batch.
        whitened = tf.linalg.triangular_solve(factor, (z - mean).T).numpy()
        log_probs.append(log_det.sum(1) - np.square(whitened).sum(0) / 2 - log_scale)
    _refuse_none(len(log_probs), "evaluate")
    return Score.of(bits_per_dim(np.concatenate(log_probs), event_shape), BITS_PER_DIM, bound_of("uniform", 1))


def gaussian_log_likelihood(
    train: tf.data.Dataset | Iterable[np.ndarray], test: tf.data.Dataset | Iterable[np.ndarray]
) -> Score:
    """The log-likelihood of a Gaussian with the mean and the full covariance of the training vectors.

    Args:
      train: batches of floats `[batch, size]`, float32 or as precise.
      test: batches of the vectors to evaluate on.

    Raises:
      ValueError: for no vectors, vectors that are not finite, or test vectors of another size.
      NoBaselineError: if the covariance is singular to float32 precision: there are not more training vectors than
        columns, or a column is constant or a linear combination of others.

    ```python
    vectors = np.random.default_rng(0).normal(size=[100, 2])
    print(gaussian_log_likelihood([vectors[:50]], [vectors[50:]]))
    ```
    """
    train, test = (_vectors(part, purpose) for part, purpose in ((train, "fit"), (test, "evaluate")))
    rows, size = train.shape
    if test.shape[1] != size:
        raise ValueError(f"expected test vectors of the {size} columns of the training vectors, got {test.shape[1]}")
    if rows <= size:
        raise NoBaselineError(f"expected more than {size:,} training rows for {size:,} columns, got {rows:,}")
    if (is_constant := train.min(0) == train.max(0)).any():
        raise NoBaselineError(f"expected columns that vary, got a constant column {np.argmax(is_constant) + 1}")
    mean, std = train.mean(0), train.std(0)
    train, test = (train - mean) / std, (test - mean) / std  # Makes the result independent of units.
    covariance = train.T @ train / rows
    # Rounding to float32 errs by at most half a spacing; a smaller variance than this is only rounding.
    spacing = np.spacing(np.abs(mean) + std, dtype=np.float32) / std
    variance = np.linalg.eigvalsh(covariance)[0]
    if variance <= max(np.max(spacing) ** 2, size * np.finfo(np.float64).eps):
        raise NoBaselineError("expected an invertible covariance, got a column that is a linear combination of others")
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, test.T)
    log_det = np.sum(np.log(np.diag(factor))) + np.sum(np.log(std))
    return Score.of(-0.5 * np.sum(white**2, 0) - log_det - 0.5 * size * math.log(2 * math.pi), NATS)


def _vectors(batches: Iterable[np.ndarray], purpose: str) -> np.ndarray:
    """The vectors of all batches, `[n, size]`."""
    parts = [np.asarray(batch, np.float64) for batch in batches]
    if not sum(map(len, parts)):
        raise ValueError(f"expected at least one vector to {purpose} on, got none")
    if shapes := [part.shape for part in parts if part.ndim != 2 or part.shape[1] != parts[0].shape[1]]:
        raise ValueError(f"expected batches of vectors [batch, size], got shape {shapes[0]}")
    vectors = np.concatenate(parts)
    if not np.all(np.isfinite(vectors)):
        raise ValueError(f"expected finite vectors to {purpose} on, got NaN or infinity")
    return vectors


def _chunks(images: Images, levels: int, event_shape: tuple[int, ...] | None = None) -> Iterator[np.ndarray]:
    """Checked images in chunks of about `_CHUNK`, from an array or batches."""
    batches = images
    if hasattr(images, "shape"):
        array = np.asarray(images)
        batches = (array[i : i + _CHUNK] for i in range(0, len(array), _CHUNK))
    held: list[np.ndarray] = []
    for batch in batches:
        batch = checked_images(batch, levels, event_shape)
        event_shape = batch.shape[1:]
        held.append(batch)
        if sum(map(len, held)) >= _CHUNK:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def _cells(images: np.ndarray, levels: int) -> np.ndarray:
    """The index `entry * levels + value` of the histogram cell of each entry of each image."""
    flat = _flat(images).astype(np.int64)
    return flat + levels * np.arange(flat.shape[1])


def _refuse_none(count: int, purpose: str) -> None:
    if not count:
        raise ValueError(f"expected at least one image to {purpose} on, got none")
