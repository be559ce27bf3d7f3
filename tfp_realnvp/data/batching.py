"""Batching of images and vectors: checked sizes, deterministic order."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.data import sets

# A tensor, or a tuple or dictionary of tensors with equal numbers of rows.
Nested = Any


def counts(examples: Any, unit: str) -> str:
    """A description of the number of examples, in total and per split, with their unit."""
    sizes = {split: examples.num_examples(split) for split in sets.SPLITS}
    parts = ", ".join(f"{size:,} {split}" for split, size in sizes.items())
    return f"{sum(sizes.values()):,} {unit} ({parts})"


def check_split(name: str, split: str) -> None:
    """Raises a `ValueError` for an unknown split of the set `name`."""
    if split not in sets.SPLITS:
        raise ValueError(f"unknown split {split!r} of {name}: expected one of {', '.join(sets.SPLITS)}")


def check_evaluation(batch_size: int) -> None:
    """Raises a `ValueError` for a batch size that is not positive."""
    if batch_size < 1:
        raise ValueError(f"expected a batch_size of 1 or more, got {batch_size}")


def check_training(name: str, examples: int, batch_size: int, skip: int) -> None:
    """Raises a `ValueError` if the train split of `name` has too few `examples` for a batch or for `skip` batches."""
    if not 1 <= batch_size <= examples:
        raise ValueError(
            f"expected a batch_size of 1 to {examples}, the size of the train split of {name}, got {batch_size}"
        )
    if not 0 <= skip <= examples // batch_size:
        raise ValueError(
            f"expected skip to be 0 to {examples // batch_size}, the batches in an epoch of {name} at"
            f" batch_size={batch_size}, got {skip}"
        )


def epoch_seeds(seed: int, epoch: int) -> list[tf.Tensor]:
    """The seeds of an epoch's order, crops and flips. Call it on the host, like everything that shuffles."""
    return tf.unstack(tf.random.split(tf.constant([seed, epoch], tf.int64), 3))


def batched(examples: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Full batches; the remainder is dropped."""
    return examples.batch(batch_size, drop_remainder=True)


def permuted(examples: Nested, order: tf.Tensor) -> Nested:
    """The examples at the positions in `order`, for every tensor of the structure."""
    return tf.nest.map_structure(lambda part: tf.gather(part, order), examples)


def shuffled(examples: Nested, batch_size: int, skip: int, seed: tf.Tensor) -> tf.data.Dataset:
    """Batches of in-memory examples in a random order, without the first `skip` batches."""
    order = tf.random.experimental.stateless_shuffle(tf.range(len(tf.nest.flatten(examples)[0])), seed)
    indices = batched(tf.data.Dataset.from_tensor_slices(order), batch_size).skip(skip)
    return indices.map(lambda batch: permuted(examples, batch))


def finished(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Prefetches in a deterministic order, the same for all workers."""
    options = tf.data.Options()
    options.deterministic = True
    # Sharding by files would give each worker its own order.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
