"""Optimizers and schedules by name."""

import keras
import numpy as np
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tfp_realnvp import training


class OptimizersTest(parameterized.TestCase):
    @parameterized.parameters(*training.OPTIMIZERS)
    def test_each_trains(self, name):
        model = nvp.FlowModel(nvp.radial(event_shape=(2,), layers=1))
        model.compile(training.optimizer(name, 0.01), run_eagerly=True)
        before = [variable.numpy().copy() for variable in model.trainable_variables]
        model.fit(np.ones([4, 2], np.float32), batch_size=4, verbose=0)
        self.assertTrue(any(np.any(old != new.numpy()) for old, new in zip(before, model.trainable_variables)))

    def test_options(self):
        self.assertEqual(training.optimizer("adam(beta_1=0.5, epsilon=1e-6)", 0.1).get_config()["beta_1"], 0.5)
        self.assertIsInstance(training.optimizer("adam", 0.1), training.Adam)
        self.assertIsInstance(training.optimizer("adamax(beta_2=0.9)", 0.1), keras.optimizers.Adamax)

    @parameterized.parameters(
        (lambda: training.optimizer("adma", 0.1), "expected optimizer to be one of adam, .*, got 'adma'"),
        (lambda: training.optimizer("sgd(learning_rate=1.0)", 0.1), "expected the learning rate as a separate setting"),
        (lambda: training.optimizer("adam(beta=0.5)", 0.1), "expected options of adam among .*, beta_1, .*, got beta"),
        (lambda: training.schedule("step", 0.1, steps=3), "expected schedule to be one of constant, .*, got 'step'"),
        (lambda: training.schedule("cosine + plateau", 0.1, steps=3), "got 'cosine \\+ plateau'"),
        (lambda: training.schedule("import os", 0.1, steps=3), "got 'import os'"),
        (lambda: training.schedule("plateau(factor=open(1))", 0.1, steps=3), "got 'plateau.factor=open"),
    )
    def test_what_has_no_such_name(self, make, message):
        with self.assertRaisesRegex(ValueError, message):
            make()


class SchedulesTest(absltest.TestCase):
    def test_constant(self):
        self.assertEqual(training.schedule("constant", 0.1, steps=10), (0.1, []))
        rate, (warm_up,) = training.schedule("constant", 0.1, steps=10, warmup_steps=4)
        self.assertEqual((rate, warm_up.steps), (0.1, 4))

    def test_cosine(self):
        rate, callbacks = training.schedule("cosine(alpha=0.1)", 1.0, steps=12, warmup_steps=2)
        np.testing.assert_allclose([rate(step) for step in (0, 1, 2, 7, 12)], [0, 0.5, 1, 0.55, 0.1], atol=1e-6)
        self.assertEmpty(callbacks)

    def test_plateau(self):
        rate, (warm_up, plateau) = training.schedule("plateau(patience=2)", 0.1, steps=12, warmup_steps=2)
        self.assertEqual((rate, warm_up.rate, plateau.factor, plateau.patience), (0.1, 0.1, 0.5, 2))


if __name__ == "__main__":
    absltest.main()
