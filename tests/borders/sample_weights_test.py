"""Sample weights and contexts, in each form in which Keras takes them."""

import functools

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tests.training import small
from tfp_realnvp import training
from tfp_realnvp.training.batches import separated

_X, _W = small.vectors(8), np.array([0, 1, 2, 0.5, 3, 0, 1, 4], np.float32)
_CONTEXT = np.random.default_rng(0).normal(size=[8, 2]).astype(np.float32)


@functools.cache
def _model(rate=0.0, context_size=None, classes=None):
    distribution = nvp.real_nvp(event_shape=(4,), couplings=2, hidden_units=(4,), context_size=context_size)
    model = nvp.FlowModel(registry.randomize(distribution), classes=classes, clip_norm=None)
    model.compile(keras.optimizers.SGD(rate), run_eagerly=True)
    return model


def _batches(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(4)


_KERAS = dict(batch_size=4, verbose=0)
# What a call of a model reports for vectors, weights and a context that is None or not.
_CALLS = dict(
    fit=lambda model, x, c, w: model.fit(x, c, sample_weight=w, **_KERAS).history["loss"][0],
    fit_data=lambda model, x, c, w: model.fit(_batches(x, c, w), verbose=0).history["loss"][0],
    fit_validation=lambda model, x, c, w: model.fit(x, c, validation_data=(x, c, w), **_KERAS).history["val_loss"][0],
    evaluate=lambda model, x, c, w: model.evaluate(x, c, sample_weight=w, **_KERAS),
    evaluate_data=lambda model, x, c, w: model.evaluate(_batches(x, c, w), verbose=0),
    train_on_batch=lambda model, x, c, w: model.train_on_batch(x, c, w)[0],
    test_on_batch=lambda model, x, c, w: model.test_on_batch(x, c, w),
    train=lambda model, x, c, w: training.train(model, lambda *_: _batches(x, c, w), epochs=1, verbose=0)["loss"][0],
)
_PAIRS = dict(
    fit=lambda model, pair, w: model.fit(pair, sample_weight=w, **_KERAS).history["loss"][0],
    fit_validation=lambda model, pair, w: model.fit(pair, validation_data=(pair, None, w), **_KERAS).history[
        "val_loss"
    ][0],
    evaluate=lambda model, pair, w: model.evaluate(pair, sample_weight=w, **_KERAS),
    train_on_batch=lambda model, pair, w: model.train_on_batch(pair, sample_weight=w)[0],
    test_on_batch=lambda model, pair, w: model.test_on_batch(pair, sample_weight=w),
)


class SampleWeightsTest(parameterized.TestCase):
    @parameterized.product(call=tuple(_CALLS), has_context=(False, True))
    def test_the_loss_is_the_weighted_sum_over_the_number_of_events(self, call, has_context):
        context = _CONTEXT if has_context else None
        model = _model(context_size=2 if has_context else None)
        log_prob = model.distribution.log_prob(_X, **({"context": context} if has_context else {}))
        expected = -np.mean(_W * log_prob)
        self.assertNotAlmostEqual(expected, -np.mean(log_prob), places=1)
        self.assertAlmostEqual(_CALLS[call](model, _X, context, _W), expected, places=4)

    @parameterized.parameters(*_PAIRS)
    def test_a_pair_is_events_and_context(self, call):
        model = _model(context_size=2)
        log_prob = model.distribution.log_prob(_X, context=_CONTEXT)
        for weight in (_W, None):
            expected = -np.mean(log_prob if weight is None else weight * log_prob)
            self.assertAlmostEqual(_PAIRS[call](model, (_X, _CONTEXT), weight), expected, places=4)

    def test_predictions_are_not_weighted(self):
        model = _model(context_size=2)
        expected = model.distribution.log_prob(_X, context=_CONTEXT)
        for predicted in (
            model.predict((_X, _CONTEXT), **_KERAS),
            model.predict(_batches(_X, _CONTEXT, _W), verbose=0),
            model.predict_on_batch((_X, _CONTEXT)),
        ):
            np.testing.assert_allclose(predicted, expected, rtol=1e-5)

    def test_a_weight_of_two_is_an_event_twice(self):
        ends = []
        twice = np.concatenate([_X[:4], _X[:2]])
        for x, weight in ((_X[:4], np.array([2.0, 2.0, 1.0, 1.0]) * 4 / 6), (twice, None)):
            model = _model.__wrapped__(rate=0.1)
            model.train_on_batch(x, sample_weight=weight)
            ends.append(small.values(model.trainable_variables))
        for one, other in zip(*ends, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)

    def test_what_weighs_nothing_trains_nothing(self):
        model = _model(rate=0.1)
        before = small.values(model.trainable_variables)
        outside = np.where(np.arange(8)[:, np.newaxis] == 3, np.nan, _X)  # Whose log-density is -inf.
        self.assertEqual(model.train_on_batch(outside, sample_weight=np.zeros(8))[0], 0)
        self.assertTrue(bool(model.last_step_finite.value))
        for old, new in zip(before, small.values(model.trainable_variables), strict=True):
            np.testing.assert_array_equal(new, old)

    def test_no_none_is_left_in_a_data_set(self):
        # Keras does not take one to several replicas.
        data, _ = separated(_batches(_X, None, _W), None, None)
        self.assertEqual([list(spec.shape) for spec in data.element_spec], [[None, 4], [None, 0], [None]])
        for pair in (_batches(_X, _W), _batches(_X, _CONTEXT, _W)):
            self.assertIs(separated(pair, None, None)[0], pair)

    def test_weights_in_a_column(self):
        model = _model()
        self.assertEqual(
            model.test_on_batch(_X, sample_weight=_W[:, np.newaxis]), model.test_on_batch(_X, sample_weight=_W)
        )

    def test_weights_of_classes(self):
        labels = np.arange(8) % 2
        model = _model(context_size=2, classes=2)
        log_prob = model.distribution.log_prob(_X, context=np.eye(2, dtype=np.float32)[labels])
        expected = -np.mean(np.where(labels, 3, 1) * log_prob)
        history = model.fit(_X, labels, class_weight={0: 1.0, 1: 3.0}, **_KERAS).history
        self.assertAlmostEqual(history["loss"][0], expected, places=4)

    @parameterized.parameters(
        (lambda model: model.fit(_X, class_weight={0: 1.0}), ValueError, "^expected no class_weight without classes"),
        (
            lambda model: model.test_on_batch(_X, sample_weight=np.ones([8, 2])),
            ValueError,
            r"^expected one sample weight for each event, of shape \[n\], got shape \(8, 2\)$",
        ),
        (lambda model: model.fit((p for p in [(_X,)]), sample_weight=_W), ValueError, "weights should be included"),
        (lambda model: model.test_on_batch({"x": _X}), TypeError, "got a dict$"),
        (lambda model: model.test_on_batch((_X, _CONTEXT, _W)), ValueError, "no second context, got 3 parts$"),
        (lambda model: model.test_on_batch((_X, _CONTEXT), _CONTEXT), ValueError, "got 2 parts and a context$"),
        (lambda model: model.predict_step((_X, None, _W, _W)), ValueError, "context, weights., got 4 parts$"),
    )
    def test_what_is_refused(self, call, error, message):
        with self.assertRaisesRegex(error, message):
            call(_model())


if __name__ == "__main__":
    absltest.main()
