"""Imports go down only: launch -> training, evaluation, serving, presets -> flows, data -> bijectors -> transformers.

`lossless` is above serving and presets, `inference` and `mcmc` above training. Beside bijectors stand conditioners,
novelty and storage.
"""

import ast
import pathlib
from collections.abc import Iterator

from absl.testing import absltest, parameterized

import tfp_realnvp

_FILES = {"extras", "named", "paths", "version"}  # Files below all rooms that read or write, or take names for objects.
# Moments over replicas, the private names of other packages, and the resolution of floats.
_BELOW_ALL = {"moments", "private", "resolution"}
_BOTTOM = {"bijectors", "conditioners", "novelty", "storage", "transformers"}
_MIDDLE = {"flows", "columns", "data"}
_BELOW = {
    "storage": set(),
    "novelty": set(),
    "conditioners": _BELOW_ALL,
    "transformers": _BELOW_ALL,
    "bijectors": {"transformers"} | _BELOW_ALL,
    "flows": _BOTTOM | _FILES | _BELOW_ALL,
    "columns": {"flows"} | _BOTTOM | _FILES | _BELOW_ALL,
    "data": {"columns", "flows"} | _BOTTOM | _FILES | _BELOW_ALL,
    "inference": {"training"} | _MIDDLE | _BOTTOM | _FILES | _BELOW_ALL,
    "lossless": {"presets", "serving"} | _MIDDLE | _BOTTOM | _FILES | _BELOW_ALL,
    "mcmc": {"training"} | _MIDDLE | _BOTTOM | _FILES | _BELOW_ALL,
    **{room: _MIDDLE | _BOTTOM | _FILES | _BELOW_ALL for room in ("training", "evaluation", "serving", "presets")},
}
_PACKAGE = pathlib.Path(tfp_realnvp.__file__).parent


def _rooms_imported(file: pathlib.Path) -> Iterator[str]:
    """The rooms that a file imports; `launch` counts as one, the package's own face as ''."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, *rest = name.split(".")
            if package == "launch":
                yield package
            elif package == "tfp_realnvp":
                yield rest[0] if rest else ""


class LayersTest(parameterized.TestCase):
    @parameterized.parameters(*_BELOW)
    def test_a_room_imports_only_what_is_below(self, room):
        files = sorted((_PACKAGE / room).glob("*.py"))
        self.assertNotEmpty(files)
        for file in files:
            above = set(_rooms_imported(file)) - _BELOW[room] - {room}
            self.assertEmpty(above, f"{room}/{file.name} imports {above}")

    def test_every_room_is_known(self):
        rooms = {file.parent.name for file in _PACKAGE.glob("*/*.py")}
        self.assertEqual(rooms, set(_BELOW))


if __name__ == "__main__":
    absltest.main()
