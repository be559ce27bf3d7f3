"""The base class of transformers."""

import abc
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf


class Transformer(abc.ABC):
    """An increasing scalar function `z = f(x; raw)` whose parameters a conditioner computes.

        forward(x, raw) -> f(x), log f'(x)
        inverse(z, raw) -> f^{-1}(z), log of its derivative at z

    A `Coupling` or an `Autoregressive` layer applies it to every entry that it changes. The conditioner's output is
    `raw`, any real numbers `[batch, ..., outputs, entries]`. A subclass sets `outputs` and implements the two methods,
    see `docs/extend.md`.

    Attributes:
      outputs: number of parameters per entry.
      variables: its own Keras variables, created by `build`.

    Papamakarios, Nalisnick, Rezende, Mohamed, Lakshminarayanan. Normalizing flows for probabilistic modeling and
    inference. JMLR 2021. arXiv 1912.02762. Section 3.1.
    """

    outputs: int
    variables: tuple[keras.Variable, ...] = ()

    def build(self, dtype: str, name: str) -> None:  # noqa: B027, most have no variables.
        """Creates the variables in the flow's dtype; called by the layer of that name."""

    @abc.abstractmethod
    def forward(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `f(x)` and `log f'(x)` of each entry of `x`, `[batch, ..., entries]`."""

    @abc.abstractmethod
    def inverse(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `f^{-1}(z)` and the log of its derivative at each entry."""

    def __str__(self) -> str:
        """The transformer and its settings in a few words."""
        return type(self).__name__


def check_transformer(value: object) -> None:
    """Raises a `TypeError` for what is no transformer, or one that does not say how many parameters an entry has."""
    if not isinstance(value, Transformer):
        raise TypeError(f"expected a transformer, such as tfp_realnvp.transformers.Affine(), got {value!r}")
    if not isinstance(getattr(value, "outputs", None), int):
        raise TypeError(f"expected a transformer with outputs, its number of parameters per entry, got {value}")


def build_once(transformer: Transformer, dtype: str, name: str) -> None:
    """Calls a transformer's `build`, unless another layer has: its variables are then those of both layers.

    Raises:
      ValueError: if the other layer has another dtype.
    """
    built = vars(transformer).get("_dtype_of_build")
    if built is None:
        transformer.build(dtype, name)
        vars(transformer)["_dtype_of_build"] = dtype
    elif built != dtype:
        raise ValueError(f"expected a transformer that no {built} layer has, got {transformer} for {name} of {dtype}")


def checked(x: tf.Tensor, result: tuple[tf.Tensor, tf.Tensor], transformer: Transformer) -> tuple[tf.Tensor, tf.Tensor]:
    """The result of a transformer's pass over `x`.

    Raises:
      ValueError: for values or log-slopes of another shape or dtype, which would be broadcast, and counted too rarely.
    """
    for what, part in zip(("values", "log-slopes"), result):
        if part.dtype != x.dtype or not part.shape.is_compatible_with(x.shape):
            raise ValueError(
                f"{transformer}: expected {what} of shape {x.shape} and dtype {x.dtype.name}, one for each entry, got "
                f"{part.shape} and {part.dtype.name}"
            )
    return result


def in_turn(
    x: tf.Tensor, functions: Iterable[Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]
) -> tuple[tf.Tensor, tf.Tensor]:
    """The value of functions applied in order, and the sum of their log-slopes."""
    total = 0.0
    for function in functions:
        x, log_slope = function(x)
        total += log_slope
    return x, total
