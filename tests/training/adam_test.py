"""Our Adam beside Keras's."""

import math
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tfp_realnvp import training

_SHAPES = ((), (3,), (2, 3, 1, 4))
_schedules = keras.optimizers.schedules
_SETTINGS = dict(
    constant=dict(learning_rate=0.1),
    schedule=dict(learning_rate=_schedules.CosineDecay(0.0, 15, warmup_target=0.2, warmup_steps=4)),
    betas_and_epsilon=dict(learning_rate=0.1, beta_1=0.5, beta_2=0.9, epsilon=0.1),
    decay_and_clipping=dict(learning_rate=0.1, weight_decay=0.1, clipnorm=1.0),
    accumulation=dict(learning_rate=0.1, gradient_accumulation_steps=3),
    average=dict(learning_rate=0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=4),
)


def _variables(dtype="float32"):
    random = np.random.default_rng(0)
    return [keras.Variable(random.normal(size=shape), dtype=dtype, name=f"v{len(shape)}") for shape in _SHAPES]


def _gradients(step, dtype="float32"):
    """Of sizes from 1e-3 to 10."""
    random = np.random.default_rng([1, step])
    return [tf.constant(10 ** random.uniform(-3, 1) * random.normal(size=shape), dtype) for shape in _SHAPES]


def _run(optimizer, variables, steps, dtype="float32"):
    """The variables after each step."""
    apply = tf.function(lambda gradients: optimizer.apply(gradients, variables))
    optimizer.build(variables)
    history = []
    for step in steps:
        apply(_gradients(step, dtype))
        history.append([variable.numpy() for variable in variables])
    return history


class AdamTest(parameterized.TestCase):
    @parameterized.product(settings=tuple(_SETTINGS), dtype=("float32", "float64"))
    def test_is_adam(self, settings, dtype):
        settings = {"epsilon": 1e-8, **_SETTINGS[settings]}
        theirs = _run(keras.optimizers.Adam(**settings), _variables(dtype), range(20), dtype)
        ours = _run(training.Adam(**settings), _variables(dtype), range(20), dtype)
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        for step, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            for a, b in zip(one, other, strict=True):
                self.assertEqual(a.dtype, dtype)
                np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=f"step {step}")
        self.assertGreater(np.abs(ours[-1][1] - _variables(dtype)[1].numpy()).max(), 0.1)

    def test_its_state_is_keras_adams(self):
        states = []
        for optimizer in (keras.optimizers.Adam(0.1, epsilon=1e-8), training.Adam(0.1)):
            _run(optimizer, _variables(), range(5))
            self.assertEqual(int(optimizer.iterations), 5)
            states.append([(v.name.rpartition("_")[2], v.numpy()) for v in optimizer.variables])
        for (name, ours), (their_name, theirs) in zip(states[1], states[0], strict=True):
            self.assertEqual(name, their_name)
            np.testing.assert_allclose(ours, theirs, 1e-4, 1e-7, err_msg=name)

    def test_a_learning_rate_that_is_assigned_counts(self):
        histories = []
        for optimizer in (keras.optimizers.Adam(0.1, epsilon=1e-8), training.Adam(0.1)):
            variables = _variables()
            _run(optimizer, variables, range(3))
            optimizer.learning_rate = 0.01
            histories.append(_run(optimizer, variables, range(3, 6)))
        for one, other in zip(*histories):
            for a, b in zip(one, other):
                np.testing.assert_allclose(a, b, 1e-5, 1e-5)

    def test_defaults_are_the_papers(self):
        optimizer = training.Adam()
        self.assertEqual((optimizer.beta_1, optimizer.beta_2, optimizer.epsilon), (0.9, 0.999, 1e-8))
        self.assertEqual(optimizer.get_config()["learning_rate"], np.float32(1e-3))

    def test_a_step_may_be_skipped(self):
        variables = _variables()
        optimizer = training.Adam(0.1, weight_decay=0.1)
        _run(optimizer, variables, range(3))
        apply = tf.function(lambda gradients, skip: optimizer.apply(gradients, variables, skip=skip))
        state = [*variables, *optimizer._momentums, *optimizer._velocities]
        for skip in (True, False):
            before = [variable.numpy() for variable in state]
            apply(_gradients(3), tf.constant(skip))
            for variable, value in zip(state, before):
                self.assertEqual(np.array_equal(variable.numpy(), value), skip, variable.path)
        # A step that is not skipped is as any other.
        expected = _variables()
        other = training.Adam(0.1, weight_decay=0.1)
        _run(other, expected, range(3))
        other.iterations.assign_add(1)
        other.apply(_gradients(3), expected)
        for one, two in zip(variables, expected):
            np.testing.assert_allclose(one.numpy(), two.numpy(), 1e-6)

    def test_a_rate_that_goes_up_is_refused(self):
        for rate in (-1e-3, math.nan, keras.optimizers.schedules.CosineDecay(-1e-3, 10)):
            with self.assertRaisesRegex(ValueError, "expected a learning_rate of 0 or more, got (-0.001|nan)"):
                training.Adam(rate)

    def test_amsgrad_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected amsgrad=False"):
            training.Adam(amsgrad=True)

    def test_goes_on_from_a_checkpoint(self):
        variables = _variables()
        optimizer = training.Adam(_schedules.ExponentialDecay(0.1, 2, 0.5))
        _run(optimizer, variables, range(5))
        prefix = os.path.join(self.enter_context(tempfile.TemporaryDirectory()), "checkpoint")
        path = tf.train.Checkpoint(optimizer=optimizer, variables=variables).save(prefix)
        expected = _run(optimizer, variables, range(5, 8))

        variables = _variables()
        optimizer = training.Adam(_schedules.ExponentialDecay(0.1, 2, 0.5))
        optimizer.build(variables)
        checkpoint = tf.train.Checkpoint(optimizer=optimizer, variables=variables)
        checkpoint.restore(path).assert_consumed()
        for one, other in zip(_run(optimizer, variables, range(5, 8)), expected, strict=True):
            for a, b in zip(one, other):
                np.testing.assert_array_equal(a, b)

    @parameterized.parameters(
        dict(learning_rate=0.02),
        dict(learning_rate=0.02, beta_1=0.8, beta_2=0.9, epsilon=1e-3, clipnorm=2.0, weight_decay=0.1, name="mine"),
        dict(learning_rate=_schedules.ExponentialDecay(0.1, 2, 0.5)),
    )
    def test_config_round_trip(self, **settings):
        optimizer = training.Adam(**settings)
        again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        self.assertIs(type(again), training.Adam)
        self.assertEqual(again.get_config(), optimizer.get_config())


if __name__ == "__main__":
    absltest.main()
