"""The precision of conditioner evaluations."""

import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from tfp_realnvp import private
from tfp_realnvp.bijectors.traced_once import call_in_training
from tfp_realnvp.bijectors.variables import found_keras_parts

_HALF = ("float16", "bfloat16")
_keeps_half = contextvars.ContextVar("keeps_half", default=False)
# For each layer that inference passes have switched to another policy: the number of passes, and its own policy.
_lent: dict[keras.layers.Layer, tuple[int, keras.DTypePolicy]] = {}
_LOCK = threading.Lock()


def reads_context(conditioner: Callable[..., tf.Tensor]) -> bool:
    """Whether a conditioner takes the argument `context`."""
    call = conditioner.call if isinstance(conditioner, keras.layers.Layer) else conditioner
    try:
        parameters = inspect.signature(call).parameters
    except (TypeError, ValueError):  # It has none, as some functions of other languages.
        return True
    # Keras' own models take any keyword and drop it.
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    return "context" in parameters or takes_any and not str(getattr(call, "__module__", "")).startswith("keras.")


def call_conditioner(
    conditioner: Callable[..., tf.Tensor], x: tf.Tensor, context: tf.Tensor | None, training: bool
) -> tf.Tensor:
    """The output of a conditioner; in inference mode mixed policies are replaced by the dtype of the variables.

    Inverses are exact only to float32 rounding; a half-precision conditioner may turn that into an error of 2^-8.
    """
    given = {} if context is None or not reads_context(conditioner) else {"context": context}
    is_layer = isinstance(conditioner, keras.layers.Layer)
    if training:
        return call_in_training(conditioner, x, given) if is_layer else conditioner(x, **given)
    if is_layer:
        given["training"] = False
    with inference_precision(conditioner):
        return conditioner(x, **given)


@contextlib.contextmanager
def half_precision_inference() -> Iterator[None]:
    """A context in which conditioners with a mixed dtype policy use half precision in inference mode, too.

    Use it for densities: they then cost no more than a training forward pass. Samples and encodings of flows with
    `InvertibleLinear` or `ActNorm` no longer invert. It applies to this thread's evaluations, traces and exports.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 3), dtype_policy="mixed_bfloat16")
    with nvp.bijectors.half_precision_inference():
        distribution.log_prob(tf.fill([2, 8, 8, 3], 100.0))
    ```
    """
    token = _keeps_half.set(True)
    try:
        yield
    finally:
        _keeps_half.reset(token)


@contextlib.contextmanager
def inference_precision(conditioner: Callable[..., tf.Tensor]) -> Iterator[None]:
    """A context in which the Keras layers of a conditioner have their inference-mode policies."""
    if _keeps_half.get():
        yield
        return
    layers = [part for part in found_keras_parts(conditioner) if isinstance(part, keras.layers.Layer)]
    all_layers = dict.fromkeys(within for layer in layers for within in private.layers_of(layer))
    with _LOCK:
        parts = [part for part in all_layers if part in _lent or _is_mixed(part.dtype_policy)]
        for part in parts:
            passes, policy = _lent.get(part, (0, part.dtype_policy))
            _lent[part] = passes + 1, policy
            part.dtype_policy = part.variable_dtype
    try:
        yield
    finally:
        with _LOCK:
            for part in parts:
                passes, policy = _lent.pop(part)
                if passes > 1:
                    _lent[part] = passes - 1, policy
                else:
                    part.dtype_policy = policy


def _is_mixed(policy: keras.DTypePolicy) -> bool:
    return type(policy) is keras.DTypePolicy and policy.compute_dtype in _HALF and policy.variable_dtype not in _HALF
