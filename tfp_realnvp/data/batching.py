"""What batches of images and of vectors have in common: their sizes are checked, their order is known beforehand."""

from typing import Any

import tensorflow as tf

from tfp_realnvp.data import sets

# A tensor, or a tuple or dictionary of tensors with as many rows each.
Nested = Any


def counts(examples: Any, unit: str) -> str:
    """How many examples of that unit a set has, in all and in each split."""
    sizes = {split: examples.num_examples(split) for split in sets.SPLITS}
    parts = ", ".join(f"{size:,} {split}" for split, size in sizes.items())
    return f"{sum(sizes.values()):,} {unit} ({parts})"


def check_split(name: str, split: str) -> None:
    """Refuses a split that the set `name` does not have."""
    if split not in sets.SPLITS:
        raise ValueError(f"unknown split {split!r} of {name}: expected one of {', '.join(sets.SPLITS)}")


def check_evaluation(batch_size: int) -> None:
    """Refuses a batch size that is not positive."""
    if batch_size < 1:
        raise ValueError(f"expected a batch_size of 1 or more, got {batch_size}")


def check_training(name: str, examples: int, batch_size: int, skip: int) -> None:
    """Refuses a batch that the `examples` of the train split of `name` do not fill, and a skip past their end."""
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
    """Seeds of an epoch's order, crops and flips. To be called on the host, as all that shuffles is."""
    return tf.unstack(tf.random.split(tf.constant([seed, epoch], tf.int64), 3))


def batched(examples: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Full batches; what is left over is dropped."""
    return examples.batch(batch_size, drop_remainder=True)


def permuted(examples: Nested, order: tf.Tensor) -> Nested:
    """Those of the examples whose positions are in `order`, every tensor of the structure alike."""
    return tf.nest.map_structure(lambda part: tf.gather(part, order), examples)


def shuffled(examples: Nested, batch_size: int, skip: int, seed: tf.Tensor) -> tf.data.Dataset:
    """Batches of what is kept in memory in a random order, but for the first `skip`."""
    order = tf.random.experimental.stateless_shuffle(tf.range(len(tf.nest.flatten(examples)[0])), seed)
    indices = batched(tf.data.Dataset.from_tensor_slices(order), batch_size).skip(skip)
    return indices.map(lambda batch: permuted(examples, batch))


def finished(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Reads ahead, in a fixed order, and in one order for all workers."""
    options = tf.data.Options()
    options.deterministic = True
    # Sharding by files instead would give each worker an order of its own.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
