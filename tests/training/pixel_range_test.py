"""Data whose densities would mean nothing are warned of."""

import warnings
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tfp_realnvp.training.pixel_range import warn_of_scaled_pixels

_PIXELS = np.random.default_rng(0).integers(256, size=[8, 4, 4, 1], dtype=np.uint8)
_NOISY = nvp.dequantize(_PIXELS, seed=(0, 0)).numpy()


def _flow(**kwargs):
    return nvp.real_nvp(event_shape=(4, 4, 1), scales=1, width=1, blocks=0, **kwargs)


class PixelRangeTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.flow = _flow()

    @parameterized.named_parameters(
        ("divided", _PIXELS / 255, r"values in \[0, 1\] only"),
        ("divided_tensor", tf.constant(_NOISY / 256), r"values in \[0, 1\] only"),
        ("divided_with_context", (_PIXELS / 255, np.zeros([8, 1])), r"values in \[0, 1\] only"),
        ("divided_data_set", tf.data.Dataset.from_tensor_slices(_PIXELS / 255).batch(4), r"values in \[0, 1\] only"),
        ("cast", _PIXELS.astype(np.float32), "integers as floats, which get no noise"),
    )
    def test_warns(self, given, got):
        with self.assertWarnsRegex(UserWarning, rf"dequantized floats in \[0, 256\), got {got}: bits/dim"):
            warn_of_scaled_pixels(given, self.flow)

    @parameterized.named_parameters(
        ("integers", _PIXELS),
        ("dequantized", _NOISY),
        ("data_set_of_integers", tf.data.Dataset.from_generator(lambda: 1 / 0, output_types=tf.uint8)),
        ("data_set", tf.data.Dataset.from_tensor_slices(_NOISY).batch(4)),
        ("none", np.zeros([0, 4, 4, 1], np.float32)),
        ("another_kind", iter([_PIXELS / 255])),
    )
    def test_is_silent(self, given):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_scaled_pixels(given, self.flow)

    def test_other_flows_are_not_of_pixels(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_scaled_pixels(_PIXELS / 255, _flow(levels=2))
            warn_of_scaled_pixels(
                np.random.default_rng(0).uniform(size=[9, 2]), nvp.nice(event_shape=(2,), hidden_units=(2,))
            )

    def test_integers_of_two_levels_have_no_noise_either(self):
        with self.assertWarnsRegex(UserWarning, "integers as floats, which get no noise"):
            warn_of_scaled_pixels((_PIXELS > 1).astype(np.float32), _flow(levels=2))

    def test_fit_and_evaluate_warn(self):
        model = nvp.FlowModel(self.flow)
        for name in ("fit", "evaluate"):
            with mock.patch.object(keras.Model, name, autospec=True) as keras_own:
                with self.assertWarnsRegex(UserWarning, r"values in \[0, 1\] only") as caught:
                    getattr(model, name)(_PIXELS / 255, batch_size=8, verbose=0)
            self.assertEqual((caught.filename, keras_own.call_args.kwargs), (__file__, dict(batch_size=8, verbose=0)))

    def test_fit_warns_of_constant_columns_under_batch_norm(self):
        distribution = nvp.maf(event_shape=2, layers=2, hidden_units=(2,), norm="batch")
        model = nvp.FlowModel(distribution)
        first = distribution.flow.bijectors[1]
        with mock.patch.object(keras.Model, "fit", autospec=True):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                model.fit(_PIXELS)
            first.moving_variance.assign([1.0, 1e-6])
            with self.assertWarnsRegex(
                UserWarning, r"expected data that vary, got channel 1 of batch_norm_0 .* 1e-06, far below .* 0\.0001: "
            ) as caught:
                model.fit(_PIXELS)
        self.assertEqual(caught.filename, __file__)


if __name__ == "__main__":
    absltest.main()
