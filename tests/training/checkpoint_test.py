"""A run's folder: whose it is, and what is read from it."""

import functools
import json
import os
import pathlib
import re
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests.training import small
from tfp_realnvp import training

_CONFIG = {"preset": "digits", "model": {"width": 32, "event_shape": (8, 8, 1), "rho": None}, "epochs": 60}


def _contents(folder):
    """Every file below a folder with its bytes."""
    return {path: path.read_bytes() for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def _open(folder, config, comparable=dict):
    """Opens a run and leaves it."""
    with training.open_run(folder, config, comparable):
        pass


def _other(**changes):
    return {**_CONFIG, "model": {**_CONFIG["model"], **changes}}


class FolderTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "runs" / "mine"

    def _error(self, message):
        return self.assertRaisesRegex(training.CheckpointError, f"^{re.escape(message)}$")

    def test_a_folder_is_made_and_says_whose_it_is(self):
        _open(self.folder, _CONFIG)
        self.assertEqual(training.read_config(self.folder), json.loads(json.dumps(_CONFIG)))
        self.assertEqual(training.read_config(str(self.folder))["model"]["width"], 32)

    def test_the_same_model_may_come_back(self):
        _open(self.folder, _CONFIG)
        (self.folder / "checkpoints").mkdir()
        before = _contents(self.folder)
        _open(self.folder, _CONFIG)
        _open(str(self.folder), {**_CONFIG, "epochs": 90, "commit": "another"})
        self.assertEqual(_contents(self.folder), before)

    def test_another_model_is_refused_and_nothing_is_written(self):
        _open(self.folder, _CONFIG)
        before = _contents(self.folder)
        holds = f"{self.folder} contains a run of another model, with"
        choose = "choose another --output_dir"
        with self._error(f"{holds} width=32 (here 16): {choose}"):
            _open(self.folder, _other(width=16))
        with self._error(f"{holds} rho=None (here 0.5), width=32 (here 16): {choose}"):
            _open(self.folder, _other(width=16, rho=0.5))
        with self._error(f"{holds} event_shape=[8, 8, 1] (here [4, 4, 1]): {choose}"):
            _open(self.folder, _other(event_shape=(4, 4, 1)))
        with self._error(f"{holds} blocks=None (here 2): {choose}"):
            _open(self.folder, _other(blocks=2))
        self.assertEqual(_contents(self.folder), before)

    def test_a_run_from_before_a_setting_had_its_default(self):
        _open(self.folder, _CONFIG)

        def as_today(model):
            return {"blocks": 2, "width": 99, "hidden_units": (3,)} | model

        _open(self.folder, _other(blocks=2, hidden_units=(3,)), as_today)
        with self._error(
            f"{self.folder} contains a run of another model, with blocks=2 (here 4): choose another --output_dir"
        ):
            _open(self.folder, _other(blocks=4, hidden_units=(3,)), as_today)

    def test_checkpoints_of_nobody_knows_what_are_left_alone(self):
        (self.folder / "checkpoints").mkdir(parents=True)
        (self.folder / "checkpoints" / "checkpoint").write_text("something")
        before = _contents(self.folder)
        with self._error(
            f"expected an empty folder or a run's folder with a config.json, got {self.folder} with checkpoints: "
            "choose another --output_dir"
        ):
            _open(self.folder, _CONFIG)
        self.assertEqual(_contents(self.folder), before)

    def test_no_folder(self):
        with self._error(f"expected a run's folder with a config.json, found none in {self.folder}"):
            training.read_config(self.folder)
        with self._error(f"expected a run's folder with checkpoints, found none in {self.folder}"):
            training.best_checkpoint(self.folder)
        self.assertFalse(self.folder.exists())

    @parameterized.parameters('{"hidden_size": 768}', "[1, 2]", "not JSON", "")
    def test_the_config_of_something_else(self, text):
        self.folder.mkdir(parents=True)
        (self.folder / "config.json").write_text(text)
        before = _contents(self.folder)
        with self.assertRaisesRegex(training.CheckpointError, "config.json"):
            _open(self.folder, _CONFIG)
        with self.assertRaisesRegex(training.CheckpointError, "config.json"):
            training.read_config(self.folder)
        self.assertEqual(_contents(self.folder), before)

    def test_the_best_checkpoint_is_latest_and_else_the_last(self):
        checkpoint = tf.train.Checkpoint(value=tf.Variable(1))
        for kind in ("last", "best"):
            prefix = self.folder / "checkpoints" / kind
            manager = tf.train.CheckpointManager(checkpoint, str(prefix), max_to_keep=2)
            for _ in range(2):
                path = manager.save()
            self.assertEqual(training.best_checkpoint(self.folder), path)
            self.assertEqual(os.path.dirname(path), str(prefix))


@functools.cache
def _image_flow():
    """For tests that do not read its weights."""
    return small.image_flow()


class RestoreTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.prefix = os.path.join(self.enter_context(tempfile.TemporaryDirectory()), "checkpoint")

    def _save(self, distribution):
        return tf.train.Checkpoint(distribution=distribution).save(self.prefix)

    @parameterized.parameters(
        lambda: small.image_flow(scales=2),
        lambda: small.image_flow(normalization="layer", norm=None),
        lambda: small.vector_flow(hidden_units=(3, 4, 5)),
        lambda: small.vector_flow(context_size=2, norm=None),
    )
    def test_every_variable_comes_back(self, make):
        saved, other = make(), make()
        for variable in other.variables:
            variable.assign(tf.fill(variable.shape, np.nan))
        training.restore(other, self._save(saved))
        for ours, theirs in zip(other.variables, saved.variables, strict=True):
            np.testing.assert_array_equal(ours, theirs, ours.name)

    def test_a_checkpoint_with_an_optimizer_will_do(self):
        saved, other = small.vector_flow(), small.vector_flow()
        model = training.FlowModel(saved)
        model.compile()
        model.train_step(tf.constant(small.vectors(4)))
        checkpoint = tf.train.Checkpoint(
            distribution=saved, optimizer=model.optimizer, epoch=tf.Variable(3, dtype=tf.int64)
        )
        training.restore(other, checkpoint.save(self.prefix))
        for ours, theirs in zip(other.variables, saved.variables, strict=True):
            np.testing.assert_array_equal(ours, theirs, ours.name)

    @parameterized.named_parameters(
        ("width", dict(width=3)),
        ("blocks", dict(blocks=2)),
        ("no_blocks", dict(blocks=0)),
        ("scales", dict(scales=2)),
        ("batch_norm", dict(norm=None)),
        ("normalization", dict(normalization="layer")),
        ("skips", dict(use_skips=False)),
        ("channels", dict(event_shape=(4, 4, 3))),
    )
    def test_image_flows_of_different(self, settings):
        self._assert_refuse_one_another(_image_flow(), small.image_flow(**settings))

    @parameterized.named_parameters(
        ("couplings", dict(couplings=3)),
        ("hidden_layers", dict(hidden_units=(4, 4))),
        ("hidden_sizes", dict(hidden_units=(5,))),
        ("lengths", dict(event_shape=(5,))),
        ("contexts", dict(context_size=1)),
    )
    def test_vector_flows_of_different(self, settings):
        self._assert_refuse_one_another(small.vector_flow(), small.vector_flow(**settings))

    def test_images_and_vectors(self):
        self._assert_refuse_one_another(small.vector_flow(), _image_flow())

    def _assert_refuse_one_another(self, one, other):
        for saved, ours in ((one, other), (other, one)):
            self._assert_refused(saved, ours)

    def _assert_refused(self, saved, ours):
        path = self._save(saved)
        with self.assertRaises(training.CheckpointError) as caught:
            training.restore(ours, path)
        message = str(caught.exception)
        self.assertStartsWith(message, path)
        self.assertRegex(message, r"has another architecture: expected .*\bgot\b")
        self.assertLen(message.splitlines(), 1)
        self.assertLess(len(message) - len(path), 300, message)

    def test_no_checkpoint_at_the_path(self):
        with self.assertRaisesRegex(training.CheckpointError, "nowhere"):
            training.restore(small.vector_flow(), f"{self.prefix}-nowhere")


if __name__ == "__main__":
    absltest.main()
