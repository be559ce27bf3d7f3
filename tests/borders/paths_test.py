"""Paths of every kind, in the package and in every program."""

import os
import pathlib
import re
import shutil
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import launch
import tfp_realnvp as nvp
from launch import arguments  # Defines the kind of flag that is looked for.
from tests.data import fake_sets
from tests.launch import programs
from tfp_realnvp import paths, training
from tfp_realnvp.training.manager import Manager

# All that TensorFlow takes for a pattern, and more that is easily got wrong.
_ODD = "a [1]*?\\ ü {b}'\" %20#$x"


class LocalTest(parameterized.TestCase):
    @parameterized.parameters(
        ("", "expected a path, got an empty one"),
        ("gs://bucket/run", "expected a path on a local disk, got gs://bucket/run"),
        ("runs/" + 300 * "x", f"expected names of at most 255 bytes in a path, got one of 300: {20 * 'x'}..."),
        ("runs/" + 128 * "ü", f"expected names of at most 255 bytes in a path, got one of 256: {20 * 'ü'}..."),
        ("runs/\udcff", r"expected a path in UTF-8, got b'runs/\xff'"),
    )
    def test_refusals(self, path, message):
        with self.assertRaises(ValueError) as caught:
            paths.local(path)
        self.assertEqual(str(caught.exception), message)

    def test_home(self):
        self.assertEqual(paths.local("~/runs"), pathlib.Path.home() / "runs")
        self.assertEqual(paths.local("./~"), pathlib.Path("~"))

    def test_plain_is_the_path_itself_where_it_can_be(self):
        with paths.plain("a b/ü/ckpt-1") as plain:
            self.assertEqual(plain, "a b/ü/ckpt-1")

    def test_every_path_flag_is_one(self):
        texts = {}
        for file in pathlib.Path(launch.__file__).parent.glob("*.py"):
            texts |= dict.fromkeys(re.findall(r'flags\.DEFINE_string\(\s*"(\w+)"', file.read_text()), file.name)
        # The part of a data set's name behind folder: or csv: is a path; the others are no paths.
        others = dict(
            label="arguments.py",
            flatten_alpha="data_flags.py",
            columns="settings.py",
            weights="settings.py",
            id="score.py",
            beam_options="score.py",
        )
        self.assertEqual(texts, {"dataset": "run.py", **others})
        self.assertTrue(callable(arguments.DEFINE_path))


class PackageTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / _ODD
        self.folder.mkdir()

    @parameterized.parameters("a[12]", "a*", "a?", "a\\1", "a1")
    def test_checkpoints_of_this_folder_alone_are_read_and_removed(self, name):
        other = self.folder.parent / "a1/b"  # Which fits most of the patterns.
        folder = self.folder.parent / name / "a"
        for place in (other, folder):
            checkpoint = tf.train.Checkpoint(value=tf.Variable(str(place)))
            manager = Manager(checkpoint, place, max_to_keep=1)
            for _ in range(2):
                manager.save()
        kept = {"checkpoint", "ckpt-2.index", "ckpt-2.data-00000-of-00001"}
        for place in (other, folder):
            self.assertEqual({path.name for path in place.iterdir()}, kept)
        self.assertEqual(manager.latest_checkpoint, str(folder / "ckpt-2"))
        checkpoint.value.assign("")
        with paths.plain(manager.latest_checkpoint) as plain:
            checkpoint.restore(plain).assert_consumed()
        self.assertEqual(checkpoint.value.numpy().decode(), str(folder))

    def test_weights_and_exports(self):
        flow = nvp.nice(event_shape=(2,), couplings=1, hidden_units=(2,))
        other = nvp.nice(event_shape=(2,), couplings=1, hidden_units=(2,))
        for variable in flow.trainable_variables:
            variable.assign(tf.random.stateless_normal(variable.shape, (0, 1)))
        path = tf.train.Checkpoint(distribution=flow).save(str(self.folder / "ckpt[1]"))
        training.restore(other, path)
        published = nvp.publish(flow, self.folder / "model", version=7)
        x = np.ones([3, 2], np.float32)
        for found in (other, nvp.load(published), nvp.load(self.folder / "model")):
            np.testing.assert_allclose(found.log_prob(x), flow.log_prob(x), rtol=1e-6)

    def test_data(self):
        for number in range(20):
            content = tf.io.encode_png(tf.fill([4, 4, 1], tf.cast(number, tf.uint8))).numpy()
            (self.folder / f"{number} [x]*.png").write_bytes(content)
        images = nvp.data.load(f"folder:{self.folder}")
        self.assertLen(list(images.evaluation_batches("train", 4)), 4)
        with tempfile.TemporaryDirectory() as plain:  # As a set prepared elsewhere.
            pixels = np.zeros([30, 4, 4, 1], np.uint8)
            fake_sets.write(plain, "grey", {"train": pixels}, shape=(4, 4, 1))
            shutil.copytree(plain, self.folder / "sets")
        with mock.patch.dict(os.environ, HOME=str(self.folder)):
            self.assertLen(list(nvp.data.load("grey", "~/sets").evaluation_batches("train", 8)), 3)
        table = np.random.default_rng(0).normal(size=[40, 2])
        np.savetxt(self.folder / "table [1].csv", table, delimiter=",")
        np.savez(self.folder / "table [1].npz", table=table)
        for name in (f"csv:{self.folder}/table [1].csv", f"npz:{self.folder}/table [1].npz:table"):
            self.assertEqual(nvp.data.load_table(name).num_examples("train"), 33)


class ProgramsTest(absltest.TestCase):
    """With a home folder of an odd name, by `~` in every flag."""

    def setUp(self):
        super().setUp()
        self.home = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / _ODD
        self.home.mkdir()

    def _run(self, program, *flags):
        result = programs.run(program, *flags, HOME=str(self.home))
        self.assertEqual(result.status, 0, result.errors)
        return result.output

    def test_every_program(self):
        tiny = ("--scales=1", "--width=2", "--blocks=0", "--batch_size=400", "--verbose=0", "--epochs=1")
        output = self._run("train", *tiny, "--output_dir=~/run", "--data_dir=~/data")
        self.assertIn(f"\nRead {self.home}/run/checkpoints/best/ckpt-3\n", output)
        (self.home / "link").symlink_to(self.home / "run")
        data = "--data_dir=~/data"
        self._run("train", *tiny, "--output_dir=~/begun", "--init_from=~/link", "--learning_rate=0", data)
        self._run("evaluate", "--output_dir=~/link", data)
        self._run("export", "--output_dir=~/run", "--export_dir=~/served", "--litert=~/lite/m.tflite", "--card")
        self._run("report", "--output_dir=~/run", "--report=~/page.html", data)
        model = "--saved_model=~/served"
        self._run("encode", model, "--latents=~/z.npz", "--count=4", data)
        self._run("sample", model, "--latents=~/z.npz", "--output_file=~/pictures/sample.png")
        for path in ("begun/results.json", "served/1", "served/README.md", "lite/m.tflite", "page.html"):
            self.assertTrue((self.home / path).exists(), path)
        self.assertTrue((self.home / "pictures/sample.png").exists())
        self.assertFalse(pathlib.Path("~").exists())

    def test_a_name_that_is_too_long(self):
        result = programs.run("sample", f"--output_dir={300 * 'x'}")
        self.assertIn(f"expected names of at most 255 bytes in a path, got one of 300: {20 * 'x'}...;", result.error)
        self.assertEqual(result.status, 2)


if __name__ == "__main__":
    absltest.main()
