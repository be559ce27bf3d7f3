"""Score the images of a TFDS set with an exported flow, and show those it finds least likely.

    python -m examples.out_of_distribution --saved_model=saved_models/digits --corruption=rotate
    python -m examples.out_of_distribution --saved_model=saved_models/mnist --dataset=SET --data_dir=DIR

The model's own validation images define the usual range: an image is out of distribution if its bits/dim lies outside
the central 99 % of theirs. Without --dataset the images are the model's own test images. With --corruption, half of
them are corrupted first, and the area under the ROC curve measures how well bits/dim separates them from the others: 1
is perfect, .5 is chance.

A density alone is not a reliable detector: a rotated digit is far outside the usual range, a blank image is not
(--corruption=blank). Nalisnick et al. Do deep generative models know what they don't know? ICLR 2019. arXiv 1810.09136.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from tfp_realnvp import data, evaluation, serving


def _rotate(images: tf.Tensor) -> tf.Tensor:
    return tf.image.rot90(images)


def _shuffle(images: tf.Tensor) -> tf.Tensor:
    """Permutes the pixels, in the same way for all images."""
    order = tf.random.experimental.stateless_shuffle(tf.range(images.shape[1] * images.shape[2]), (0, 0))
    rows = tf.reshape(images, [-1, images.shape[1] * images.shape[2], images.shape[3]])
    return tf.reshape(tf.gather(rows, order, axis=1), tf.shape(images))


def _blank(images: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(images)


def _fade(images: tf.Tensor) -> tf.Tensor:
    return images // 4


_CORRUPTIONS = {"none": None, "rotate": _rotate, "shuffle": _shuffle, "fade": _fade, "blank": _blank}


def define_flags() -> None:
    flags.DEFINE_string("saved_model", "saved_models/digits", "Folder of a model or of one of its versions.")
    flags.DEFINE_string("dataset", None, "TFDS set to score; by default the model's training set.")
    flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS sets; digits needs none.")
    flags.DEFINE_string("output", "least_likely.png", "Picture of the 100 images with the highest bits/dim.")
    flags.DEFINE_enum("corruption", "none", list(_CORRUPTIONS), "Corruption of half of the images.")


def main(_: list[str]) -> None:
    version = serving.version_path(flags.FLAGS.saved_model)
    about = serving.describe(version)
    distribution = nvp.load(version)
    usual = data.load(about["dataset"], flags.FLAGS.data_dir)
    scored = usual if flags.FLAGS.dataset is None else data.load(flags.FLAGS.dataset, flags.FLAGS.data_dir)
    if scored.shape != distribution.event_shape or scored.levels != about["levels"]:
        raise app.UsageError(
            f"expected images of shape {distribution.event_shape} and {about['levels']} levels, got {scored.name} of "
            f"shape {scored.shape} and {scored.levels} levels"
        )

    def score(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = nvp.dequantize(images, seed=(0, 0), levels=about["levels"])
        return images, nvp.bits_per_dim(distribution.log_prob(pixels), distribution.event_shape)

    reference = np.concatenate([bits for _, bits in usual.evaluation_batches("validation", 100).map(score)])
    low, high = np.quantile(reference, [0.005, 0.995])
    images = scored.evaluation_batches("test", 100)
    spoil = _CORRUPTIONS[flags.FLAGS.corruption]
    if spoil is not None:
        images = images.map(lambda batch: tf.concat([batch[::2], spoil(batch[1::2])], 0))
    batches = [(images.numpy(), bits.numpy()) for images, bits in images.map(score)]
    images, bits = (np.concatenate(parts) for parts in zip(*batches))

    print(f"{usual.name} validation: {np.mean(reference):.3f} bits/dim, 99 % within {low:.3f} ... {high:.3f}")
    outside = (bits < low) | (bits > high)
    name = f"{scored.name} test, corruption {flags.FLAGS.corruption}"
    print(f"{name}: {np.mean(bits):.3f} bits/dim, {np.mean(outside):.1%} outside")
    if spoil is not None:
        is_spoilt = np.concatenate([np.arange(len(b)) >= (len(b) + 1) // 2 for _, b in batches])
        spoilt, others = np.mean(bits[is_spoilt]), np.mean(bits[~is_spoilt])
        print(f"corrupted images: {spoilt:.3f} bits/dim, the others: {others:.3f}")
        distance = np.abs(bits - np.mean(reference))
        print(
            f"area under the ROC curve: {_area(bits[is_spoilt], bits[~is_spoilt]):.3f} by bits/dim, "
            f"{_area(distance[is_spoilt], distance[~is_spoilt]):.3f} by its distance from the usual"
        )
    worst = np.argsort(-bits)[:100]
    evaluation.save_image_grid(flags.FLAGS.output, images[worst], levels=about["levels"])
    print(f"Wrote {flags.FLAGS.output}")


def _area(positive: np.ndarray, negative: np.ndarray) -> float:
    """The probability that a positive scores higher than a negative: the rank-sum statistic."""
    below = np.searchsorted(np.sort(negative), positive, side="left")
    ties = np.searchsorted(np.sort(negative), positive, side="right") - below
    return float(np.mean((below + ties / 2) / len(negative)))


if __name__ == "__main__":
    define_flags()
    app.run(main)
