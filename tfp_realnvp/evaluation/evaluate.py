"""Evaluates a model: bits/dim of integer images, log-likelihood of vectors."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp.bijectors import dequantize
from tfp_realnvp.columns import Columns
from tfp_realnvp.evaluation.bits_per_dim import bits_per_dim
from tfp_realnvp.evaluation.score import BITS_PER_DIM, NATS, Score, bound_of
from tfp_realnvp.flows import Dequantizer


def evaluate(
    distribution: tfp.distributions.Distribution,
    batches: tf.data.Dataset | Iterable[np.ndarray],
    *,
    levels: int | None = 256,
    classes: int | None = None,
    dequantizer: Dequantizer | None = None,
    columns: Columns | None = None,
    importance_samples: int = 1,
    seed: int = 0,
    jit_compile: bool = False,
    progress: Callable[[Score], object] | None = None,
) -> Score:
    """Bits/dim of integer images, with uniform or variational dequantisation, or mean log p(x) of vectors, in nats.

    The probability of an integer image under a density p is the integral of p over the image's cell, P(image) =
    E[p(image + u)] with u uniform on [0, 1)^D. With K samples of u,

        log P(image) >= E[log (1/K) sum_k p(image + u_k)],

    so the reported bits/dim are an upper bound in expectation. The bound falls towards the model's exact bits/dim as K
    grows. Papers report K = 1. With a `dequantizer` q, u is drawn from q(. | image), and p(image + u) / q(u | image)
    replaces p. Rows of a table with columns of several types are bounded in the same way. The result's `bound` names
    the noise.

    The noise of an image depends only on the seed and the indices of batch and sample, so all models see the same noise
    for the same batches and seed. Batch norm uses its moving statistics. The model is traced once for all batch sizes.

    Args:
      distribution: a distribution over images with pixels in [0, levels), including its preprocessing, as from
        `real_nvp`; or over vectors, as from `maf`.
      batches: integers `[batch, height, width, channels]`, usually uint8, or floats `[batch, size]`. Batch sizes may
        differ. Each batch is read once. With `classes`, pairs of such a batch and labels `[batch]`.
      levels: number of levels of a pixel; not used for vectors.
      classes: number of classes, for a flow that is conditioned on class labels.
      dequantizer: the flow over the noise used in training; None for uniform noise.
      columns: column types of a table, whose rows float32 `[batch, size]` are the events. If rows have
        weights, the mean is weighted.
      importance_samples: K, the number of noise samples per image or row.
      seed: seed of the noise.
      jit_compile: whether to compile with XLA, which does not change the noise.
      progress: called after each batch with the `Score` of the events so far; for example `print`.

    Returns:
      A `Score`: mean and standard error over the events, summed in float64. An event outside the model's support has
        probability 0, which makes the mean infinite.

    Raises:
      TypeError: if images are not integers, vectors are not floats, or batches have no labels for `classes`.
      ValueError: if there is no event, a shape differs from the distribution's, a pixel or label is out of range, an
        event has no integer label, noise is requested for vectors, or images have no `levels`.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    images = np.random.default_rng(0).integers(17, size=[100, 8, 8, 1], dtype=np.uint8)
    batches = tf.data.Dataset.from_tensor_slices(images).batch(32)
    print(evaluate(distribution, batches, levels=17, importance_samples=5))
    ```

    Theis, van den Oord, Bethge. A note on the evaluation of generative models. ICLR 2016.
    Burda, Grosse, Salakhutdinov. Importance weighted autoencoders. ICLR 2016. arXiv 1509.00519.
    """
    if importance_samples < 1:
        raise ValueError(f"expected at least one importance sample, got {importance_samples}")
    event_shape = tuple(distribution.event_shape)
    is_image = len(event_shape) == 3
    if columns is not None:
        columns.check_flow(distribution, classes)
    elif not is_image and (importance_samples > 1 or dequantizer is not None):
        raise ValueError(f"expected images for noise, got a distribution of vectors of shape {event_shape}")
    if dequantizer is not None:
        dequantizer.check_flow(distribution, levels)
    dtype = distribution.dtype
    contexts = [] if classes is None else [tf.TensorSpec([None, classes], dtype)]
    # Drawn outside the compiled function, since XLA generates other random numbers.
    noises = [] if dequantizer is None else [tf.TensorSpec([None, *event_shape], dtype)]
    event = tf.TensorSpec([None, *event_shape], dtype if dequantizer is None else tf.int32)
    if columns is not None:
        event, noises = tf.TensorSpec([None, columns.size]), [tf.TensorSpec([None, columns.noises])]

    @tf.function(
        input_signature=[event, *noises, *contexts],
        jit_compile=jit_compile,
        autograph=False,
    )
    def log_weight(pixels: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
        noise, context = rest[: len(noises)], rest[len(noises) :]
        if columns is not None:
            return columns.log_prob(distribution, pixels, *noise)
        given = {"context": context[0]} if context else {}
        if dequantizer is None:
            return distribution.log_prob(pixels, **given)
        x, log_q = dequantizer.dequantize(pixels, *noise)
        return distribution.log_prob(x, **given) - log_q

    log_weight = log_weight.get_concrete_function()
    dequantization = "uniform" if dequantizer is None else "variational"
    has_bound = is_image or columns is not None and not columns.is_exact
    kind = (BITS_PER_DIM if is_image else NATS, bound_of(dequantization, importance_samples) if has_bound else None)

    def draws(batch: np.ndarray, number: int) -> Iterator[list[tf.Tensor]]:
        """The inputs of the density: an integer image with each sample of its noise."""
        if not is_image:
            vectors = tf.convert_to_tensor(batch)
            if not vectors.dtype.is_floating:
                raise TypeError(f"expected vectors of floats, got {vectors.dtype.name}: only images are dequantised")
            expected = list(event_shape if columns is None else [columns.size])
            if vectors.shape.rank != len(expected) + 1 or vectors.shape[1:] != expected:
                shape = ", ".join(map(str, expected))
                raise ValueError(f"expected batches of vectors [batch, {shape}], got shape {vectors.shape}")
            if columns is None:
                yield [tf.cast(vectors, dtype)]
                return
            for sample in range(importance_samples):
                noise_seed = tf.random.experimental.stateless_fold_in([seed, number], sample)
                rows = tf.cast(vectors, tf.float32)
                yield [rows, columns.noise(rows, seed=noise_seed)]
            return
        if levels is None:
            raise ValueError("expected the number of levels of a pixel, got None")
        images = checked_images(batch, levels, event_shape)
        for sample in range(importance_samples):
            noise_seed = tf.random.experimental.stateless_fold_in([seed, number], sample)
            if dequantizer is None:
                yield [dequantize(images, seed=noise_seed, levels=levels, dtype=dtype.name)]
            else:
                yield [tf.cast(images, tf.int32), dequantizer.latent_noise(images, seed=noise_seed)]

    figures: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for number, batch in enumerate(batches):
        context = []
        if classes is not None:
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                raise TypeError(f"expected batches of pairs of events and labels, got a {type(batch).__name__}")
            batch, labels = batch
            _check_labels(np.asarray(labels), len(batch), classes)
            context = [tf.one_hot(labels, classes, dtype=dtype)]
        if not len(batch):  # TensorFlow's oneDNN convolution returns a wrong shape for it.
            continue
        log_probs = [log_weight(*given, *context).numpy().astype(np.float64) for given in draws(batch, number)]
        log_probability = np.logaddexp.reduce(log_probs, axis=0) - np.log(len(log_probs))
        if columns is not None and columns.weight is not None:
            weights.append(np.asarray(columns.weights_of(np.asarray(batch)), np.float64))
        figures.append(bits_per_dim(log_probability, event_shape) if is_image else log_probability)
        has_weight = not weights or any(np.any(part > 0) for part in weights)
        if progress is not None and has_weight:
            progress(_score_of(figures, weights, *kind))
    return _score_of(figures, weights, *kind)


def _score_of(figures: list[np.ndarray], weights: list[np.ndarray], unit: str, bound: str | None) -> Score:
    everything = np.concatenate(figures) if figures else np.zeros(0)
    return Score.of(everything, unit, bound, np.concatenate(weights) if weights else None)


def _check_labels(labels: np.ndarray, count: int, classes: int) -> None:
    # A single label would be broadcast, and a fraction rounded.
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(f"expected an integer label for each of {count} events, got {labels.dtype} of {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"expected labels in 0 ... {classes - 1}, got {labels.min()} ... {labels.max()}")


def checked_images(batch: np.ndarray | tf.Tensor, levels: int, event_shape: Sequence[int] | None = None) -> np.ndarray:
    """A batch of integer images as an array; refuses anything else.

    Args:
      batch: array or tensor `[batch, *event_shape]`.
      levels: number of levels of a pixel.
      event_shape: the expected shape of one image; any by default.

    Raises:
      TypeError: if the batch does not consist of integers.
      ValueError: if the shape differs, or a pixel is not in {0, ..., levels - 1}.
    """
    if isinstance(batch, (tuple, dict)):
        raise TypeError(
            f"expected batches of images alone, got a {type(batch).__name__}: map a data set of "
            "images and labels to its images first"
        )
    images = np.asarray(batch)
    if not np.issubdtype(images.dtype, np.integer):
        raise TypeError(f"expected images of integer pixels, got {images.dtype}")
    expected = images.shape[1:] if event_shape is None else tuple(event_shape)
    if images.ndim < 2 or images.shape[1:] != expected:
        raise ValueError(f"expected batches of images of shape {expected}, got a batch of shape {images.shape}")
    if images.size and not 0 <= images.min() <= images.max() < levels:
        raise ValueError(
            f"expected pixels in 0 ... {levels - 1}, got {images.min()} ... {images.max()}: are {levels} levels right?"
        )
    return images
