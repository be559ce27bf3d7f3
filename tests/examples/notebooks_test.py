"""The notebooks of examples/ run from top to bottom, at small sizes, and hold the outputs of a run at theirs."""

import ast
import json
import os
import pathlib
import tempfile

import matplotlib
from absl.testing import absltest, parameterized
from matplotlib import pyplot

import examples

matplotlib.use("agg")

_FOLDER = pathlib.Path(examples.__file__).parent
_IMAGES = {"EPOCHS": 1, "SCALES": 1, "WIDTH": 4, "BLOCKS": 0}
# What the first cell of code says, in tests.
_SIZES = {
    "image_flow": {**_IMAGES, "IMAGES": 4},
    "vector_flow": {"ROWS": 1000, "EPOCHS": 2, "COUPLINGS": 2, "HIDDEN": (8,), "GRID": 80},
    "conditional_flow_and_editing": {**_IMAGES, "TEST_IMAGES": 20},
    "flow_in_a_tfp_model": {"PRIOR_EPOCHS": 1, "POSTERIOR_STEPS": 20, "LAYERS": 1, "HIDDEN": (8,), "GRID": 80},
    "serving": {**_IMAGES, "FOLDER": "small"},
}


def _cells(name: str) -> list[dict]:
    return json.loads((_FOLDER / f"{name}.ipynb").read_text())["cells"]


def _with_sizes(source: str, sizes: dict) -> str:
    """The first cell, which is assignments of constants and nothing else, with other values."""
    said = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(source).body}
    if said.keys() != sizes.keys():
        raise AssertionError(f"expected sizes {sorted(sizes)}, got {sorted(said)}")
    return "\n".join(f"{name} = {value!r}" for name, value in sizes.items())


@parameterized.named_parameters((name, name) for name in _SIZES)
class NotebooksTest(parameterized.TestCase):
    def test_runs(self, name):
        self.addCleanup(os.chdir, pathlib.Path.cwd())
        os.chdir(self.enter_context(tempfile.TemporaryDirectory()))
        self.addCleanup(pyplot.close, "all")
        first, *rest = ["".join(cell["source"]) for cell in _cells(name) if cell["cell_type"] == "code"]
        namespace = {"__name__": name}
        for number, source in enumerate([_with_sizes(first, _SIZES[name]), *rest]):
            exec(compile(source, f"{name}.ipynb, cell {number} of code", "exec"), namespace)

    def test_is_kept_with_the_outputs_of_one_run(self, name):
        cells = [cell for cell in _cells(name) if cell["cell_type"] == "code"]
        self.assertEqual([cell["execution_count"] for cell in cells], list(range(1, len(cells) + 1)))
        outputs = [output for cell in cells for output in cell["outputs"]]
        self.assertNotEmpty(outputs)
        for output in outputs:
            self.assertIn(output["output_type"], ("stream", "display_data", "execute_result"))
            self.assertNotEqual(output.get("name"), "stderr")  # Logs, see tools/run_notebooks.py.


class FolderTest(absltest.TestCase):
    def test_every_notebook_is_tested(self):
        self.assertCountEqual([path.stem for path in _FOLDER.glob("*.ipynb")], _SIZES)


if __name__ == "__main__":
    absltest.main()
