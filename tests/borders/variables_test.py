"""Variables that are not Keras', frozen ones, and flows in other models: what is trained, saved and averaged."""

import os
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests.training import small
from tfp_realnvp import training
from tfp_realnvp.bijectors.variables import learned_layers

nvb, tfb, tfd = nvp.bijectors, tfp.bijectors, tfp.distributions


class _Network(tf.Module):
    """A conditioner of `tf.Variable`s."""

    def __init__(self):
        super().__init__(name="network")
        self.kernel = tf.Variable([[0.3, -0.2, 0.1, 0.4], [0.2, 0.1, -0.3, 0.2]], name="kernel")
        self.calls = tf.Variable(0, name="calls")  # Not floating: nothing to train.

    def __call__(self, x):
        return x @ self.kernel


class _WithDense(tf.Module):
    """A conditioner of a Keras layer and a `tf.Variable`."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)
        self.dense.build((None, 2))
        self.scale = tf.Variable(0.5, name="scale", constraint=lambda value: tf.clip_by_value(value, 0.499, 0.501))

    def __call__(self, x):
        return self.scale * self.dense(x)


def _parts():
    """A layer for each kind of owner of variables, and how many it has to train."""
    yield tfb.Scale(tf.Variable(0.9, name="factor")), 1
    yield tfb.Shift(tf.Variable([0.1, 0.0, 0.2, 0.3], trainable=False)), 0
    yield nvb.Coupling(nvp.transformers.Affine(), _Network(), nvb.Alternating(0)), 2  # The coupling's own gain, too.
    yield nvb.Coupling(nvp.transformers.Affine(), _WithDense(), nvb.Alternating(1)), 4
    network = tfb.AutoregressiveNetwork(params=2, hidden_units=[3], event_shape=[4])
    yield tfb.Invert(tfb.MaskedAutoregressiveFlow(network)), 4
    yield nvb.BatchNorm(4), 0


def _distribution():
    distribution = nvp.FlowDistribution(nvb.Chain([part for part, _ in _parts()]), (4,))
    distribution.log_prob(tf.zeros([1, 4]))  # TFP's network has its variables from here on.
    return distribution


def _model(distribution, optimizer=None, **settings):
    model = nvp.FlowModel(distribution, **settings)
    model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def _assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


class EveryVariableTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        keras.utils.set_random_seed(0)  # By other weights a gradient may happen to be next to 0.
        self.distribution = _distribution()
        self.folder = self.enter_context(tempfile.TemporaryDirectory())
        self.vectors = small.vectors(16)

    def test_keras_has_what_tfp_has(self):
        trainable = [v for v in self.distribution.trainable_variables if v.dtype.is_floating]
        self.assertLen(trainable, sum(count for _, count in _parts()))
        model = nvp.FlowModel(self.distribution)
        self.assertCountEqual(map(id, trainable), [id(v.value) for v in model.trainable_variables])
        self.assertContainsSubset([id(v) for v in self.distribution.variables], [id(v.value) for v in model.variables])

    @parameterized.parameters(
        lambda: keras.optimizers.SGD(0.01, momentum=0.9),
        lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
        lambda: training.Adam(0.01),
    )
    def test_every_one_is_trained_and_averaged(self, optimizer):
        model = _model(self.distribution, optimizer(), average_decay=0.9)
        trainable = [v.value for v in model.trainable_variables]
        others = [v for v in self.distribution.variables if "moving" not in v.name]
        others = [v for v in others if id(v) not in set(map(id, trainable))]
        before, rest, averages = (small.values(v) for v in (trainable, others, model.average.averages))
        self.assertLen(others, 2)
        model.train_on_batch(self.vectors)
        for variable, value in zip(trainable, before, strict=True):
            self.assertNotAllClose(variable, value, rtol=1e-4, atol=1e-5, msg=variable.name)
        _assert_equal(small.values(others), rest)
        changed = [np.any(one != other) for one, other in zip(small.values(model.average.averages), averages)]
        self.assertEqual(np.sum(changed), len(trainable) + 2)  # And two moving moments.
        scale = self.distribution.flow.bijectors[3].conditioner.scale
        self.assertBetween(float(scale), 0.499, 0.501)  # By its constraint.

    def test_files_of_weights_have_them(self):
        path = os.path.join(self.folder, "model.weights.h5")
        for variable in self.distribution.variables:
            variable.assign(tf.ones_like(variable))
        nvp.FlowModel(self.distribution).save_weights(path)
        other = _distribution()
        nvp.FlowModel(other).load_weights(path)
        _assert_equal(small.values(other.variables), small.values(self.distribution.variables))

    def test_runs_resume_with_them(self):
        def train(distribution, epochs):
            model = nvp.FlowModel(distribution, average_decay=0.9)
            model.compile(training.Adam(0.01))
            batches = tf.data.Dataset.from_tensor_slices(self.vectors).batch(8)
            kwargs = dict(epochs=epochs, output_dir=self.folder, verbose=0)
            training.train(model, lambda epoch, skip: batches.skip(skip), **kwargs)
            return small.values([*distribution.variables, *model.average.averages])

        once = train(self.distribution, 1)
        resumed = _distribution()
        _assert_equal(train(resumed, 1), once)  # Nothing is left to do: the state is read.
        average = _distribution()
        training.restore(average, training.best_checkpoint(self.folder))
        of_average = [v for v in average.variables if v.dtype.is_floating]
        _assert_equal(small.values(of_average), once[len(average.variables) :])

    def test_exports_have_them(self):
        distribution = nvp.FlowDistribution(nvb.Chain(self.distribution.flow.bijectors[:4]), (4,))
        path = os.path.join(self.folder, "export")
        nvp.save(distribution, path)
        np.testing.assert_allclose(
            nvp.load(path).log_prob(self.vectors), distribution.log_prob(self.vectors), rtol=1e-5, atol=1e-5
        )
        with self.assertRaisesRegex(ValueError, "^expected a distribution with variables to train, got one without"):
            nvp.FlowModel(nvp.load(path))

    def test_a_keras_model_calls_them(self):
        distribution = nvp.FlowDistribution(nvb.Chain(self.distribution.flow.bijectors[2:4]), (4,))
        x = keras.Input((4,))
        model = keras.Model(x, nvp.FlowModel(distribution)(x))
        self.assertLen(model.trainable_variables, 6)
        np.testing.assert_allclose(model(self.vectors), distribution.log_prob(self.vectors), rtol=1e-5)

    def assertNotAllClose(self, actual, other, rtol, atol, msg):
        self.assertFalse(np.allclose(actual, other, rtol, atol), f"{msg}: {actual} is close to {other}")


class FrozenTest(absltest.TestCase):
    def test_a_frozen_layer_is_frozen_for_tfp_too(self):
        distribution = small.vector_flow()
        network = next(part for part in learned_layers(distribution.flow) if isinstance(part, keras.layers.Layer))
        count, variables = len(distribution.trainable_variables), len(distribution.variables)
        network.trainable = False
        coupling = next(part for part in distribution.flow.bijectors if network in getattr(part, "layers", ()))
        for part, expected in ((distribution, count - 4), (distribution.flow, count - 4), (coupling, 1)):
            self.assertLen(part.trainable_variables, expected)
            self.assertNoCommonElements(map(id, part.trainable_variables), map(id, part.non_trainable_variables))
        self.assertLen(distribution.variables, variables)
        model = _model(distribution)
        self.assertCountEqual(
            map(id, distribution.trainable_variables), [id(v.value) for v in model.trainable_variables]
        )
        before = small.values(v.value for v in network.variables)
        model.train_on_batch(small.vectors(8))
        _assert_equal(small.values(v.value for v in network.variables), before)
        network.trainable = True
        self.assertLen(distribution.trainable_variables, count)


class OwnModelTest(absltest.TestCase):
    def test_a_flow_model_is_a_layer_whose_variables_are_seen(self):
        class Classifier(keras.Model):
            """Learns a density beside something else."""

            def __init__(self, distribution):
                super().__init__()
                self.flow = nvp.FlowModel(distribution)
                self.head = keras.layers.Dense(1)

            def call(self, x):
                self.add_loss(-tf.reduce_mean(self.flow(x)))
                return self.head(x)

        distribution = _distribution()
        before = small.values(distribution.variables)
        model = Classifier(distribution)
        model.compile(keras.optimizers.SGD(0.01), loss="mse", run_eagerly=True)
        model.fit(small.vectors(16), np.zeros([16, 1]), batch_size=16, verbose=0)
        trained = {id(v.value) for v in model.trainable_variables}
        self.assertLen(trained, sum(count for _, count in _parts()) + 2)
        for variable, old in zip(distribution.variables, before):
            if id(variable) in trained:
                self.assertTrue(np.any(variable.numpy() != old), variable.name)


class RefusedTest(parameterized.TestCase):
    @parameterized.parameters("KERAS_BACKEND", "KERAS_HOME")
    def test_another_backend_of_keras(self, variable):
        folder = self.enter_context(tempfile.TemporaryDirectory())
        with open(os.path.join(folder, "keras.json"), "w") as file:
            file.write('{"backend": "jax"}')
        environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
        environment[variable] = {"KERAS_BACKEND": "jax", "KERAS_HOME": folder}[variable]
        command = [sys.executable, "-c", "import tfp_realnvp"]
        ran = subprocess.run(command, env=environment, cwd=os.getcwd(), capture_output=True, text=True)
        self.assertRegex(ran.stderr, r"ImportError: .* got 'jax': set KERAS_BACKEND=tensorflow in .*keras\.json\n$")

    def test_a_network_that_nothing_sees(self):
        hidden = keras.layers.Dense(4)
        hidden.build((None, 2))
        flow = nvb.Chain([nvb.Coupling(nvp.transformers.Affine(), lambda x: hidden(x), nvb.Alternating(0))])
        model = _model(nvp.FlowDistribution(flow, (4,)))
        with self.assertRaisesRegex(ValueError, "^expected a loss of the distribution's .*: .*kernel.*, .*bias"):
            model.train_on_batch(small.vectors(4))

    @parameterized.parameters(
        lambda flow: tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [4]), tfb.Invert(flow)),
        lambda flow: tfb.Chain([flow]),
    )
    def test_what_is_not_a_flow_distribution(self, make):
        with self.assertRaisesRegex(TypeError, "^expected a FlowDistribution"):
            nvp.FlowModel(make(small.vector_flow().flow))

    @parameterized.parameters(
        (lambda model: model.save("model.keras"), NotImplementedError, r"^expected save_weights\(path\)"),
        (lambda model: model.export("folder"), NotImplementedError, r"^expected nvp.save\(model.distribution, path\)"),
        (
            lambda model: model.fit(
                small.vectors(4), verbose=0, callbacks=[keras.callbacks.ModelCheckpoint("model.keras")]
            ),
            NotImplementedError,
            "ModelCheckpoint: save_weights_only=True",
        ),
        (lambda model: model.compile(loss="mse"), ValueError, "^expected no loss: the loss is the mean of -log p"),
        (lambda model: model.compile(keras.optimizers.SGD(loss_scale_factor=8.0)), ValueError, "without a loss scale"),
        (
            lambda model: model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())),
            ValueError,
            "without a loss scale",
        ),
        (lambda model: model.compile("sgd", metrics=["mae"]), ValueError, "^expected no metrics"),
    )
    def test_what_keras_cannot_do(self, call, error, message):
        with self.assertRaisesRegex(error, message):
            call(_model(small.vector_flow()))


if __name__ == "__main__":
    absltest.main()
