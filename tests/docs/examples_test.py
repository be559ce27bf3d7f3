"""Every Python block of README, of the pages in docs/ and of public docstrings runs, and gives the shapes it says."""

from __future__ import annotations

import ast
import atexit
import functools
import gzip
import importlib
import inspect
import math
import os
import pathlib
import re
import shutil
import tempfile
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import matplotlib
import numpy as np
import pyarrow.parquet
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp

matplotlib.use("agg")

_REAL_NVP = nvp.real_nvp
_FIT_POSTERIOR = nvp.inference.fit_posterior
_ROOT = pathlib.Path(__file__).parents[2]
_PACKAGE = pathlib.Path(nvp.__file__).parent
# Under Bazel the package may lie elsewhere than the pages.
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# `# [3, 6]`, `# uint8 [64, 8, 8, 1]`, and of a pair `# [3, 6], [3]`, at the end of a line.
_SHAPES = re.compile(r"#\s*((?:(?:u?int|float)\d+ )?\[[\d, ]*\](?:, \[[\d, ]*\])*)")


def _images(count: int, shape: tuple[int, ...], levels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(levels, size=[count, *shape], dtype=np.uint8)


def _table(rows: int, columns: int = 12) -> np.ndarray:
    return np.random.default_rng(0).normal(size=[rows, columns]).astype(np.float32)


# What a block takes as given, because the text around it says so.
_GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "README.md": lambda: {"points": _table(20, 2), "uint8_images": _images(64, (8, 8, 3), 256)},
    "docs/own_images.md": lambda: {"path": nvp.publish(_logit_alone(256), "served/mine")},
    "docs/serving.md": lambda: {"data": tf.data.Dataset.from_tensors(_images(2, (8, 8, 1), 17))},
    "docs/vectors.md": lambda: {"train": _table(8), "validation": _table(2), "test": _table(2)},
    "tfp_realnvp.training.model.FlowModel": lambda: {"images": _images(64, (8, 8, 1), 17)},
    "tfp_realnvp.training.average.WeightAverage": lambda: {
        "distribution": nvp.maf(event_shape=(2,), layers=1, hidden_units=(4,)),
        "step": tf.constant(0),
        "x": tf.zeros([1, 2]),
    },
}


def _blocks(text: str) -> list[str]:
    return [textwrap.dedent(block) for _, block in _BLOCK.findall(text)]


def _documented(module: types.ModuleType) -> Iterator[tuple[str, str]]:
    """The names and docstrings of a module's classes, methods and functions, and its own."""
    yield module.__name__, module.__doc__ or ""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__ or not (inspect.isclass(value) or callable(value)):
            continue
        yield f"{module.__name__}.{name}", value.__doc__ or ""
        if inspect.isclass(value):
            for attribute, method in vars(value).items():
                yield f"{module.__name__}.{name}.{attribute}", getattr(method, "__doc__", None) or ""


def _docstrings() -> Iterator[tuple[str, types.ModuleType, list[str]]]:
    for path in sorted(_PACKAGE.rglob("*.py")):
        if "```python" not in path.read_text():
            continue
        parts = path.relative_to(_PACKAGE.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        for name, text in _documented(module):
            if blocks := _blocks(text):
                yield name, module, blocks


def _namespace() -> dict[str, Any]:
    """What a reader of this package has imported."""
    return {
        "nvp": nvp,
        "tf": tf,
        "tfp": tfp,
        "tfb": tfp.bijectors,
        "tfd": tfp.distributions,
        "np": np,
        "keras": keras,
        "math": math,
        "data": nvp.data,
        "serving": nvp.serving,
    }


def _run(block: str, namespace: dict[str, Any]) -> list[str]:
    """Runs a block a statement at a time, and compares what a comment behind one says; returns these comments."""
    lines, compared = block.splitlines(), []
    for node in ast.parse(block).body:
        is_value = isinstance(node, ast.Expr)
        code = ast.Expression(node.value) if is_value else ast.Module([node], [])
        value = eval(compile(code, "<block>", "eval" if is_value else "exec"), namespace)
        found = _SHAPES.search(lines[node.end_lineno - 1])
        if not found or not isinstance(node, (ast.Expr, ast.Assign)):
            continue
        if isinstance(node, ast.Assign):
            value = eval(ast.unparse(node.targets[0]), namespace)
        values = value if isinstance(value, tuple) else (value,)
        shapes = [list(np.shape(part)) for part in values]
        expected = [ast.literal_eval(shape) for shape in re.findall(r"\[[\d, ]*\]", found[1])]
        # A comment may speak of the first of a pair alone.
        if shapes[: len(expected)] != expected:
            raise AssertionError(f"{lines[node.end_lineno - 1]}: got shapes {shapes}")
        compared.append(found[1])
    return compared


def _small_real_nvp(*, event_shape: tuple[int, ...], **settings: Any) -> nvp.FlowDistribution:
    """`nvp.real_nvp` with other defaults: narrow and shallow, for tracing takes the time."""
    small = dict(scales=1, width=4, blocks=0) if len(event_shape) == 3 else dict(couplings=2, hidden_units=(8,))
    return _REAL_NVP(event_shape=event_shape, **{**small, **settings})


def _small_fit_posterior(*pairs: Any, **settings: Any) -> nvp.inference.Posterior:
    """`nvp.inference.fit_posterior` with a small flow, for the same reason."""
    flow = functools.partial(nvp.maf, layers=1, hidden_units=(8,))
    return _FIT_POSTERIOR(*pairs, **{"flow": flow, **settings})


def _logit_alone(levels: int) -> nvp.FlowDistribution:
    """The least that is a flow of images."""
    flow = nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(levels)])
    return nvp.FlowDistribution(flow, (8, 8, 1))


@functools.cache
def _saved_models() -> pathlib.Path:
    """A folder as `saved_models`, its digits those of a flow that is a logit and nothing else."""
    folder = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    nvp.publish(_logit_alone(17), folder / "digits", metadata={"dataset": "digits"})
    return folder


class _InFolder(parameterized.TestCase):
    """A working directory with what the examples read: a saved model and a table."""

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        (folder / "saved_models").symlink_to(_saved_models())
        rows = [",".join(f"{value:.6f}" for value in row) for row in _table(1599)]
        (folder / "wine.csv").write_text("\n".join(rows) + "\n")
        colours = "".join(f"{colour},{i},{i / 8}\n" for i, colour in enumerate(["red", "white", ""] * 533))
        (folder / "wine.csv.gz").write_bytes(gzip.compress(f"colour,alcohol,sugar\n{colours}".encode()))
        (folder / "trips").mkdir()
        pyarrow.parquet.write_table(pyarrow.table({"fare": [1.5, 2.5]}), folder / "trips/1.parquet")
        self.addCleanup(os.chdir, pathlib.Path.cwd())
        os.chdir(folder)
        # What is not said in a block is small here.
        self.enter_context(mock.patch.object(nvp, "real_nvp", _small_real_nvp))
        for module in (nvp.inference, nvp.inference.truncated):
            self.enter_context(mock.patch.object(module, "fit_posterior", _small_fit_posterior))


@parameterized.named_parameters(
    (re.sub(r"\W", "_", str(page.relative_to(_ROOT))), page) for page in _PAGES if "```python" in page.read_text()
)
class PagesTest(_InFolder):
    def test_blocks(self, page):
        name = str(page.relative_to(_ROOT))
        namespace = _namespace() | _GIVEN.get(name, dict)()
        for block in _blocks(page.read_text()):
            _run(block, namespace)


@parameterized.named_parameters((name.replace(".", "_"), name, *rest) for name, *rest in _docstrings())
class DocstringsTest(_InFolder):
    def test_blocks(self, name, module, blocks):
        # As doctest has it: what the module sees.
        namespace = vars(module) | _namespace() | _GIVEN.get(name, dict)()
        for block in blocks:
            _run(block, namespace)


class RunTest(parameterized.TestCase):
    def test_compares_shapes(self):
        block = "x = np.zeros([2, 3])  # [2, 3]\nx, x[0]  # float64 [2, 3], [3]\nfor _ in x:\n    ...  # [9]\n"
        self.assertEqual(_run(block, _namespace()), ["[2, 3]", "float64 [2, 3], [3]"])

    @parameterized.parameters("np.zeros([2])  # [3]", "x = np.zeros([2])  # [2, 1]", "1, np.zeros([2])  # [], [3]")
    def test_refuses_other_shapes(self, block):
        with self.assertRaises(AssertionError):
            _run(block, _namespace())

    def test_every_block_is_found(self):
        text = "".join(path.read_text() for path in _PACKAGE.rglob("*.py"))
        found = sum(len(blocks) for _, _, blocks in _docstrings())
        self.assertEqual(found, len(_BLOCK.findall(text)))
        self.assertGreater(found, 30)


if __name__ == "__main__":
    absltest.main()
