"""The trained models that come with the package, by name."""

import os
import pathlib

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# As `setup.py` installs them; in a checkout.
_FOLDERS = (_PACKAGE / "saved_models", _PACKAGE.parent / "saved_models")


def released() -> dict[str, pathlib.Path]:
    """The folder of each released model by its name, such as "mnist".

    ```python
    sorted(serving.released())  # ["cifar10", "digits", "mnist"]
    ```
    """
    folder = next(filter(os.path.isdir, _FOLDERS), None)
    cards = [] if folder is None else sorted(folder.glob("*/README.md"))
    return {card.parent.name: card.parent for card in cards}
