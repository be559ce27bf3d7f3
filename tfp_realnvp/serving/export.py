"""A flow as a SavedModel."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile

import tensorflow as tf

from tfp_realnvp.bijectors.bijector import learned_layers
from tfp_realnvp.conditioners import ResidualNetwork
from tfp_realnvp.flows import FlowDistribution


def save(
    distribution: FlowDistribution,
    path: str | os.PathLike,
    *,
    levels: int = 256,
    max_samples: int = 1024,
) -> None:
    """Writes an image flow as a SavedModel that TensorFlow alone can load, without TFP or Keras.

    It has these signatures; `log_prob` is `serving_default`, too:

        log_prob:  images float32 [n, *event_shape] -> log_prob float32 [n], nats
                                                       bits_per_dim float32 [n]
        sample:    count int32 [], seed int32 [2]   -> images float32 [count, *event_shape]

    Images are dequantised pixels in [0, levels), image + u with u uniform on [0, 1), and samples
    are such pixels, too: not clipped, to be rounded down and clipped to 0 ... levels - 1. The same
    seed gives the same samples. `levels` is an attribute of what loads, an int32 variable.

    Batch norm uses its moving statistics; it and weight norm are folded into the kernels of residual
    networks here, once. Every weight is stored once, and training's state not.
    Gradients with respect to images pass through what loads; it is not to be trained on.
    The model is written beside `path` and renamed when it is whole, so that `path` never holds
    half a model, whatever fails.

    Args:
      distribution: an unconditional image flow, as from `real_nvp`.
      path: of the folder to write, on a local disk; it must not exist. Its parents are made.
      levels: number of levels of a pixel.
      max_samples: the largest count that `sample` takes in a call, for a count is all that a
        request has to say to fill a server's memory. Another count is an `InvalidArgumentError`.

    Raises:
      FileExistsError: when there is something at `path`.
      ValueError: when the distribution is not over images of a known size, or needs a context.

    #### Examples

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    save(distribution, "/tmp/digits/1", levels=17)

    # Where there is only TensorFlow:
    model = tf.saved_model.load("/tmp/digits/1")
    images = model.signatures["sample"](count=tf.constant(4), seed=tf.constant([0, 1]))["images"]
    model.signatures["log_prob"](images=images)["bits_per_dim"]  # [4]
    ```
    """
    path = os.path.abspath(path)
    if os.path.lexists(path):
        raise FileExistsError(f"expected a path for a new folder, but there is something at {path}")
    if distribution.event_shape.rank != 3 or not distribution.event_shape.is_fully_defined():
        raise ValueError(
            "expected a distribution over images [height, width, channels], got an event shape of "
            f"{distribution.event_shape}"
        )
    module = tf.Module()
    module.levels = tf.Variable(levels, trainable=False, dtype=tf.int32, name="levels")
    with contextlib.ExitStack() as stack:
        for layer in learned_layers(distribution.flow):
            if isinstance(layer, ResidualNetwork):
                stack.enter_context(layer.frozen())
        signatures = _signatures(distribution, max_samples)
        # What the graphs read and not the distribution: nothing of Keras or TFP gets into the file,
        # no weight of which a folded one is there, and none twice.
        read = [variable for function in signatures.values() for variable in function.graph.variables]
        module.weights = list({id(variable): variable for variable in read}.values())
    parent, name = os.path.split(path)
    os.makedirs(parent, exist_ok=True)
    # The model is one folder further down, for the temporary one is closed to other users.
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=parent) as temporary:
        model = os.path.join(temporary, "model")
        tf.saved_model.save(module, model, signatures)
        os.rename(model, path)


def _signatures(
    distribution: FlowDistribution, max_samples: int
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    event_shape = distribution.event_shape.as_list()
    bits_per_nat = 1 / (math.prod(event_shape) * math.log(2))

    @tf.function(input_signature=[tf.TensorSpec([None, *event_shape], tf.float32, name="images")])
    def log_prob(images: tf.Tensor) -> dict[str, tf.Tensor]:
        nats = distribution.log_prob(tf.cast(images, distribution.dtype))
        return {
            "log_prob": tf.cast(nats, tf.float32),
            "bits_per_dim": tf.cast(-bits_per_nat * nats, tf.float32),
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([], tf.int32, name="count"),
            tf.TensorSpec([2], tf.int32, name="seed"),
        ]
    )
    def sample(count: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        check = tf.debugging.Assert(
            (count >= 1) & (count <= max_samples),
            [f"expected a count in 1 ... {max_samples}, got", count],
        )
        with tf.control_dependencies([check]):
            count = tf.identity(count)
        images = distribution.sample(count, seed=seed)
        return {"images": tf.cast(images, tf.float32)}

    functions = {"serving_default": log_prob, "log_prob": log_prob, "sample": sample}
    return {name: function.get_concrete_function() for name, function in functions.items()}
