"""The residual network of image couplings."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfp_realnvp.conditioners.batch_normalization import BatchNormalization
from tfp_realnvp.conditioners.network import Network, add_context, checked_context, last_axis
from tfp_realnvp.conditioners.weight_norm_conv import WeightNormConv2D, convolve, weights_of

_NORMS = {
    "batch": BatchNormalization,
    "layer": functools.partial(keras.layers.LayerNormalization, epsilon=1e-4, scale=False),
    "none": keras.layers.Identity,
}


@keras.saving.register_keras_serializable("tfp_realnvp")
class ResidualNetwork(Network):
    """A pre-activation residual network with a skip connection from every block to the output.

        h = norm(x), doubled if half of the pixels are hidden;  h = [a(h), a(-h), mask]
        f_0 = conv3x3(h)  (+ dense(context))
        f_i = f_{i-1} + conv3x3(a(norm(conv3x3(a(norm(f_{i-1}))))))           i = 1 ... blocks
        y = conv1x1(a(norm(sum_i conv1x1_i(f_i))))

    All convolutions are weight-normalised. The defaults reproduce the authors' program exactly.

    Args:
      outputs: number of output channels.
      width: number of hidden channels.
      blocks: number of residual blocks.
      mask_channel: whether the last input channel is a mask, as a `Checkerboard` gives: it is not normalised, and
        the other channels, half of them hidden, are doubled.
      use_skips: whether every block feeds the output through a 1x1 convolution; otherwise only the last block does.
      activation: name of a Keras activation, or a callable.
      normalization: "batch", "layer" or "none". The input gets no layer norm.
      output_scale: initial magnitude of the last convolution; 0 gives zero outputs. By default as in the other
        convolutions.
      context_size: size of the last axis of the context of a conditional flow, or None for no context.
      **kwargs: passed to `keras.layers.Layer`. Under a mixed dtype policy the output stays in the variables' dtype.

    Shapes: `[batch, height, width, channels]` to `[batch, height, width, outputs]`; context
    `[batch, context_size]`, or an image of its own, `[batch, height, width, context_size]`.

    Raises:
      ValueError: for an unknown normalization, or a context where none or another is expected.

    He et al. Identity mappings in deep residual networks. ECCV 2016. arXiv 1603.05027.
    Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017. Section 4.1.
    """

    _frozen: Callable[[], dict[str, list[tf.Tensor]]] | None = None  # What `folded` gives within `frozen`.

    def __init__(
        self,
        *,
        outputs: int,
        width: int = 64,
        blocks: int = 8,
        mask_channel: bool = False,
        use_skips: bool = True,
        activation: str = "relu",
        normalization: str = "batch",
        output_scale: float | None = None,
        context_size: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if width < 1 or blocks < 0:
            raise ValueError(f"expected a width of 1 and blocks of 0 or more, got {width} and {blocks}")
        if normalization not in _NORMS:
            raise ValueError(f"expected normalization to be one of {', '.join(_NORMS)}, got {normalization!r}")
        self.outputs = outputs
        self.width = width
        self.blocks = blocks
        self.mask_channel = mask_channel
        self.use_skips = use_skips
        self.activation = keras.activations.get(activation)
        self.normalization = normalization
        self.output_scale = output_scale
        self.context_size = context_size

        # A layer norm over the input's few channels would remove most of the signal; with one channel, all of it.
        self.norm_in = self._norm("norm_in", "none" if normalization == "layer" else normalization)
        self.conv_in = self._conv(3, "conv_in", use_magnitude=False)
        self.context_in: keras.layers.Dense | None = None
        if context_size is not None:
            self.context_in = keras.layers.Dense(width, use_bias=False, dtype=self.dtype_policy, name="context_in")
        self.norms_1 = [self._norm(f"block_{i}_norm_1") for i in range(blocks)]
        self.convs_1 = [self._conv(3, f"block_{i}_conv_1", use_bias=False, use_magnitude=False) for i in range(blocks)]
        self.norms_2 = [self._norm(f"block_{i}_norm_2") for i in range(blocks)]
        self.convs_2 = [self._conv(3, f"block_{i}_conv_2") for i in range(blocks)]
        self.skips = [self._conv(1, f"skip_{i}") for i in range(blocks + 1)] if use_skips else []
        self.norm_out = self._norm("norm_out")
        of_output = dict(filters=outputs, initial_magnitude=output_scale, dtype=self.variable_dtype)
        self.conv_out = self._conv(1, "conv_out", **of_output)

    def describe(self) -> str:
        """The network in a few words, for `summary`."""
        return f"ResidualNetwork {self.blocks} blocks x {self.width}"

    def kind(self) -> tuple[Any, ...]:
        """A key that is equal for networks that differ only in their variables and name."""
        return type(self), self.activation, repr({**self.get_config(), "name": None, "trainable": None})

    def _conv(self, kernel_size: int, name: str, **kwargs: Any) -> WeightNormConv2D:
        kwargs = {"filters": self.width, "dtype": self.dtype_policy, **kwargs}
        return WeightNormConv2D(kernel_size=kernel_size, name=name, **kwargs)

    def _norm(self, name: str, normalization: str | None = None) -> keras.layers.Layer:
        return _NORMS[normalization or self.normalization](dtype=self.dtype_policy, name=name)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, height, width, _ = input_shape
        channels = last_axis(input_shape)
        data_channels = channels - 1 if self.mask_channel else channels
        within = (batch, height, width, self.width)
        self.norm_in.build((batch, height, width, data_channels))
        self.conv_in.build((batch, height, width, data_channels + channels))
        if self.context_in is not None:
            self.context_in.build((batch, self.context_size))
        blocks = (*self.norms_1, *self.convs_1, *self.norms_2, *self.convs_2)
        for layer in (*blocks, *self.skips, self.norm_out, self.conv_out):
            layer.build(within)

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        context = checked_context(context, self.context_size)
        weights = self._weights({}) if training else self.folded()

        def conv(layer: WeightNormConv2D, x: tf.Tensor) -> tf.Tensor:
            return convolve(x, *weights[layer.name])

        def norm(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
            return x if layer.name in weights else layer(x, training=training)

        data = inputs[..., :-1] if self.mask_channel else inputs
        normal = norm(self.norm_in, data)
        if self.mask_channel:
            normal = 2 * normal
        both = [self.activation(normal), self.activation(-normal)]
        hidden = conv(self.conv_in, tf.concat([*both, inputs[..., -1:]] if self.mask_channel else both, -1))
        hidden = add_context(hidden, self.context_in, context)
        total = conv(self.skips[0], hidden) if self.use_skips else hidden
        for i in range(self.blocks):
            change = conv(self.convs_1[i], self.activation(norm(self.norms_1[i], hidden)))
            change = conv(self.convs_2[i], self.activation(norm(self.norms_2[i], change)))
            hidden += change
            total = total + conv(self.skips[i + 1], hidden) if self.use_skips else hidden
        return conv(self.conv_out, self.activation(norm(self.norm_out, total)))

    def _weights(self, affine: dict[str, tuple[tf.Tensor, tf.Tensor]]) -> dict[str, list[tf.Tensor]]:
        return weights_of([self.conv_in, *self.convs_1, *self.convs_2, *self.skips, self.conv_out], affine)

    def folded(self) -> dict[str, list[tf.Tensor]]:
        """Every convolution's weights with the following batch norm folded in; an empty list for a folded norm."""
        if self._frozen is not None:
            return self._frozen()
        if self.normalization != "batch":
            return self._weights({})
        affine = {layer.name: norm.scale_and_offset() for layer, norm in zip(self.convs_1, self.norms_2)}
        folded = [*self.norms_2]
        if self.use_skips:
            scale, offset = self.norm_out.scale_and_offset()
            # Every term of a sum is scaled; only one gets the offset.
            affine |= {skip.name: (scale, tf.zeros_like(offset)) for skip in self.skips}
            affine[self.skips[0].name] = scale, offset
            folded.append(self.norm_out)
        return self._weights(affine) | {norm.name: [] for norm in folded}

    @contextlib.contextmanager
    def frozen(self, kernel_dtype: tf.DType | None = None) -> Iterator[None]:
        """A context in which inference uses copies of the current folded weights, kernels in `kernel_dtype`."""

        def stored(weight: tf.Tensor) -> tuple[tf.Variable, tf.DType]:
            stored_dtype = kernel_dtype if kernel_dtype and weight.shape.rank == 4 else weight.dtype
            return tf.Variable(tf.cast(weight, stored_dtype), trainable=False), weight.dtype

        frozen = {name: [stored(weight) for weight in weights] for name, weights in self.folded().items()}
        self._frozen = lambda: {name: [tf.cast(*weight) for weight in weights] for name, weights in frozen.items()}
        try:
            yield
        finally:
            self._frozen = None
