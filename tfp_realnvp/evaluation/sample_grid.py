"""Samples in TensorBoard during training."""

import pathlib

import keras
import tensorflow as tf

from tfp_realnvp.evaluation.images import image_grid
from tfp_realnvp.evaluation.inversion import inversion_error


class SampleGrid(keras.callbacks.Callback):
    """A Keras callback that writes a grid of samples and the inversion error every `every` epochs.

    The model must have a `distribution` and an optimizer, as a compiled `FlowModel` does. Summaries are written at the
    optimizer's step.

    Samples use the same seed each time, so that the pictures show how the decodings of fixed latents change.

    Args:
      log_dir: TensorBoard's folder.
      events: a batch of dequantised events `[batch, height, width, channels]`, for the inversion error.
      levels: number of levels of a pixel.
      count: number of samples.
      every: number of epochs between two pictures.
      seed: seed of the samples.
      context: context of a conditional flow, one row per sample. The events use the first rows.
    """

    def __init__(
        self,
        log_dir: str | pathlib.Path,
        events: tf.Tensor,
        *,
        levels: int = 256,
        count: int = 64,
        every: int = 1,
        seed: int = 0,
        context: tf.Tensor | None = None,
    ):
        super().__init__()
        self.log_dir = str(log_dir)
        self.events = events
        self.levels = levels
        self.count = count
        self.every = every
        self.seed = seed
        self.context = context

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.writer = tf.summary.create_file_writer(self.log_dir)
        distribution = self.model.distribution
        given = {} if self.context is None else {"context": self.context}
        self._sample = tf.function(lambda: distribution.sample(self.count, seed=(self.seed, 0), **given))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        with self.writer.as_default(step=int(self.model.optimizer.iterations.numpy())):
            tf.summary.image("samples", image_grid(self._sample().numpy(), levels=self.levels)[tf.newaxis])
            events, context = self.events, self.context
            if context is not None:
                events, context = events[: len(context)], context[: len(events)]
            error = inversion_error(self.model.distribution, events, context)
            tf.summary.scalar("inversion_error", error.maximum)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.writer.close()
