"""What lies in saved_models is what its cards say."""

import os
import pathlib
import re

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests.launch import programs
from tfp_realnvp import flows, presets, serving
from tfp_realnvp.serving import card

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_MODELS = _ROOT / "saved_models"
_DATA_DIR = os.environ.get("TFP_REALNVP_DATA", _ROOT.parent / "shared/data/tfds")
_FIGURE = r"^\| (?:Real NVP|Glow)(?:, variational dequantisation)? \| (\d+\.\d+) \+- (\d+\.\d+) \|$"


@parameterized.named_parameters((name, name) for name in ("digits", "mnist", "cifar10"))
class SavedModelsTest(parameterized.TestCase):
    def test_the_figure(self, name):
        about = serving.describe(_MODELS / name / "1")
        data_dir = programs.scratch() / "data" if name == "digits" else _DATA_DIR
        if name != "digits" and not os.path.isdir(os.path.join(data_dir, about["dataset"])):
            self.skipTest(f"{about['dataset']} is not in {data_dir}; set TFP_REALNVP_DATA to where it is")
        found = programs.run("evaluate", f"--saved_model={_MODELS / name / '1'}", f"--data_dir={data_dir}")
        figure = re.search(_FIGURE, _card(name), re.MULTILINE)
        said = re.search(rf"^{about['dataset']} test: (\d+\.\d+) \+- (\d+\.\d+) ", found.output, re.MULTILINE)
        for expected, value in zip(figure.groups(), said.groups(), strict=True):
            self.assertAlmostEqual(float(value), float(expected), delta=1.5e-4)

    def test_its_latents_are_split_as_the_preset_says(self, name):
        about = serving.describe(_MODELS / name / "1")
        distribution = presets.get(about["preset"]).build(blocks=0, width=2)
        loaded = nvp.load(_MODELS / name)
        self.assertEqual(flows.split_orders(loaded.flow), flows.split_orders(distribution.flow))
        self.assertEqual(loaded.event_shape, distribution.event_shape)

    def test_the_card(self, name):
        path = _MODELS / name / "1"
        for part in ("## Data", "## Recipe", "## Limits", serving.describe(path)["command"]):
            self.assertIn(part, _card(name))
        self.assertIn("\n".join(card.signature_table(path)), _card(name))
        self.assertTrue((_MODELS / name / "samples.png").exists())

    def test_the_pages_say_what_the_card_says(self, name):
        figures = re.search(_FIGURE, _card(name), re.MULTILINE).groups()
        for page in (_ROOT / "README.md", _MODELS / "README.md"):
            (row,) = [
                line for line in page.read_text().splitlines() if line.startswith("|") and f"{name}/README.md" in line
            ]
            said = re.search(r"\| (\d+\.\d{3}) \+- (\.\d{3}) \|", row).groups()
            for value, expected in zip(said, figures, strict=True):
                self.assertAlmostEqual(float(value), float(expected), delta=5.6e-4)  # Of a figure rounded before.

    def test_samples_are_of_the_model(self, name):
        signatures = tf.saved_model.load(str(_MODELS / name / "1")).signatures
        drawn = signatures["sample"](count=tf.constant(50), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))
        # Their latents are standard normal.
        latents = signatures["encode"](images=drawn["images"])["latents"].numpy()
        self.assertAlmostEqual(np.mean(latents**2), 1, delta=5 * np.sqrt(2 / latents.size))
        # A model that covers all images spreads further than they do: its samples are less likely than images are.
        bits = signatures["log_prob"](images=drawn["images"])["bits_per_dim"]
        expected = float(re.search(_FIGURE, _card(name), re.MULTILINE)[1])
        self.assertBetween(np.mean(bits), expected - 0.5, expected + 0.75)
        errors = signatures["reconstruct_error"](images=drawn["images"])["reconstruct_error"]
        self.assertLess(np.max(errors), 0.1)
        self.assertEqual(serving.describe(_MODELS / name / "1")["event_shape"], drawn["images"].shape[1:])


def _card(name):
    return (_MODELS / name / "README.md").read_text()


if __name__ == "__main__":
    absltest.main()
