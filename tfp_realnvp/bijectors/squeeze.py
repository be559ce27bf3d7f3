"""Trades spatial size for channels."""

import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector

ORDERS = ("channel_major", "position_major", "diagonal")


class Squeeze(Bijector):
    """Turns each 2x2 block of pixels into one pixel with four times the channels.

        forward:  [height, width, channels] -> [height / 2, width / 2, 4 * channels]
        inverse:  [height / 2, width / 2, 4 * channels] -> [height, width, channels]
        log|det df/dx| = 0

    Later layers act on halves of the new channels, so their order matters. For a block with channels R, G at the
    positions 00 01 10 11 (row, column):

    | order            | channels after the squeeze          | the first half holds                  |
    |------------------|-------------------------------------|---------------------------------------|
    | "channel_major"  | R00 R01 R10 R11 G00 G01 G10 G11     | whole colours                         |
    | "position_major" | R00 G00 R01 G01 R10 G10 R11 G11     | the top row (`tf.nn.space_to_depth`)  |
    | "diagonal"       | R00 G00 R11 G11 R01 G01 R10 G10     | the diagonal, half of a checkerboard  |

    Args:
      order: one of the three.

    Raises:
      ValueError: for an unknown order, an odd height or width, or, in the inverse, channels not divisible by four.

    ```python
    z = nvp.bijectors.Squeeze("diagonal").forward(tf.zeros([1, 8, 8, 3]))  # [1, 4, 4, 12]
    ```

    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Section 3.6 and figure 3.
    """

    takes_context = False

    def __init__(self, order: str = "channel_major", *, name: str = "squeeze"):
        if order not in ORDERS:
            raise ValueError(f"expected order to be one of {', '.join(ORDERS)}, got {order!r}")
        super().__init__(event_ndims=3, name=name)
        self.order = order

    def describe(self) -> str:
        return f"Squeeze {self.order}"

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        height, width, channels = tf.TensorShape(shape).as_list()
        if (height or 0) % 2 or (width or 0) % 2:
            raise ValueError(f"{self.name}: expected an even height and width, got {(height, width, channels)}")
        return tf.TensorShape([height and height // 2, width and width // 2, channels and 4 * channels])

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        height, width, channels = tf.TensorShape(shape).as_list()
        if (channels or 0) % 4:
            message = "expected a number of channels divisible by 4"
            raise ValueError(f"{self.name}: {message}, got {(height, width, channels)}")
        return tf.TensorShape([height and 2 * height, width and 2 * width, channels and channels // 4])

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([shape[0] // 2, shape[1] // 2, shape[2] * 4])

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([shape[0] * 2, shape[1] * 2, shape[2] // 4])

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        if self.order == "channel_major":
            batch, height, width, channels = _sizes(x)
            blocks = tf.reshape(x, [batch, height // 2, 2, width // 2, 2, channels])
            z = tf.reshape(tf.transpose(blocks, [0, 1, 3, 5, 2, 4]), [batch, height // 2, width // 2, 4 * channels])
        else:
            z = tf.nn.space_to_depth(x, 2)
            if self.order == "diagonal":
                z = _positions(z, 0, 3, 1, 2)
        return z, tf.zeros(tf.shape(x)[:1], x.dtype)

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        if self.order == "channel_major":
            batch, height, width, channels = _sizes(z)
            blocks = tf.reshape(z, [batch, height, width, channels // 4, 2, 2])
            x = tf.reshape(tf.transpose(blocks, [0, 1, 4, 2, 5, 3]), [batch, 2 * height, 2 * width, channels // 4])
        else:
            x = tf.nn.depth_to_space(_positions(z, 0, 2, 3, 1) if self.order == "diagonal" else z, 2)
        return x, tf.zeros(tf.shape(z)[:1], z.dtype)


def _sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """The sizes of the axes of `x`, as Python integers where static."""
    return [size if size is not None else tf.shape(x)[axis] for axis, size in enumerate(x.shape)]


def _positions(z: tf.Tensor, *order: int) -> tf.Tensor:
    """Reorders the four positions of a block, given top row first."""
    parts = tf.split(z, 4, -1)
    return tf.concat([parts[i] for i in order], -1)
