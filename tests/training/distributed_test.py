"""Several devices and several workers: the same weights as one device, and one end for all."""

import os
import pathlib
import signal
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests.training import processes, small
from tfp_realnvp import training

tfb = tfp.bijectors

_GLOW = dict(event_shape=(4, 4, 1), levels=small.LEVELS, steps=1, scales=1, width=2, blocks=0)


def _glow_and_scale(**settings):
    """A flow with ActNorm, whose first batch sets what it normalises by, and with a variable that is not Keras'."""
    glow = nvp.glow(**settings)
    scale = tfb.Scale(tf.Variable(tf.constant(0.7, glow.dtype), name="scale"))
    return nvp.FlowDistribution(nvp.bijectors.Chain([glow.flow, scale]), glow.event_shape, dtype=glow.dtype)


def _one_device(**kwargs):
    return processes.train(training.strategy("one_device"), **kwargs)


def _mirrored(kwargs):
    processes.set_cpus(2)
    return processes.train(training.strategy("mirrored"), **kwargs)


def _worker(kwargs):
    return processes.train(training.strategy("auto"), **kwargs)


def _start_workers(kwargs):
    environments = processes.worker_environments(2)
    return [processes.Process(_worker, kwargs, **environment) for environment in environments]


class _Signal(keras.callbacks.Callback):
    """Sends this process a signal after a step, once."""

    def __init__(self, number, step):
        super().__init__()
        self.number, self.step = number, step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.step:
            os.kill(os.getpid(), self.number)


def _signalled_worker(kwargs, number, step):
    return _worker({**kwargs, "callbacks": [_Signal(number, step)]})


class DistributedTest(parameterized.TestCase):
    def _assert_equal(self, one, other, tolerance=1e-8):
        for name, value in one.items():
            if "val_" not in name:  # Which noise a last, smaller batch gets depends on how it is shared.
                np.testing.assert_allclose(other[name], value, rtol=0, atol=tolerance, err_msg=name)

    @parameterized.named_parameters(
        ("by_default", {}),
        ("act_norm_and_a_tf_variable", dict(flow=_glow_and_scale, settings=_GLOW)),
        (
            "with_all",
            dict(
                learns_noise=True,
                has_weights=True,
                settings=dict(rho=0.9),
                model_settings=dict(clip_norm=1.0, average_decay=0.9),
            ),
        ),
    )
    def test_two_devices_are_as_one(self, kwargs):
        two = processes.Process(_mirrored, kwargs)
        self._assert_equal(_one_device(**kwargs), two.result())

    def test_two_devices_and_two_parts_are_as_one(self):
        # Without batch norm, whose moments are of a part.
        kwargs = dict(settings=dict(normalization="none"))
        two = processes.Process(_mirrored, {**kwargs, "accumulation_steps": 2})
        one = _one_device(**kwargs)
        self._assert_equal({name: value for name, value in one.items() if "history" not in name}, two.result())

    def test_two_workers_are_as_one(self):
        one = _one_device(epochs=2)
        for result in [worker.result() for worker in _start_workers(dict(epochs=2))]:
            self._assert_equal(one, result)

    def test_sigterm_to_one_worker_stops_all(self):
        with tempfile.TemporaryDirectory() as folder:
            kwargs = dict(epochs=2, output_dir=folder, checkpoint_every=100)
            environments = processes.worker_environments(2)
            workers = [
                processes.Process(_worker, kwargs, **environments[0]),
                processes.Process(_signalled_worker, kwargs, signal.SIGTERM, 3, **environments[1]),
            ]
            for worker in workers:
                with self.assertRaisesRegex(RuntimeError, "Interrupted.*: stopped by SIGTERM in epoch 1, after 3"):
                    worker.result()
            self.assertLen(list(pathlib.Path(folder, "checkpoints", "last").glob("*.index")), 1)

    def test_workers_must_see_one_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            _one_device(output_dir=f"{folder}/both")
            environments = processes.worker_environments(2)
            workers = [
                processes.Process(_worker, dict(epochs=2, output_dir=f"{folder}/{name}"), **environment)
                for name, environment in zip(("both", "other"), environments)
            ]
            for worker in workers:
                with self.assertRaisesRegex(RuntimeError, "expected all workers to resume from one checkpoint"):
                    worker.result()


if __name__ == "__main__":
    absltest.main()
