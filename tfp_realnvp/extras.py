"""Packages that a single feature needs, which are imported when it is used and may not be installed."""

import contextlib
from collections.abc import Iterator


class MissingExtraError(ModuleNotFoundError):
    """A package of an extra is not installed; the message says how to install it."""


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """A context for imports from the packages of an extra of `setup.py`.

    Raises:
      MissingExtraError: if one of them is not installed.

    ```python
    with extra("plots"):
        import matplotlib.figure
    ```
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise MissingExtraError(f"{package} is not installed: pip install 'tfp_realnvp[{name}]'") from None
