"""What a flow learns, as TFP, Keras and checkpoints see it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

KerasPart = keras.layers.Layer | keras.Variable


class FollowsKeras(tf.Module):
    """A bijector or distribution whose `trainable_variables` leave out what `layer.trainable = False` froze.

    TFP collects `tf.Variable`s, whose own flag cannot change. TFP's containers around one of these still count frozen
    variables.
    """

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        frozen = self._frozen()
        return tuple(v for v in super().trainable_variables if id(v) not in frozen)

    @property
    def non_trainable_variables(self) -> tuple[tf.Variable, ...]:
        trainable = {id(v) for v in self.trainable_variables}
        return tuple(v for v in self.variables if id(v) not in trainable)

    def _frozen(self) -> set[int]:
        return {id(v.value) for v in variables_of(learned_layers(self)) if not v.trainable}


def learned_layers(module: tf.Module) -> list[KerasPart]:
    """The Keras layers and variables of all bijectors in `module`, each once, in the order of the flow."""
    ours = [m for m in (module, *module.submodules) if isinstance(m, FollowsKeras)]
    layers = itertools.chain.from_iterable(getattr(m, "layers", ()) for m in ours)
    return list({id(layer): layer for layer in layers}.values())


def variables_of(layers: Iterable[KerasPart]) -> list[keras.Variable]:
    """The Keras variables of layers and variables."""
    return [v for part in layers for v in (part.variables if isinstance(part, keras.layers.Layer) else [part])]


def keras_parts(conditioner: Any) -> tuple[KerasPart, ...]:
    """The Keras layers and variables of a conditioner, which TFP and checkpoints do not find by themselves.

    Those are a Keras layer itself, or what a `tf.Module` with Keras layers in its attributes holds, its `tf.Variable`s
    included. A `tf.Module` without Keras layers has none: TFP and checkpoints see what is in it.
    """
    parts = found_keras_parts(conditioner)
    if parts and isinstance(conditioner, tf.Module):
        return (*parts, *map(as_keras_variable, conditioner.variables))
    return parts


def found_keras_parts(conditioner: Any) -> tuple[KerasPart, ...]:
    """As `keras_parts`, but for the `tf.Variable`s of a `tf.Module`."""
    if isinstance(conditioner, KerasPart):
        return (conditioner,)
    if not isinstance(conditioner, tf.Module):
        return ()
    return tuple(conditioner._flatten(predicate=lambda part: isinstance(part, KerasPart)))


def as_keras_variable(variable: tf.Variable) -> keras.Variable:
    """A Keras variable whose value is the `tf.Variable` itself.

    Keras' optimizers, files and callbacks then read and write the `tf.Variable` that the flow uses.
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
