"""`benchmarks.carry`."""

import io
import pathlib
import tarfile
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest

from benchmarks import carry
from tests.launch import programs
from tfp_realnvp import presets, training


def _weights(run):
    preset = presets.of_settings(training.read_config(run)["model"])
    distribution, dequantizer = preset.build(), preset.build_dequantizer()
    training.restore(distribution, training.best_checkpoint(run), dequantizer)
    return [variable for part in (distribution, dequantizer) if part is not None for variable in part.variables]


class CarryTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def _carried(self, run, size):
        pieces = carry.pack(run, self.folder / "pieces", size)
        self.assertEqual(sorted((self.folder / "pieces").iterdir()), pieces)
        sizes = [piece.stat().st_size for piece in pieces]
        self.assertEqual(sizes[:-1], [size] * (len(pieces) - 1))
        self.assertLessEqual(sizes[-1], size)
        content = b"".join(piece.read_bytes() for piece in pieces)
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            tar.extractall(self.folder / "there", filter="data")
        return self.folder / "there" / run.name

    def _assert_rounded(self, carried, run):
        for ours, theirs in zip(_weights(carried), _weights(run), strict=True):
            expected = tf.cast(theirs, tf.bfloat16) if theirs.dtype.is_floating else theirs
            np.testing.assert_array_equal(ours, tf.cast(expected, theirs.dtype))

    def test_a_run_comes_back_rounded(self):
        run, _ = programs.trained()
        carried = self._carried(run, 1_000)
        self.assertGreater(len(list((self.folder / "pieces").iterdir())), 1)
        self._assert_rounded(carried, run)
        for name in ("metrics.jsonl", "results.json"):
            self.assertEqual((carried / name).read_bytes(), (run / name).read_bytes())
        result = programs.run("evaluate", f"--output_dir={carried}", f"--data_dir={programs.scratch()}/data")
        self.assertEqual(result.status, 0, result.errors)
        # It has no optimizer: to go on would be to begin anew, in its place.
        before = programs.contents(carried)
        error = programs.train(carried, "--epochs=2").error
        self.assertIn("contains a run of another model, with carried=True (here None)", error)
        self.assertEqual(programs.contents(carried), before)

    def test_averages_and_learned_noise_come_along(self):
        # Without validation there is no best checkpoint, and the last has the averages beside the weights.
        run = programs.scratch() / "carried"
        flags = ("--dequantization=variational", "--ema=0.5", "--epochs=1")
        self.assertEqual(programs.train(run, *flags).status, 0)
        for file in (run / "checkpoints/best").iterdir():
            file.unlink()
        self._assert_rounded(self._carried(run, 1_000_000), run)


if __name__ == "__main__":
    absltest.main()
