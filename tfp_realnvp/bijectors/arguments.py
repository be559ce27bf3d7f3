"""Constructor arguments, by which TFP copies and compares objects."""

import functools
import inspect
import itertools
from typing import Any


class KeepsArguments:
    """A bijector or distribution whose `parameters` are its constructor's arguments, in subclasses, too."""

    _arguments: functools.partial[Any]

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "__init__" not in vars(cls):
            return
        init = cls.__init__

        @functools.wraps(init)
        def keep_and_init(self: Any, *args: Any, **kwargs: Any) -> None:
            # Set by the outermost class alone, in a form that neither TensorFlow nor `tf.Module` tracks.
            is_outermost = "_arguments" not in vars(self)
            vars(self).setdefault("_arguments", functools.partial(cls, *args, **kwargs))
            init(self, *args, **kwargs)
            if is_outermost:
                self._constructed()

        cls.__init__ = keep_and_init  # type: ignore[method-assign]

    def _constructed(self) -> None:
        """Called at the end of the outermost class's constructor."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments by name, with defaults for those that were not passed."""
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *self._arguments.args, **self._arguments.keywords)
        bound.apply_defaults()
        given = dict(itertools.islice(bound.arguments.items(), 1, None))  # Without `self`.
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                given |= given.pop(name)
        return given
