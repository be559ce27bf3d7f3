"""Makes a flow's variables visible to TFP, Keras and checkpoints."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import private
from tfp_realnvp.transformers import Transformer

KerasPart: TypeAlias = keras.layers.Layer | keras.Variable


class FollowsKeras(tf.Module):
    """A bijector or distribution whose `trainable_variables` omit variables frozen by `layer.trainable = False`.

    TFP collects `tf.Variable`s, whose `trainable` flag cannot change. TFP's containers around such an object still
    count frozen variables.
    """

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        frozen = {id(v.value) for v in variables_of(learned_layers(self)) if not v.trainable}
        return tuple(v for v in super().trainable_variables if id(v) not in frozen)

    @property
    def non_trainable_variables(self) -> tuple[tf.Variable, ...]:
        trainable = {id(v) for v in self.trainable_variables}
        return tuple(v for v in self.variables if id(v) not in trainable)


class OwnsLayers(FollowsKeras):
    """Tracks the Keras layers and variables that are assigned to its attributes, as Keras and PyTorch do.

    TFP and checkpoints find `tf.Variable`s, not Keras ones. They reach them only through the list `_visible_variables`:
    a checkpoint that also followed the layers would store some values twice, and miss variables that a layer keeps in a
    list.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        parts = keras_parts(value)
        for part in parts:
            if isinstance(part, keras.layers.Layer) and not part.built:
                raise ValueError(
                    f"expected a built layer, so that its variables can be seen, got the unbuilt {part.name!r}: "
                    "call it once, or its build(shape)"
                )
        owned = self.__dict__.setdefault("_owned", {})
        super().__setattr__(name, private.untracked(self, value) if parts else value)
        if parts or name in owned:
            owned[name] = parts
            self._show_variables()

    def _constructed(self) -> None:
        for name, value in list(vars(self).items()):
            # The container may have grown since it was assigned.
            if isinstance(value, (list, dict)) and name != "_owned" and keras_parts(value):
                delattr(self, name)
                setattr(self, name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # In a copy by `copy` or pickle, Keras gives a layer new variables, which must be collected again.
        self.__dict__.update(state)
        self._show_variables()

    def _show_variables(self) -> None:
        self._visible_variables = [variable.value for variable in variables_of(self.layers)]

    @property
    def layers(self) -> list[KerasPart]:
        """The Keras layers and variables among the attributes, in the order of assignment."""
        return list(itertools.chain.from_iterable(self.__dict__.get("_owned", {}).values()))


def learned_layers(module: tf.Module) -> list[KerasPart]:
    """The Keras layers and variables of all bijectors in `module`, each once, in the order of the flow."""
    owners = [m for m in (module, *module.submodules) if isinstance(m, OwnsLayers)]
    return list({id(layer): layer for owner in owners for layer in owner.layers}.values())


def variables_of(layers: Iterable[KerasPart]) -> list[keras.Variable]:
    """The Keras variables of layers and variables."""
    return [v for part in layers for v in (part.variables if isinstance(part, keras.layers.Layer) else [part])]


def keras_parts(value: Any) -> tuple[KerasPart, ...]:
    """The Keras layers and variables in an attribute, which TFP and checkpoints do not find by themselves.

    If a `tf.Module` or a list contains any, its `tf.Variable`s are returned, too. Otherwise nothing is returned, since
    TFP and checkpoints find its contents themselves.
    """
    parts = found_keras_parts(value)
    if not parts or isinstance(value, KerasPart):
        return parts
    known = {id(variable.value) for variable in variables_of(parts)}
    module = tf.Module()
    module.value = value
    return (*parts, *(as_keras_variable(v) for v in module.variables if id(v) not in known))


def found_keras_parts(value: Any) -> tuple[KerasPart, ...]:
    """Like `keras_parts`, without `tf.Variable`s."""
    if isinstance(value, KerasPart):
        return (value,)
    entries = tuple(value.values()) if isinstance(value, Mapping) else value
    if isinstance(entries, (list, tuple)) and any(map(found_keras_parts, entries)):
        # Including bijectors' parts: a list with Keras parts is not tracked.
        parts = (private.found_in(v, KerasPart) if isinstance(v, tf.Module) else found_keras_parts(v) for v in entries)
        return tuple(itertools.chain.from_iterable(parts))
    if isinstance(value, Transformer):
        return value.variables
    if isinstance(value, tf.Module) and not isinstance(value, tfp.bijectors.Bijector):  # A bijector tracks its own.
        return private.found_in(value, KerasPart)
    return ()


def as_keras_variable(variable: tf.Variable) -> keras.Variable:
    """A Keras variable whose value is the `tf.Variable` itself.

    Keras optimizers, files and callbacks then read and write the `tf.Variable` that the flow uses.
    """
    adapted = keras.Variable(
        variable,
        dtype=variable.dtype.name,
        trainable=variable.trainable and variable.dtype.is_floating,
        autocast=False,
        name=variable.name.partition(":")[0].replace("/", "."),
    )
    adapted.constraint = variable.constraint
    return adapted
