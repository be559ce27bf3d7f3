"""The arguments of a constructor, which TFP copies and compares by."""

import functools
import inspect
from typing import Any


class KeepsArguments:
    """A bijector or distribution whose `parameters` are the arguments of its constructor, whichever class it is."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "__init__" not in vars(cls):
            return
        init = cls.__init__

        @functools.wraps(init)
        def keep_and_init(self: Any, *args: Any, **kwargs: Any) -> None:
            # By the outermost class alone; as nothing that TensorFlow tracks or `tf.Module` looks into.
            is_outermost = "_arguments" not in vars(self)
            vars(self).setdefault("_arguments", functools.partial(cls, *args, **kwargs))
            init(self, *args, **kwargs)
            if is_outermost:
                self._constructed()

        cls.__init__ = keep_and_init

    def _constructed(self) -> None:
        """Called at the end of the constructor, of the outermost class."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments that the constructor was given, and its defaults for the others, by their names."""
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *self._arguments.args, **self._arguments.keywords)
        bound.apply_defaults()
        _, *given = bound.arguments.items()
        given = dict(given)
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                given |= given.pop(name)
        return given
