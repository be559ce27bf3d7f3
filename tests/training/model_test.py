"""The training step, alone and under Keras's `compile` and `fit`."""

import contextlib
import io
import math
import os
import tempfile
import warnings
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tests.training import small
from tfp_realnvp import training
from tfp_realnvp.training.regularization import regularization

nvb = nvp.bijectors


def _model(distribution, optimizer=None, **settings):
    """A compiled model; by default of the levels of `small`, and by default its weights stay where they are."""
    model = training.FlowModel(distribution, **{"levels": small.LEVELS, **settings})
    model.compile(keras.optimizers.SGD(0.0) if optimizer is None else optimizer)
    return model


def _without_batch_norm(**settings):
    """An image flow of which training and inference are the same function."""
    return small.image_flow(norm=None, normalization="none", **settings)


def _update(model, events):
    """What one step adds to each trainable variable."""
    before = small.values(model.trainable_variables)
    model.train_step(tf.constant(events))
    return [new - old for new, old in zip(small.values(model.trainable_variables), before)]


def _moving(distribution):
    return [variable for variable in distribution.variables if "moving" in variable.name]


class FlowModelTest(parameterized.TestCase):
    def test_the_loss_is_the_mean_negative_log_density_in_nats(self):
        distribution = _without_batch_norm()
        model = _model(distribution, seed=7)
        images = small.images(5)
        # The noise of a step is that of (seed, steps before), of an evaluation that of (seed, -1).
        for noise_seed, step in (((7, 0), model.train_step), ((7, 1), model.train_step), ((7, -1), model.test_step)):
            with self.subTest(str(noise_seed)):
                pixels = nvp.dequantize(images, seed=noise_seed, levels=small.LEVELS)
                expected = -np.mean(distribution.log_prob(pixels))
                model.reset_metrics()
                logs = step(tf.constant(images))
                self.assertAllClose(logs["loss"], expected, rtol=1e-5)
                self.assertAllClose(logs["bits_per_dim"], expected / (16 * math.log(2)), rtol=1e-5)

    def test_floats_are_taken_as_they_are(self):
        distribution = _without_batch_norm()
        model = _model(distribution)
        pixels = small.images(5) + np.float32(0.25)
        logs = model.train_step(tf.constant(pixels))
        self.assertAllClose(logs["loss"], -np.mean(distribution.log_prob(pixels)), rtol=1e-5)

    def test_training_normalises_by_the_batch(self):
        distribution = small.image_flow()
        pixels = tf.constant(small.images(5) + np.float32(0.25))
        z, log_det = distribution.flow._forward_and_log_det(pixels, None, training=True)
        log_probs = distribution.distribution.log_prob(z) + log_det
        model = _model(distribution)
        trained = model.train_step(pixels)["loss"]
        self.assertAllClose(trained, -np.mean(log_probs), rtol=1e-5)
        model.reset_metrics()
        evaluated = model.test_step(pixels)["loss"]
        self.assertAllClose(evaluated, -np.mean(distribution.log_prob(pixels)), rtol=1e-5)
        self.assertNotAllClose(trained, evaluated, rtol=1e-2)

    def test_metrics_are_the_mean_over_images_since_their_reset(self):
        distribution = _without_batch_norm()
        model = _model(distribution)
        few, many = small.images(2) + np.float32(0.5), small.images(6, seed=1) + np.float32(0.5)
        expected = -np.mean(distribution.log_prob(np.concatenate([few, many])))
        for step in (model.train_step, model.test_step):
            model.reset_metrics()
            step(tf.constant(few))
            self.assertAllClose(step(tf.constant(many))["loss"], expected, rtol=1e-5)

    def test_vectors_have_no_bits_per_dim(self):
        logs = _model(small.vector_flow()).train_step(tf.constant(small.vectors(5)))
        self.assertEqual(set(logs), {"loss", "skipped_steps"})

    def test_the_step_is_down_the_gradient(self):
        distribution = _without_batch_norm()
        pixels = small.images(5) + np.float32(0.5)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(pixels))
        model = _model(distribution, keras.optimizers.SGD(0.5), l2=0.0, clip_norm=None)
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        for variable, change, gradient in zip(model.trainable_variables, _update(model, pixels), gradients):
            self.assertAllClose(change, -0.5 * gradient.numpy(), atol=1e-5, rtol=1e-3, msg=variable.path)

    def test_l2_is_on_magnitudes_and_checkerboard_gains(self):
        distribution = small.image_flow(scales=2, dtype="float64")
        model = _model(distribution, keras.optimizers.SGD(1.0), clip_norm=None)
        couplings = [m for m in distribution.submodules if isinstance(m, nvb.Coupling)]
        gains = {c.name: c.transformer.gain for c in couplings}
        penalised = {id(gain) for name, gain in gains.items() if "checkerboard" in name}
        self.assertLen(penalised, 7)
        self.assertLen(gains, 10)
        penalised |= {id(v) for v in model.trainable_variables if v.path.endswith("/magnitude")}
        images, start = small.images(5), small.values(distribution.variables)

        def changes():
            for variable, value in zip(distribution.variables, start):
                variable.assign(value)
            model.optimizer.iterations.assign(0)
            model.reset_metrics()
            return _update(model, images), float(model.get_metrics_result()["loss"])

        with_l2, loss_with_l2 = changes()
        self.assertLen([v for v in model.trainable_variables if v.regularizer is not None], len(penalised))
        for variable in model.trainable_variables:
            variable.regularizer = None
        without_l2, loss = changes()
        self.assertEqual(loss_with_l2, loss)  # What is reported is the likelihood alone.
        for variable, one, other, value in zip(
            model.trainable_variables, with_l2, without_l2, small.values(model.trainable_variables)
        ):
            value = value - other  # As it was before the step.
            expected = -2 * 5e-5 * value if id(variable) in penalised else np.zeros_like(value)
            self.assertAllClose(one - other, expected, atol=1e-10, rtol=1e-6, msg=variable.path)

    def test_the_l2_term_is_that_of_the_authors_in_one_operation(self):
        model = nvp.FlowModel(small.image_flow(scales=2), l2=0.1)
        variables = [v for v in model.trainable_variables if v.regularizer is not None]
        (penalty,) = regularization(model.trainable_variables)
        expected = 2 * 0.1 * sum(tf.nn.l2_loss(v.value) for v in variables)
        self.assertAllClose(penalty, expected, rtol=1e-6)
        self.assertAllClose(tf.add_n(model.losses), expected, rtol=1e-6)  # As Keras adds them up.

    def test_regularizers_of_a_conditioner_are_in_the_objective(self):
        def dense(kernel_regularizer=None, activity_regularizer=None):
            layer = keras.layers.Dense(2, kernel_regularizer=kernel_regularizer, name="dense")
            layer.activity_regularizer = keras.regularizers.get(activity_regularizer)
            layer.build((None, 1))
            layer.set_weights([np.ones([1, 2], np.float32), np.zeros(2, np.float32)])
            coupling = nvb.Coupling(nvp.transformers.Affine(), layer, nvb.Alternating(parity=0))
            model = _model(nvp.FlowDistribution(coupling, (2,)), keras.optimizers.SGD(1.0), clip_norm=None)
            return dict(zip([v.path for v in model.trainable_variables], _update(model, np.ones([3, 2], np.float32))))

        plain, weights = dense(), dense(kernel_regularizer="l2")
        self.assertAllClose(weights["dense/kernel"] - plain["dense/kernel"], np.full([1, 2], -0.02), atol=1e-6)
        activity = dense(activity_regularizer="l2")
        self.assertGreater(np.min(np.abs(activity["dense/kernel"] - plain["dense/kernel"])), 1e-3)

    def test_the_gradient_is_clipped_by_its_global_norm(self):
        images = small.images(5)

        def changes(clip_norm):
            return _update(_model(_without_batch_norm(), keras.optimizers.SGD(1.0), clip_norm=clip_norm), images)

        gradient = changes(None)
        norm = math.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradient))
        for change, g in zip(changes(norm / 3), gradient):
            self.assertAllClose(change, g / 3, atol=1e-5, rtol=1e-3)
        for change, g in zip(changes(norm * 3), gradient):
            self.assertAllClose(change, g, atol=1e-6)
        self.assertEqual(_model(_without_batch_norm()).clip_norm, 100.0)

    @parameterized.parameters(False, True)
    def test_moving_statistics_move_once_in_a_training_step(self, in_graph):
        distribution = small.two_couplings()
        model = _model(distribution)
        moving = _moving(distribution)
        self.assertLen(moving, 2 * 2 + 2 * 4 * 2)  # 2 of the flow's batch norms, 4 in each of 2 networks.
        step = tf.function(model.train_step) if in_graph else model.train_step
        images = tf.constant(small.images(5))
        start = 1e4  # The batch's moments are near zero beside it, and have no part in the step's own pass.
        for variable in moving:
            variable.assign(tf.fill(variable.shape, start))
        for steps in (1, 2):
            step(images)
            for variable in moving:
                self.assertAllClose(variable, np.full(variable.shape, 0.9**steps * start), rtol=0.02, msg=variable.name)

    def test_moving_statistics_rest_in_evaluation(self):
        distribution = small.image_flow()
        model = _model(distribution)
        before = small.values(distribution.variables)
        model.test_step(tf.constant(small.images(5)))
        model.predict_step(tf.constant(small.images(5)))
        model(tf.constant(small.images(5)))
        self.assertAllEqual(before, small.values(distribution.variables))

    @parameterized.parameters(
        lambda: small.image_flow(scales=2),
        lambda: small.image_flow(normalization="layer", norm=None),
        small.vector_flow,
    )
    def test_keras_and_tfp_see_the_same_variables(self, make):
        distribution = make()
        model = training.FlowModel(distribution)
        seen = [id(variable.value) for variable in model.trainable_variables]
        self.assertCountEqual(seen, [id(variable) for variable in distribution.trainable_variables])
        frozen = {id(variable.value) for variable in model.non_trainable_variables}
        self.assertContainsSubset({id(v) for v in _moving(distribution)}, frozen)
        self.assertEqual(
            sum(math.prod(variable.shape) for variable in model.trainable_variables),
            nvp.trainable_parameters(distribution),
        )

    def test_a_layer_shared_by_two_couplings_is_counted_once(self):
        network = nvp.conditioners.MLP(outputs=4, hidden_units=(3,))
        network.build((None, 2))
        flow = nvb.Chain([nvb.Coupling(nvp.transformers.Affine(), network, nvb.Alternating(i)) for i in (0, 1)])
        model = training.FlowModel(nvp.FlowDistribution(flow, (4,)))
        self.assertLen(model.trainable_variables, 4 + 2)
        self.assertLen(_update(_model(nvp.FlowDistribution(flow, (4,))), small.vectors(3)), 4 + 2)

    def test_a_variable_without_a_gradient_stays(self):
        class WithSpare(nvp.conditioners.MLP):
            def build(self, input_shape):
                super().build(input_shape)
                self.spare = self.add_weight(name="spare", shape=(3,), initializer="ones")

        network = WithSpare(outputs=4, hidden_units=(3,))
        network.build((None, 2))
        flow = registry.randomize(nvb.Coupling(nvp.transformers.Affine(), network, nvb.Alternating(0)))
        model = _model(nvp.FlowDistribution(flow, (4,)), keras.optimizers.SGD(0.1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras tells of it.
            changes = _update(model, small.vectors(5))
        for variable, change in zip(model.trainable_variables, changes, strict=True):
            self.assertEqual(np.any(change), variable.name != "spare", variable.path)

    def test_weights_of_keras_files_are_all_the_weights(self):
        path = os.path.join(self.enter_context(tempfile.TemporaryDirectory()), "model.weights.h5")
        saved, other = small.image_flow(), small.image_flow()
        for variable in other.variables:
            variable.assign(tf.ones_like(variable))
        training.FlowModel(saved).save_weights(path)
        training.FlowModel(other).load_weights(path)
        for one, two in zip(saved.variables, other.variables):
            self.assertAllEqual(one, two)

    def test_what_compile_does_by_default(self):
        model = training.FlowModel(small.vector_flow())
        model.compile()
        self.assertIsInstance(model.optimizer, training.Adam)
        self.assertAllClose(model.optimizer.learning_rate, 1e-3)
        model.compile("sgd")
        self.assertIsInstance(model.optimizer, keras.optimizers.SGD)

    @parameterized.parameters(("CPU", False), ("GPU", True), ("TPU", True))
    def test_xla_is_used_on_accelerators(self, device_type, expected):
        devices = [tf.config.LogicalDevice(f"/device:{kind}:0", kind) for kind in {"CPU", device_type}]
        model = training.FlowModel(small.vector_flow())
        with mock.patch.object(tf.config, "list_logical_devices", lambda: devices):
            model.compile()
        self.assertEqual(model.jit_compile, expected)
        model.compile(jit_compile=not expected)
        self.assertEqual(model.jit_compile, not expected)

    def test_a_step_compiled_with_xla_is_the_same(self):
        pixels = small.images(8) + np.float32(0.5)
        results = []
        for jit_compile in (False, True):
            flow = small.two_couplings(blocks=0)
            model = training.FlowModel(flow)
            model.compile(keras.optimizers.SGD(1e-3), jit_compile=jit_compile)
            logs = tf.function(model.train_step, jit_compile=model.jit_compile)(tf.constant(pixels))
            self.assertTrue(bool(model.last_step_finite.value))
            results.append((logs["loss"].numpy(), small.values(flow.variables)))
        (loss, variables), (loss_xla, variables_xla) = results
        self.assertAllClose(loss_xla, loss, rtol=1e-4)
        for one, other in zip(variables_xla, variables):
            self.assertAllClose(one, other, atol=1e-4, rtol=1e-4)

    def assertAllClose(self, actual, expected, atol=0.0, rtol=1e-6, msg=""):
        np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol, atol, err_msg=msg)

    def assertNotAllClose(self, actual, other, rtol):
        self.assertFalse(np.allclose(actual, other, rtol, 0), f"{actual} is close to {other}")

    def assertAllEqual(self, actual, expected):
        actual, expected = (x if isinstance(x, list) else [x] for x in (actual, expected))
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(one, other)


class NonFiniteStepTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.images, self.vectors = small.images(5), small.vectors(5)

    def _assert_nothing_learned(self, model, events):
        before = small.values(model.trainable_variables)
        model.train_step(tf.constant(events))
        self.assertFalse(bool(model.last_step_finite.value))
        for variable, old, new in zip(model.trainable_variables, before, small.values(model.trainable_variables)):
            np.testing.assert_array_equal(new, old, variable.path)

    def _not_finite(self, value):
        events = self.vectors.copy()
        events[3, 2] = value
        return events

    @parameterized.parameters(np.nan, np.inf)
    def test_a_batch_that_is_not_finite_changes_no_trainable_variable(self, value):
        model = _model(small.vector_flow(), keras.optimizers.SGD(0.1))
        self._assert_nothing_learned(model, self._not_finite(value))

    def test_nor_does_a_weight_that_is_not_finite(self):
        model = _model(small.two_couplings(), keras.optimizers.SGD(0.1))
        weight = next(v for v in model.trainable_variables if v.path.endswith("conv_in/direction"))
        weight.assign(tf.fill(weight.shape, np.nan))
        self._assert_nothing_learned(model, self.images)

    def test_nor_does_a_gradient_that_is_not_finite(self):
        model = _model(small.vector_flow(norm=None), keras.optimizers.SGD(0.1))
        # Squares of entries this large overflow in the gradient's norm, not in the loss.
        events = self.vectors * np.float32(1e12)
        self.assertTrue(np.all(np.isfinite(model(tf.constant(events)))))
        self._assert_nothing_learned(model, events)

    def test_nor_does_the_momentum_of_steps_before(self):
        model = _model(small.vector_flow(), training.Adam(0.1))
        _update(model, self.vectors)
        self._assert_nothing_learned(model, self._not_finite(np.nan))

    def test_training_goes_on_after_it(self):
        model = _model(small.vector_flow(), training.Adam(0.1))
        model.train_step(tf.constant(self._not_finite(np.nan)))
        for change in _update(model, self.vectors):
            self.assertTrue(np.all(np.isfinite(change)))
            self.assertTrue(np.any(change))
        self.assertTrue(bool(model.last_step_finite.value))
        self.assertTrue(np.all(np.isfinite(model(tf.constant(self.vectors)))))

    @parameterized.parameters(False, True)
    def test_a_skipped_step_leaves_everything_as_it_was(self, in_graph):
        # The infinity comes up in the second coupling, when statistics before it have been taken.
        distribution = small.two_couplings()
        model = _model(distribution, training.Adam(0.1), average_decay=0.9)
        step = tf.function(model.train_step) if in_graph else model.train_step
        step(tf.constant(self.images))
        gain = next(m for m in distribution.submodules if m.name == "channels").transformer.gain
        value = gain.numpy()
        gain.assign(1e30)
        variables = [*distribution.variables, *model.average.averages]
        variables += [v.value for v in model.optimizer.variables if v.name != "iteration"]
        before = small.values(variables)
        loss = model.loss_metric.result().numpy()
        step(tf.constant(self.images))
        for old, new in zip(before, small.values(variables), strict=True):
            np.testing.assert_array_equal(new, old)
        self.assertEqual(model.loss_metric.result(), loss)
        self.assertEqual((int(model.optimizer.iterations), int(model.skipped_steps)), (2, 1))
        gain.assign(value)
        step(tf.constant(self.images))
        self.assertEqual(int(model.skipped_steps), 1)
        for old, new in zip(before, small.values(distribution.variables)):
            self.assertFalse(np.array_equal(new, old))

    def test_an_epoch_without_a_finite_step_has_no_loss(self):
        model = _model(small.vector_flow())
        model.run_eagerly = True
        path = os.path.join(self.enter_context(tempfile.TemporaryDirectory()), "best.weights.h5")
        best = keras.callbacks.ModelCheckpoint(path, "loss", save_best_only=True, save_weights_only=True)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras tells that there is no loss to compare.
            events = self._not_finite(np.nan)
            settings = dict(batch_size=3, epochs=2, shuffle=False, verbose=2, callbacks=[best])
            history = model.fit(events, validation_data=events, **settings).history
        np.testing.assert_array_equal(history["skipped_steps"], [1, 2])
        self.assertTrue(np.all(np.isfinite(history["loss"])))  # Of the steps that were not skipped.
        self.assertFalse(np.any(np.isfinite(history["val_loss"])))
        self.assertIn("skipped_steps: 2.0000", output.getvalue())
        os.remove(path)
        stop = keras.callbacks.TerminateOnNaN()
        with contextlib.redirect_stdout(output):
            settings = dict(batch_size=3, epochs=3, verbose=0, callbacks=[best, stop])
            history = model.fit(self.vectors * np.nan, **settings).history
        np.testing.assert_array_equal(history["loss"], [np.nan])
        np.testing.assert_array_equal(history["skipped_steps"], [3])  # After the first batch.
        self.assertFalse(os.path.exists(path))

    def test_the_gradients_norm_is_told(self):
        model = _model(small.vector_flow(norm=None), keras.optimizers.SGD(1.0), l2=0.0, clip_norm=None)
        changes = _update(model, self.vectors)
        norm = math.sqrt(sum(np.sum(np.square(change)) for change in changes))
        np.testing.assert_allclose(model.last_gradient_norm.value, norm, rtol=1e-3)


class LossScaleTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.vectors = tf.constant(small.vectors(5))
        distribution = small.vector_flow(norm=None, dtype_policy="mixed_float16")
        self.model = _model(distribution, keras.optimizers.SGD(0.5), clip_norm=None)

    def test_float16_alone_has_one(self):
        for policy in ("float32", "mixed_bfloat16"):
            self.assertIsNone(_model(small.vector_flow(norm=None, dtype_policy=policy)).loss_scale)
        self.assertEqual(self.model.loss_scale.value, 2.0**15)
        self.assertLen(self.model.counters, 3)

    def test_an_overflow_lowers_it_and_is_no_skipped_step(self):
        self.model.loss_scale.assign(2.0**40)
        before = small.values(self.model.trainable_variables)
        self.model.train_step(self.vectors)
        self.assertFalse(bool(self.model.last_step_finite.value))
        self.assertEqual((self.model.loss_scale.value, self.model.skipped_steps.value), (2.0**39, 0))
        self.assertTrue(np.isfinite(self.model.get_metrics_result()["loss"]))  # The loss was, unscaled.
        for old, new in zip(before, small.values(self.model.trainable_variables)):
            np.testing.assert_array_equal(new, old)
        self.model.loss_scale.assign(2.0**15)
        self.model.train_step(self.vectors)
        self.assertTrue(bool(self.model.last_step_finite.value))

    def test_a_loss_that_is_not_finite_is_a_skipped_step(self):
        self.model.train_step(self.vectors * np.nan)
        self.assertEqual(self.model.skipped_steps.value, 1)

    def test_it_rises_after_a_while(self):
        self.model.steps_at_loss_scale.assign(1_998)
        for scale in (2.0**15, 2.0**16, 2.0**16):
            self.model.train_step(self.vectors)
            self.assertEqual(self.model.loss_scale.value, scale)
        self.assertEqual(self.model.steps_at_loss_scale.value, 1)


class BackpropTest(absltest.TestCase):
    def test_steps_are_those_of_stored_activations(self):
        ends = {}
        for mode in ("store", "remat", "invert"):
            distribution = small.image_flow(blocks=0, rho=0.5, dtype="float64", backprop=mode)
            model = _model(distribution, training.Adam(1e-2), l2=1e-3)
            step = tf.function(model.train_step)
            for i in range(3):
                step(tf.constant(small.images(6, seed=i)))
            ends[mode] = small.values([*distribution.variables, *(v.value for v in model.optimizer.variables)])
        for mode in ("remat", "invert"):
            for stored, other in zip(ends["store"], ends[mode], strict=True):
                np.testing.assert_allclose(other, stored, rtol=1e-7, atol=1e-9, err_msg=mode)


class AccumulationTest(parameterized.TestCase):
    @parameterized.parameters("sgd", "adam")
    def test_parts_are_as_the_whole(self, optimizer):
        images = small.images(12)
        results = []
        for parts in (1, 3):
            model = _model(_without_batch_norm(), optimizer)
            model.build_accumulators()
            for _ in range(2):
                *others, last = tf.split(tf.constant(images), parts)
                for i, part in enumerate(others):
                    model.accumulate_step(part, tf.constant(i), parts)
                logs = model.train_step(last, parts)
            self.assertEqual(int(model.optimizer.iterations), 2)
            results.append((logs["loss"].numpy(), small.values(model.trainable_variables)))
        (loss, whole), (loss_of_parts, in_parts) = results
        np.testing.assert_allclose(loss_of_parts, loss, rtol=1e-5)
        for one, other in zip(in_parts, whole, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)

    def test_parts_without_accumulators_are_refused(self):
        model = nvp.FlowModel(nvp.maf(event_shape=(2,), layers=1, hidden_units=(2,)))
        model.compile()
        with self.assertRaisesRegex(RuntimeError, r"expected build_accumulators\(\)"):
            model.accumulate_step(tf.zeros([4, 2]), tf.constant(0), 2)


class FitTest(absltest.TestCase):
    def test_images(self):
        keras.utils.set_random_seed(0)  # `fit` shuffles.
        images = small.images(64)
        model = training.FlowModel(small.two_couplings(), levels=small.LEVELS)
        model.compile(training.Adam(0.03))
        history = model.fit(images, batch_size=16, epochs=8, validation_data=images[:16], verbose=0).history
        self.assertEqual(set(history), {"loss", "bits_per_dim", "skipped_steps", "val_loss", "val_bits_per_dim"})
        self.assertLess(history["loss"][-1], history["loss"][0] - 1)
        self.assertLess(history["val_loss"][-1], history["val_loss"][0] - 1)
        np.testing.assert_allclose(history["bits_per_dim"], np.array(history["loss"]) / (16 * math.log(2)), rtol=1e-5)
        evaluation = model.evaluate(images[:16], batch_size=16, verbose=0, return_dict=True)
        np.testing.assert_allclose(evaluation["loss"], history["val_loss"][-1], rtol=1e-5)
        log_probs = model.predict(images[:16], batch_size=16, verbose=0)
        np.testing.assert_allclose(-np.mean(log_probs), evaluation["loss"], rtol=1e-5)

    def test_vectors(self):
        vectors = small.vectors(64)
        model = training.FlowModel(small.vector_flow())
        model.compile(training.Adam(0.01))
        data = tf.data.Dataset.from_tensor_slices(vectors).batch(16)
        history = model.fit(data, epochs=8, validation_data=data, verbose=0).history
        self.assertEqual(set(history), {"loss", "skipped_steps", "val_loss"})
        self.assertLess(history["loss"][-1], history["loss"][0] - 0.3)

    def test_labels(self):
        # Vectors of one class lie apart from those of the other: told it, a flow knows where.
        labels = np.arange(64) % 2
        vectors = small.vectors(64) + 6 * labels[:, np.newaxis].astype(np.float32)
        distribution = nvp.real_nvp(event_shape=vectors.shape[1:], couplings=4, hidden_units=(8,), context_size=2)
        model = training.FlowModel(distribution, classes=2)
        model.compile(training.Adam(0.02))
        data = tf.data.Dataset.from_tensor_slices((vectors, labels)).batch(16)
        model.fit(data, epochs=15, verbose=0)
        right = model.evaluate(data, verbose=0, return_dict=True)["loss"]
        swapped = data.map(lambda x, label: (x, 1 - label))
        self.assertGreater(model.evaluate(swapped, verbose=0, return_dict=True)["loss"], right + 1)

    def test_labels_are_one_hot_vectors(self):
        distribution = nvp.real_nvp(event_shape=(3,), couplings=2, hidden_units=(4,), context_size=2)
        registry.randomize(distribution)
        x, context = tf.ones([2, 3]), tf.constant([[0.0, 1.0], [1.0, 0.0]])
        expected = distribution.log_prob(x, context=context)
        told = training.FlowModel(distribution, classes=2)(x, tf.constant([1, 0]))
        np.testing.assert_allclose(told, expected, rtol=1e-6)
        np.testing.assert_allclose(training.FlowModel(distribution)(x, context), expected, rtol=1e-6)

    def test_labels_of_no_class(self):
        distribution = nvp.real_nvp(event_shape=(3,), couplings=1, hidden_units=(4,), context_size=2)
        model = training.FlowModel(distribution, classes=2)
        log_prob = model(tf.ones([4, 3]), tf.constant([1, 2, -1, 0]))
        np.testing.assert_array_equal(np.isfinite(log_prob), [True, False, False, True])
        for labels, got in ((tf.ones([4]), r"float32 of shape \(4,\)"), (tf.ones([4, 1], tf.int32), "int32 of shape")):
            with self.assertRaisesRegex(ValueError, f"expected labels of 2 classes, integers .*, got {got}"):
                model(tf.ones([4, 3]), labels)

    def test_data_of_another_kind(self):
        model = _model(small.vector_flow(), training.Adam(0.01))
        for vectors in (tf.ones([2, 4], tf.int32), tf.ones([2, 4], tf.bool)):
            with self.assertRaisesRegex(TypeError, "expected vectors of floats, got .*: only images are dequantised"):
                model(vectors)

    def test_weights_below_zero(self):
        x, w = small.vectors(2), np.array([1.0, -1.0])
        model = _model(small.vector_flow(), training.Adam(0.01))
        flow = nvp.real_nvp(event_shape=(4,), couplings=1, hidden_units=(4,), context_size=2)
        conditional = _model(flow, training.Adam(0.01), classes=2)
        for call in (
            lambda: model.fit(x, sample_weight=w, verbose=0),
            lambda: model.fit(x, validation_data=(x, None, w), verbose=0),
            lambda: model.evaluate(x, sample_weight=w, verbose=0),
            lambda: model.evaluate(x, None, 2, 0, w),
            lambda: conditional.fit(x, np.array([0, 1]), class_weight={0: 1.0, 1: -1.0}, verbose=0),
        ):
            with self.assertRaisesRegex(ValueError, "expected weights of 0 or more, got -1"):
                call()
        batches = tf.data.Dataset.from_tensors((x, None, tf.constant(w)))
        np.testing.assert_array_equal(
            np.isnan(model.log_prob_of(next(iter(batches)), training=False, seed=(0, 0))), w < 0
        )

    def test_arguments_by_position(self):
        x, w = small.vectors(4), np.arange(4.0)
        model = _model(small.vector_flow(), training.Adam(0.01))
        expected = model.evaluate(x, sample_weight=w, verbose=0)
        self.assertNotAlmostEqual(expected, model.evaluate(x, verbose=0))
        self.assertEqual(model.evaluate(x, None, 32, 0, w), expected)

    def test_images_that_would_get_no_noise(self):
        images, flow = small.images(2), small.two_couplings()
        noise = nvp.dequantizer(event_shape=flow.event_shape, levels=small.LEVELS, couplings=1, width=2, blocks=0)
        model = training.FlowModel(flow, levels=small.LEVELS, dequantizer=noise)
        with self.assertRaisesRegex(TypeError, "expected integer images for a dequantizer, got float32, which get no"):
            model(images + np.float32(0.25))
        with self.assertRaisesRegex(TypeError, "expected images of integers or dequantized floats, got bool"):
            training.FlowModel(flow, levels=small.LEVELS)(images > 2)

    def test_a_norm_that_turns_the_gradient(self):
        for norm in (0.0, -1.0, math.nan):
            with self.assertRaisesRegex(ValueError, f"expected a clip_norm above 0 or None, got {norm}"):
                training.FlowModel(small.vector_flow(), clip_norm=norm)

    def test_networks_of_another_dtype(self):
        def network(mask, channels, outputs):
            layer = keras.layers.Dense(outputs, dtype="float64")
            layer.build((None, mask.kept_size(channels)))
            return layer

        distribution = nvp.coupling_flow(event_shape=(4,), conditioner=network, couplings=1)
        with self.assertRaisesRegex(ValueError, "variables of the flow's dtype float32, got float32, float64"):
            training.FlowModel(distribution)

    def test_early_stopping_puts_the_best_weights_back(self):
        distribution = small.vector_flow()
        model = _model(distribution, keras.optimizers.SGD(-0.1))  # Away from the minimum.
        stop = keras.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
        weights = []
        keep = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: weights.append(small.values(distribution.variables))
        )
        history = model.fit(small.vectors(16), batch_size=16, epochs=9, verbose=0, callbacks=[keep, stop]).history
        self.assertLen(history["loss"], 3)
        for now, first in zip(small.values(distribution.variables), weights[0]):
            np.testing.assert_array_equal(now, first)


class DtypeTest(parameterized.TestCase):
    def test_float64_stays_float64(self):
        distribution = small.vector_flow(dtype="float64", norm=None)
        events = small.vectors(5).astype(np.float64) / 3
        log_probs = training.FlowModel(distribution)(tf.constant(events))
        np.testing.assert_allclose(log_probs, distribution.log_prob(events), rtol=1e-13)

    @parameterized.parameters("mixed_bfloat16", "mixed_float16")
    def test_a_mixed_policy_is_for_networks_alone(self, policy):
        self.addCleanup(keras.config.set_dtype_policy, keras.config.dtype_policy())
        keras.config.set_dtype_policy(policy)
        distribution = small.vector_flow(norm=None)
        events = small.vectors(5)
        model = _model(distribution, keras.optimizers.SGD(0.5), clip_norm=None)
        np.testing.assert_allclose(model(tf.constant(events)), distribution.log_prob(events), rtol=1e-5)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(events))
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        for change, gradient in zip(_update(model, events), gradients):
            np.testing.assert_allclose(change, -0.5 * gradient.numpy(), rtol=0.05, atol=0.01)


if __name__ == "__main__":
    absltest.main()
