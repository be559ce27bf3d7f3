"""The layer of block neural autoregressive flows."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_realnvp.bijectors.batch_axes import ValueAndLogDet
from tfp_realnvp.bijectors.bijector import Bijector
from tfp_realnvp.bijectors.precision import call_conditioner, reads_context
from tfp_realnvp.transformers.bisection import inverse_by_bisection


class _Dense(NamedTuple):
    """A masked dense layer: blocks of inputs and of outputs, one block per entry."""

    kernel: tf.Tensor  # [size * inputs, size * outputs], 0 where the inputs' entry comes after the outputs'.
    own: tf.Tensor  # [size, inputs, outputs], the blocks on the diagonal, positive.
    bias: tf.Tensor  # [size * outputs], or [batch, size * outputs]

    def of_entry(self, i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The kernel, own block and bias of the outputs of entry i."""
        size, _, outputs = self.own.shape
        kernel = tf.reshape(self.kernel, [-1, size, outputs])
        bias = tf.reshape(self.bias, [-1, size, outputs])
        return tf.gather(kernel, i, axis=1), tf.gather(self.own, i), tf.gather(bias, i, axis=1)


class BlockAutoregressive(Bijector):
    """Transforms a vector by a masked network that is increasing in each entry and passes it on through a gate (BNAF).

        forward:  z = (1 - a) x + a (W h_n + b),  h_0 = x,  h_j = tanh(W_j h_{j-1} + b_j [+ conditioner(context)])
        inverse:  x_1, x_2, ... in turn, each by bisection
        log|det df/dx| = sum_i log(1 - a_i + a_i s_i),  s_i = B D_n B_n ... D_1 B_1  with the blocks of entry i

    with `0 < a < 1` learned for each entry and `conditioner(context)` in the first hidden layer alone. Each entry has a
    block of hidden units in each layer. A kernel's blocks from entries before i are free, those from entry i, `B_j`,
    are positive, those from entries after i are 0: output i is a monotone network of `x_i` whose weights and biases
    depend on the entries before it, all in one network. `D_j` are the slopes of `tanh`. All terms are positive.

        W_j = exp(scale_j) V_j / |V_j|  for each hidden unit,  V_j = softplus(raw) in the own block, raw before it

    Where all units saturate the slope is `1 - a`, so z covers the real line; without the gate, as for `a = 1`, it would
    not, and densities would not integrate to 1. The inverse costs about as much as 33 evaluations of the own blocks and
    two of the network, independently of the number of entries. `tfb.Invert` exchanges the costs.

    Args:
      size: number of entries of the vector.
      units: number of hidden units of each entry in each hidden layer.
      depth: n, the number of hidden layers.
      conditioner: for conditional flows a built Keras layer or any callable, called as an `Elementwise` layer calls its
        own. It returns `[batch, size * units]`.
      seed: seed of the initial weights.

    Raises:
      ValueError: for fewer than 1 unit or hidden layer, or if the conditioner's output has the wrong size.

    ```python
    layer = nvp.bijectors.BlockAutoregressive(size=3)
    z, log_det = layer.forward_and_log_det(tf.constant([[0.5, -1.0, 2.0]]))
    ```

    De Cao, Titov, Aziz. Block neural autoregressive flow. UAI 2019. arXiv 1904.04676. Its gate is one number for all
    entries.
    """

    networks = 1

    def __init__(
        self,
        size: int,
        *,
        units: int = 8,
        depth: int = 1,
        conditioner: Callable[..., tf.Tensor] | None = None,
        seed: int = 0,
        dtype: str = "float32",
        name: str = "block_autoregressive",
    ):
        if units < 1 or depth < 1:
            raise ValueError(f"expected at least 1 unit and a depth of 1, got {units} and {depth}")
        super().__init__(event_ndims=1, size=size, name=name)
        self.size, self.units, self.depth = size, units, depth
        random = np.random.default_rng(seed)
        self.raw, self.scales, self.biases, self._masks = [], [], [], []
        for i, (inputs, outputs) in enumerate(itertools.pairwise([1, *[units] * depth, 1])):
            entries = [np.repeat(np.arange(size), count) for count in (inputs, outputs)]
            before, own = (compare.outer(*entries) for compare in (np.less, np.equal))
            self._masks.append((before, own))
            reach = (size * inputs) ** -0.5
            raw = random.uniform(-reach, reach, before.shape)
            self.raw.append(self._variable(raw, f"{name}_raw_{i}", dtype))
            # Units that are steep, and centred over the bulk of standardised data, learn modes that are apart sooner.
            self.scales.append(self._variable(np.full(size * outputs, min(i, 1)), f"{name}_scale_{i}", dtype))
            bias = random.uniform(-2, 2, size * outputs) if i < depth else np.zeros(size)
            self.biases.append(self._variable(bias, f"{name}_bias_{i}", dtype))
        self.gate = self._variable(np.zeros(size), f"{name}_gate", dtype)
        if conditioner is not None:
            self.conditioner = conditioner

    @property
    def takes_context(self) -> bool:
        return hasattr(self, "conditioner") and reads_context(self.conditioner)

    def describe(self) -> str:
        layers = "x".join([str(self.units)] * self.depth)
        return f"{self.name}: {layers} hidden units for each entry"

    def _layers(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> list[_Dense]:
        found = []
        for raw, scale, bias, (before, own) in zip(self.raw, self.scales, self.biases, self._masks):
            free = tf.convert_to_tensor(raw.value)
            kernel = tf.where(own, tf.nn.softplus(free), tf.where(before, free, tf.zeros_like(free)))
            squares = tf.maximum(tf.reduce_sum(kernel**2, 0), np.finfo(kernel.dtype.as_numpy_dtype).tiny)
            kernel *= tf.exp(scale.value) * tf.math.rsqrt(squares)
            blocks = tf.reshape(kernel, [self.size, raw.shape[0] // self.size, self.size, -1])
            of_entries = tf.einsum("iaib->iab", blocks)
            found.append(_Dense(kernel, of_entries, tf.convert_to_tensor(bias.value)))
        if hasattr(self, "conditioner"):
            kernel, own_blocks, shared = found[0]
            found[0] = _Dense(kernel, own_blocks, shared + self._added(x, context, training))
        return found

    def _added(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> tf.Tensor:
        nothing = tf.zeros([tf.shape(x)[0], 0], x.dtype)
        added = tf.cast(call_conditioner(self.conditioner, nothing, context, training), x.dtype)
        if added.shape[1:] != [self.size * self.units]:
            raise ValueError(
                f"{self.name}: expected the conditioner to return {self.size * self.units} numbers, {self.units} for "
                f"each of {self.size} entries, got shape {added.shape}"
            )
        return added

    def _forward_and_log_det(self, x: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        return self._evaluated(x, self._layers(x, context, training))

    def _inverse_and_log_det(self, z: tf.Tensor, context: tf.Tensor | None, training: bool) -> ValueAndLogDet:
        layers = self._layers(z, context, training)
        x = self._solved(z, layers)
        return x, -self._evaluated(x, layers)[1]

    def _evaluated(self, x: tf.Tensor, layers: list[_Dense]) -> ValueAndLogDet:
        hidden, slopes = x, tf.ones_like(x)[..., tf.newaxis]
        for i, layer in enumerate(layers):
            hidden = hidden @ layer.kernel + layer.bias
            slopes = tf.einsum("bia,iac->bic", slopes, layer.own)
            if i < self.depth:
                slopes *= tf.reshape(_slope_of_tanh(hidden), [-1, self.size, self.units])
                hidden = tf.tanh(hidden)
        z, slope = _gated(x, hidden, slopes[..., 0], self.gate.value)
        return z, tf.reduce_sum(tf.math.log(slope), -1)

    def _solved(self, z: tf.Tensor, layers: list[_Dense]) -> tf.Tensor:
        """The inverse. The hidden units of the entries that are solved are kept, so none is evaluated twice."""
        z = tf.transpose(z)  # Entries first.
        parameters = tf.convert_to_tensor(self.gate.value)

        def solve_one_more(i: tf.Tensor, inputs: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            """`x_i` and its hidden units, after those of each entry before i; of i and later ones they are 0."""
            own, known = [], []
            for layer, values in zip(layers, inputs):
                kernel, of_entry, bias = layer.of_entry(i)
                own.append(of_entry)
                known.append(values @ kernel + bias)
            gate = parameters[i]

            def values_and_slope(x: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
                """The values of each layer, from `x` to `z`, and the slope, `[batch, 1]`."""
                values, slope = [x], tf.ones_like(x)
                for j in range(self.depth + 1):
                    value, slope = values[-1] @ own[j] + known[j], slope @ own[j]
                    if j < self.depth:
                        value, slope = tf.tanh(value), slope * _slope_of_tanh(value)
                    values.append(value)
                values[-1], slope = _gated(x, values[-1], slope, gate)
                return values, slope

            def value_and_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                values, slope = values_and_slope(x)
                return values[-1], slope

            target, reach = z[i][:, tf.newaxis], tf.reduce_sum(own[-1])
            low, high = ((target - tf.sigmoid(gate) * (known[-1] + end)) / tf.sigmoid(-gate) for end in (reach, -reach))
            x = inverse_by_bisection(value_and_slope, target, low, high)
            solved = values_and_slope(x)[0][:-1]
            is_i = tf.equal(tf.range(self.size), i)
            columns = (tf.repeat(is_i, value.shape[-1]) for value in solved)
            tiled = (tf.tile(value, [1, self.size]) for value in solved)
            return i + 1, [tf.where(column, new, old) for column, new, old in zip(columns, tiled, inputs)]

        sizes = [1, *[self.units] * self.depth]
        start = [tf.zeros([tf.shape(z)[1], self.size * each], z.dtype) for each in sizes]
        _, (x, *_) = tf.while_loop(lambda *unused: True, solve_one_more, (0, start), maximum_iterations=self.size)
        return x


def _slope_of_tanh(x: tf.Tensor) -> tf.Tensor:
    return 4 * tf.sigmoid(2 * x) * tf.sigmoid(-2 * x)  # Not 1 - tanh(x)^2, which loses its digits far out.


def _gated(x: tf.Tensor, value: tf.Tensor, slope: tf.Tensor, gate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    passed, share = tf.sigmoid(-gate), tf.sigmoid(gate)
    return passed * x + share * value, passed + share * slope
