"""What the programs that read a model share."""

import contextlib
import io
import pathlib
import re
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest

import tfp_realnvp as nvp
from launch import outputs, run, source, terminal


class ProgressTest(absltest.TestCase):
    def _shown(self, times, is_terminal=True):
        output = io.StringIO()
        output.isatty = lambda: is_terminal
        with contextlib.redirect_stdout(output), mock.patch.object(source.time, "monotonic", side_effect=times):
            update = source.progress(100)
            for done in (25, 50, 100):
                update(done)
        return output.getvalue()

    def test_what_is_quick_shows_no_bar(self):
        self.assertEqual(self._shown([0, 0.5, 1, 1.5]), "")
        self.assertEqual(self._shown([0, 0.5, 1, 3]), "")  # The last is the end.

    def test_what_takes_long_shows_one(self):
        shown = self._shown([0, 1, 2.5])
        self.assertIn("50/100", shown)
        self.assertIn("100/100", shown)
        self.assertEqual(self._shown([0, 1, 2.5], is_terminal=False), "")


class OutputsTest(absltest.TestCase):
    def test_an_input_is_not_written_over(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("a.csv", "a.npz", "images/b/0.PNG", "images/a.nvp"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        (folder / "link.csv").symlink_to(folder / "a.csv")
        images = f"folder:{folder}/images"
        for path, name in (
            ("a.csv", f"csv:{folder}/a.csv"),
            ("images/../a.csv", f"csv:{folder}/link.csv"),
            ("link.csv", f"parquet:{folder}/a*"),
            ("a.npz", f"npz:{folder}/a.npz:train"),
            ("images/b/0.PNG", images),
        ):
            message = f"expected --latents to be another file than the inputs, got {folder / path}"
            with self.assertRaisesRegex(run.UsageError, re.escape(message)):
                outputs.check(folder / path, "digits", None, name, flag="latents")
        for path in ("b.csv", "images/1.png", "images/a.nvp"):  # Files that are not there, or no images.
            outputs.check(folder / path, f"csv:{folder}/a.csv", images)

    def test_what_a_run_or_an_export_consists_of_is_not_written_over(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
        exported = "saved_model/variables/variables.index"
        for name in ("config.json", "metrics.jsonl", "scores.jsonl", "saved_model/saved_model.pb", exported):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        for path, kind, of in (("metrics.jsonl", "run", folder), (exported, "export", folder / "saved_model")):
            message = f"expected --output_file to be a file of its own, got one of the {kind} in {of}"
            with self.assertRaisesRegex(run.UsageError, re.escape(message)):
                outputs.check(folder / path)
        outputs.check(folder / "scores.jsonl")


class DequantizedTest(absltest.TestCase):
    def test_learned_noise_is_drawn_in_parts(self):
        noise = nvp.dequantizer(event_shape=(2, 2, 1), levels=5, couplings=1, width=2, blocks=0)
        images = np.random.default_rng(0).integers(5, size=[230, 2, 2, 1], dtype=np.uint8)
        expected, _ = noise.dequantize(tf.constant(images), noise.latent_noise(images, seed=(3, 0)))
        model = mock.Mock(levels=5, dequantizer=mock.Mock(wraps=noise))
        with mock.patch.object(source.run, "SEED", mock.Mock(value=3)):
            np.testing.assert_allclose(source.dequantized(model, images), expected, atol=1e-5)
        sizes = [len(call.args[0]) for call in model.dequantizer.dequantize.call_args_list]
        self.assertEqual(sizes, [100, 100, 30])


class EpochsTest(absltest.TestCase):
    def _shown(self, is_terminal, lines=False):
        output = io.StringIO()
        output.isatty = lambda: is_terminal
        with contextlib.redirect_stdout(output):
            callback = terminal.Epochs(lines)
            callback.set_params({"epochs": 2, "steps": 1250})
            callback.on_epoch_begin(0)
            for batch in range(3):
                callback.on_train_batch_end(batch, {"loss": 9.0, "bits_per_dim": 3.5, "skipped_steps": 0.0})
            callback.on_epoch_end(
                0, {"loss": 9.0, "bits_per_dim": 3.25, "val_bits_per_dim": 3.125, "skipped_steps": 2.0}
            )
        return output.getvalue()

    def test_lines_where_the_output_is_no_terminal(self):
        line = "Epoch 1/2: 3 steps in 0 s, bits/dim 3.2500, validation 3.1250, 2 skipped\n"
        self.assertEqual(self._shown(False), line)
        self.assertEqual(self._shown(True, lines=True), line)

    def test_a_bar_that_fits_a_terminal(self):
        shown = self._shown(True)
        self.assertStartsWith(shown, "Epoch 1/2\n")
        visible = re.sub("\x1b.*?m", "", shown).replace("\b", "").replace("\r", "\n")
        self.assertRegex(visible, r"1250/1250 .* - bits/dim: 3.2500 - validation: 3.1250\n$")
        self.assertLessEqual(max(map(len, visible.splitlines())), 80)


if __name__ == "__main__":
    absltest.main()
