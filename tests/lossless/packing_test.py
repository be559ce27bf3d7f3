"""Images come back from bytes, at the flow's bits/dim; damaged files, other models and other numbers are refused."""

import functools
import pathlib
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import lossless, presets
from tfp_realnvp.lossless import codec, layers, packing
from tfp_realnvp.lossless.lattice import BITS
from tfp_realnvp.lossless.stack import Stack

_FLOWS = [e for e in registry.FLOWS if len(e.event_shape) == 3 and e.levels and e.context_size is None]


@functools.cache
def _digits(split="test"):
    return np.concatenate([batch.numpy() for batch in nvp.data.load("digits").evaluation_batches(split, 100)])


@functools.cache
def _export():
    """A tiny Glow of digits, trained a little."""
    keras.utils.set_random_seed(0)
    preset = presets.get("digits_glow").replace(steps=1, width=4)
    flow = preset.build()
    model = nvp.FlowModel(flow, levels=17)
    model.compile(nvp.training.Adam(1e-2))
    model.fit(_digits("train"), batch_size=64, epochs=1, verbose=0)
    folder = pathlib.Path(tempfile.mkdtemp()) / "digits"
    nvp.publish(flow, folder, weights_dtype="bfloat16", metadata={"model": preset.settings()})
    return folder


@functools.cache
def _model():
    return lossless.Model(_export())


class LayersTest(parameterized.TestCase):
    @parameterized.named_parameters((entry.name, entry) for entry in _FLOWS)
    def test_each_flow_of_images_is_a_bijection_of_integers(self, entry):
        # As built, since random weights are no density of images; each layer's numbers are those of the flow.
        flow = entry.make("float64", "float64")
        images = np.random.default_rng(0).integers(0, entry.levels, [2, *entry.event_shape])
        stack = Stack(np.random.default_rng(1).integers(0, 2**32, 50_000, dtype=np.uint32), is_payload=True)
        before, shift = stack.copy(), BITS - layers.pixel_bits(entry.levels)
        numbers = (images << shift) + 2 ** (shift - 1) + 1
        integers = layers.IntegerFlow(flow.flow)
        latents = integers.to_latents(numbers, stack)
        expected = flow.flow.forward((images + 0.5 + 2.0**-shift).astype(np.float64))
        np.testing.assert_allclose(np.ldexp(latents.astype(float), -BITS), expected, atol=2e-3)
        np.testing.assert_array_equal(integers.to_data(latents, stack), numbers)
        np.testing.assert_array_equal(stack.payload(), before.payload())

    def test_another_layer_is_refused(self):
        chain = nvp.bijectors.Chain([nvp.bijectors.Planar(4, dtype="float64")])
        with self.assertRaisesRegex(TypeError, "expected a flow of couplings, linear maps, .* got a layer planar"):
            layers.IntegerFlow(chain).to_latents(np.zeros([1, 4], np.int64), None)


class SteepTest(absltest.TestCase):
    def test_black_and_white_pixels_come_back_through_a_steep_logit(self):
        flow = layers.IntegerFlow(nvp.bijectors.DequantizedLogit(levels=256, alpha=1e-5))
        end = 2**BITS
        numbers = np.concatenate([np.arange(200), np.arange(end - 200, end)]).reshape(1, 20, 20, 1)
        stack = Stack(np.random.default_rng(1).integers(0, 2**32, 50_000, dtype=np.uint32), is_payload=True)
        before = stack.copy()
        latents = flow.to_latents(numbers, stack)
        np.testing.assert_array_equal(flow.to_data(latents, stack), numbers)
        self.assertEqual(stack, before)


class PackingTest(parameterized.TestCase):
    def test_images_come_back_at_the_bits_of_the_bound(self):
        model, images = _model(), _digits()
        coded = codec.encode(model.coder, images)
        np.testing.assert_array_equal(codec.decode(model.coder, coded), images)
        x = nvp.dequantize(np.repeat(images, 8, 0), seed=(0, 1), levels=17, dtype="float64")
        bound = -float(tf.reduce_mean(model.distribution.log_prob(x))) / (64 * np.log(2))
        of_flow = 32 * len(coded.words) - 8 * coded.payload
        self.assertAlmostEqual(of_flow / (64 * (len(images) - coded.first)), bound, delta=0.02)
        self.assertNotIn(-1, coded.batches)

    @parameterized.parameters(0, 1, 3, 40)
    def test_any_number_of_images(self, count):
        images = _digits()[:count]
        content = lossless.pack(_model(), images, names=[f"{i}.png" for i in range(count)])
        np.testing.assert_array_equal(lossless.unpack(_model(), content), images)
        self.assertEqual(lossless.Packed.from_bytes(content).names, tuple(f"{i}.png" for i in range(count)))

    def test_images_unlike_any_of_training(self):
        random = np.random.default_rng(0).integers(0, 17, [30, 8, 8, 1]).astype(np.uint8)
        images = np.concatenate([_digits()[:20], random, np.full([3, 8, 8, 1], 16, np.uint8)])
        np.testing.assert_array_equal(lossless.unpack(_model(), lossless.pack(_model(), images)), images)

    def test_an_image_that_cannot_be_coded_is_stored(self):
        images, push = _digits()[:40], codec.Coder.push

        def refused(self, batch, stack):
            if np.any(np.all(batch == images[35], (1, 2, 3))):
                raise codec.NotIncreasing
            push(self, batch, stack)

        with mock.patch.object(codec.Coder, "push", refused):
            coded = codec.encode(_model().coder, images)
        self.assertEqual(coded.batches.count(-1), 1)
        np.testing.assert_array_equal(codec.decode(_model().coder, coded), images)

    def test_an_image_that_would_not_come_back_is_stored(self):
        images, pop = _digits()[:40], codec.Coder.pop

        def broken(self, count, stack):
            found = pop(self, count, stack)
            is_broken = np.all(found == images[35], (1, 2, 3))[:, np.newaxis, np.newaxis, np.newaxis]
            return np.where(is_broken, 0, found).astype(np.uint8)

        with mock.patch.object(codec.Coder, "pop", broken):
            coded = codec.encode(_model().coder, images)
        self.assertEqual(coded.batches.count(-1), 1)
        np.testing.assert_array_equal(codec.decode(_model().coder, coded), images)

    @parameterized.parameters(
        (lambda content: content[:-1], "expected a whole file, got .* bytes with another checksum: copy it again"),
        (lambda content: content[:200] + b"?" + content[201:], "expected a whole file"),
        (lambda content: b"\x89PNG" + content, "expected a file that begins with NVPPACK1, got b'.x89PNGNVPP'"),
        (lambda content: b"", "expected a file that begins with NVPPACK1, got b''"),
        (lambda content: b"NVPPACK1", "expected a whole file, got 8 bytes"),
    )
    def test_damaged_files(self, damage, message):
        content = lossless.pack(_model(), _digits()[:3])
        with self.assertRaisesRegex(lossless.PackError, message):
            lossless.unpack(_model(), damage(content))

    def test_other_numbers_are_refused_before_anything_is_decoded(self):
        content = lossless.pack(_model(), _digits()[:3])
        other = lossless.Model(_export())  # The graphs of `_model()` are traced.
        coupling = registry.parts(other.distribution.flow, nvp.bijectors.Coupling)[0]
        network = coupling.conditioner
        with (
            mock.patch.object(coupling, "conditioner", lambda kept: network(kept) * (1 + 1e-6)),
            mock.patch.object(codec, "decode") as decode,
            self.assertRaisesRegex(lossless.PackError, "expected a machine that computes the same .* processor"),
        ):
            lossless.unpack(other, content)
        decode.assert_not_called()
        with mock.patch.object(packing, "_software", lambda: {"tensorflow": "0.1"}):
            content = lossless.pack(_model(), _digits()[:3])
        with (
            mock.patch.object(packing, "_probe", lambda *unused: "another"),
            self.assertRaisesRegex(lossless.PackError, "use .*tensorflow 0.1"),
        ):
            lossless.unpack(_model(), content)

    def test_another_model_is_refused(self):
        content, model = lossless.pack(_model(), _digits()[:3]), _model()
        with (
            mock.patch.object(model, "digest", 64 * "0"),
            self.assertRaisesRegex(
                lossless.PackError, r"expected the model digits/1 \(\w{12}\), got digits/1 \(0{12}\)"
            ),
        ):
            lossless.unpack(model, content)

    @parameterized.parameters(
        (dict(images=np.zeros([2, 8, 8, 1])), TypeError, "expected uint8 images, got float64"),
        (dict(images=np.zeros([2, 8, 8, 3], np.uint8)), ValueError, r"shape \[n, 8, 8, 1\], got \[2, 8, 8, 3\]"),
        (dict(images=np.full([2, 8, 8, 1], 17, np.uint8)), ValueError, "expected pixels in 0 ... 16, got 17"),
        (dict(images=np.zeros([1, 8, 8, 1], np.uint8), names=[1]), TypeError, "expected names as strings, got 1"),
        (dict(images=np.zeros([2, 8, 8, 1], np.uint8), names=["a"]), ValueError, "name for each of 2 images, got 1"),
        (
            dict(images=np.zeros([2, 8, 8, 1], np.uint8), names=["a", "a"]),
            ValueError,
            "different names, got 'a' 2 times",
        ),
        (dict(images=np.zeros([2, 8, 8, 1], np.uint8), batch_size=0), ValueError, "batch_size of 1 or more, got 0"),
    )
    def test_refused_arguments(self, given, error, message):
        with self.assertRaisesRegex(error, message):
            lossless.pack(_model(), **given)

    def test_exports_that_have_no_settings(self):
        folder = f"{self.enterContext(tempfile.TemporaryDirectory())}/flow"
        nvp.publish(nvp.real_nvp(event_shape=(4, 4, 1), levels=17, scales=1, width=2, blocks=0), folder)
        with self.assertRaisesRegex(ValueError, "expected an export with the settings of its flow, .* got flow/1"):
            lossless.Model(folder)


if __name__ == "__main__":
    absltest.main()
