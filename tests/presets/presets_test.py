import dataclasses
import json

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp import bijectors, conditioners, presets, trainable_parameters

# Couplings, trainable parameters in the release layout, the final tensor.
_PAPER = {
    "cifar10": (10, 19_609_545, (16, 16, 6)),
    "imagenet32": (22, 46_220_359, (4, 4, 24)),
    "imagenet64": (28, 96_363_237, (4, 4, 48)),
    "celeba": (28, 185_898_341, (4, 4, 48)),
}
# Columns, hidden sizes, the published log-likelihood of MAF (5).
_TABLES = {
    "power": (6, 100, 0.14),
    "gas": (8, 100, 9.07),
    "hepmass": (21, 512, -17.70),
    "miniboone": (43, 512, -11.75),
    "bsds300": (63, 512, 155.69),
}
_OURS = {
    "digits": (10, (4, 4, 2)),
    "mnist": (16, (7, 7, 4)),
    "cifar10_cpu": (10, (16, 16, 6)),
    "cifar10_glow": (24, (16, 16, 6)),
    "digits_glow": (6, (8, 8, 1)),
    "mnist_glow": (16, (14, 14, 2)),
}


def _couplings_and_final_tensor(distribution):
    flow, shape = distribution.flow, tuple(distribution.event_shape)
    while splits := [layer for layer in flow.bijectors if isinstance(layer, bijectors.Split)]:
        height, width, channels = shape
        flow, shape = splits[0].flow, (height // 2, width // 2, 2 * channels)
    return len(registry.parts(distribution, bijectors.Coupling)), shape


def _architecture(preset):
    return (
        preset.event_shape,
        preset.levels,
        preset.all_options,
    )


class PresetsTest(parameterized.TestCase):
    @parameterized.named_parameters((name, name, *row) for name, row in _PAPER.items())
    def test_the_papers_models(self, name, couplings, parameters, final):
        # In a graph no variable takes memory: CelebA's would be a gigabyte.
        with tf.Graph().as_default():
            distribution = presets.get(name).build()
            self.assertEqual(trainable_parameters(distribution), parameters)
            self.assertEqual(_couplings_and_final_tensor(distribution), (couplings, final))

    @parameterized.named_parameters((name, name, *row) for name, row in _OURS.items())
    def test_our_models(self, name, couplings, final):
        preset = presets.get(name)
        distribution = preset.build(width=2, blocks=0)
        self.assertEqual(_couplings_and_final_tensor(distribution), (couplings, final))
        self.assertEqual(distribution.flow.bijectors[0].levels, preset.levels)
        x = distribution.sample(2, seed=1)
        self.assertEqual(x.shape, [2, *preset.event_shape])
        self.assertTrue(np.all(np.isfinite(distribution.log_prob(x))))

    @parameterized.named_parameters((name, name, *row) for name, row in _TABLES.items())
    def test_the_tables(self, name, size, hidden, nats):
        preset = presets.get(name)
        self.assertEqual((preset.published, preset.recipe.batch_size), (nats, 100))
        distribution = preset.build()
        self.assertEqual(distribution.event_shape, [size])
        layers = registry.parts(distribution, bijectors.Autoregressive)
        self.assertEqual([layer.conditioner.hidden_units for layer in layers], [(hidden, hidden)] * 5)
        self.assertEqual(distribution.log_prob(np.zeros([2, size], np.float32)).shape, [2])

    def test_all_are_known_here(self):
        as_celeba = {"lsun_bedroom", "lsun_tower", "lsun_church"}
        self.assertEqual(set(presets.NAMES), {*_PAPER, *_OURS, *as_celeba, *_TABLES})
        self.assertEqual(set(presets.NAMES) - set(presets.IMAGE_NAMES), {*_TABLES})
        for name in as_celeba:
            self.assertEqual(_architecture(presets.get(name)), _architecture(presets.celeba))

    def test_keywords_override(self):
        distribution = presets.digits.build(scales=1, width=2, blocks=0, rho=0.5, name="mine")
        self.assertLen(registry.parts(distribution, bijectors.Coupling), 4)
        self.assertEqual({n.rho for n in registry.parts(distribution, bijectors.BatchNorm)}, {0.5})
        self.assertEqual(distribution.name, "mine")

    def test_the_papers_recipe(self):
        for name in _PAPER:
            preset = presets.get(name)
            recipe = preset.recipe
            self.assertEqual((recipe.batch_size, recipe.learning_rate, recipe.optimizer), (64, 1e-3, "adam"))
            self.assertEqual((recipe.l2, recipe.clip_norm), (5e-5, 100.0))
            self.assertEqual(recipe.flip, name in ("cifar10", "celeba"))
            self.assertEqual((preset.all_options["alpha"], preset.all_options["rho"]), (0.05, None))
        published = {name: presets.get(name).published for name in presets.IMAGE_NAMES}
        self.assertEqual(
            {name: figure for name, figure in published.items() if figure is not None},
            dict(
                cifar10=3.49,
                imagenet32=4.28,
                imagenet64=3.98,
                celeba=3.02,
                lsun_bedroom=2.72,
                lsun_tower=2.81,
                lsun_church=3.08,
            ),
        )

    def test_get(self):
        self.assertIs(presets.get("cifar10"), presets.cifar10)
        for name in ("cifar100", "NAMES", "real_nvp", "Preset"):
            with self.assertRaisesRegex(ValueError, f"expected a preset among digits, .* got '{name}'"):
                presets.get(name)

    def test_are_frozen(self):
        with self.assertRaises(dataclasses.FrozenInstanceError):
            presets.digits.levels = 64
        wider = presets.digits.replace(width=64, epochs=1)
        self.assertEqual((wider.options["width"], wider.recipe.epochs), (64, 1))
        self.assertEqual((presets.digits.options["width"], presets.digits.recipe.epochs), (16, 30))

    def test_another_flow_keeps_the_options_it_takes(self):
        glow = presets.mnist.replace(flow="glow", steps=4)
        self.assertEqual(dict(glow.options), dict(width=8, blocks=2, steps=4))
        vectors = presets.mnist.replace(event_shape=(4,), hidden_units=(3,))
        self.assertEqual(dict(vectors.options), dict(hidden_units=(3,)))

    def test_another_conditioner_keeps_the_options_it_reads(self):
        gated = presets.digits_glow.replace(conditioner="gated(heads=0)", width=4, steps=1)
        self.assertEqual(set(presets.digits_glow.options) - set(gated.options), {"use_skips", "normalization"})
        self.assertIsInstance(
            registry.parts(gated.build(), bijectors.Coupling)[0].conditioner, conditioners.GatedNetwork
        )
        # Runs of before contain what was not read.
        before = gated.settings() | dict(use_skips=False, normalization="none")
        self.assertEqual(presets.of_settings(before).all_options, gated.all_options)
        self.assertEqual(presets.comparable(before), gated.settings())

    @parameterized.parameters(
        (lambda: presets.digits.replace(steps=4), "expected options of real_nvp among width, .*, got steps"),
        (lambda: presets.digits.replace(flow="realnvp"), "expected flow to be one of real_nvp, .*, got 'realnvp'"),
        (lambda: presets.Recipe(epochs=0), "expected epochs of 1 or more, got 0"),
        (lambda: presets.Recipe(ema=1.0), "expected ema between 0 and 1, got 1.0"),
        (lambda: presets.Recipe(clip_norm=0.0), "expected clip_norm above 0, or none for no clipping, got 0"),
        (lambda: presets.digits.replace(dequantization="gaussian").build_dequantizer(), "uniform, variational, got"),
    )
    def test_what_cannot_be(self, make, message):
        with self.assertRaisesRegex(ValueError, message):
            make()

    def test_the_noise_is_as_wide_as_the_model_unless_it_says(self):
        model = presets.digits.replace(dequantization="variational", width=4, blocks=1)
        network = registry.parts(model.build_dequantizer(), bijectors.Coupling)[0].conditioner
        self.assertEqual((network.width, network.blocks), (4, 1))
        noise = model.replace(dequantization="variational(couplings=3, width=2)").build_dequantizer()
        couplings = registry.parts(noise, bijectors.Coupling)
        self.assertEqual([(c.conditioner.width, c.conditioner.blocks) for c in couplings], [(2, 1)] * 3)


# Of runs before settings had a room of their own, as config.json has them under "model".
_BEFORE = {
    "images": {
        **dict(dataset="mnist", event_shape=[28, 28, 1], levels=256, classes=None, flow="real_nvp", scales=3, width=8),
        **dict(blocks=2, alpha=0.05, rho=None, layers=None, couplings=None, steps=None, hidden=None, components=None),
        **dict(bins=None, flip=False, batch_size=64, learning_rate=0.001, l2=5e-05, clip_norm=100.0, ema=0.999),
        **dict(dtype_policy="mixed_bfloat16", schedule="cosine", warmup_steps=5, accumulation_steps=1),
        **dict(dequantization="variational", seed=0),
    },
    "vectors": {
        **dict(dataset="csv:wine.csv", event_shape=[11], scales=None, width=32, blocks=2, levels=256, alpha=0.05),
        **dict(flow="nice", hidden=[64, 64], bins=None, layers=None, batch_size=100, learning_rate=1),
        **dict(files="12 rows", columns=["a"] * 11),
    },
}


class ConfigTest(parameterized.TestCase):
    def test_of_images(self):
        preset = presets.of_settings(_BEFORE["images"])
        self.assertEqual(presets.mnist.all_options, preset.all_options)
        recipe = dict(dtype_policy="mixed_bfloat16", schedule="cosine", warmup_steps=5, ema=0.999)
        expected = dataclasses.replace(presets.Recipe(), **recipe, dequantization="variational")
        self.assertEqual(preset.recipe, expected)
        # So a run of then resumes with the flags of then.
        today = presets.mnist.replace(**recipe, dequantization="variational")
        self.assertEqual(presets.comparable(_BEFORE["images"]), today.settings() | {"seed": 0})

    def test_of_vectors(self):
        preset = presets.of_settings(_BEFORE["vectors"])
        self.assertEqual((preset.flow, dict(preset.options)), ("nice", dict(hidden_units=(64, 64))))
        kept = presets.comparable(_BEFORE["vectors"])
        self.assertEqual((kept["files"], kept["couplings"], kept["learning_rate"]), ("12 rows", 4, 1))
        self.assertNotIn("width", kept)

    @parameterized.parameters("flowpp", "spline_coupling", "maf", "iaf", "naf")
    def test_of_flows_whose_weights_meant_another_function(self, flow):
        with self.assertRaisesRegex(ValueError, f"expected a {flow} of this version, got one of an earlier version"):
            presets.of_settings(_BEFORE["vectors"] | {"flow": flow})

    @parameterized.parameters(*presets.NAMES)
    def test_what_is_written_is_read(self, name):
        preset = dataclasses.replace(presets.get(name), published=None, notes="")
        written = json.loads(json.dumps(preset.settings()))
        again = presets.of_settings(written).replace(epochs=preset.recipe.epochs)
        self.assertEqual((again.settings(), again.recipe), (preset.settings(), preset.recipe))


if __name__ == "__main__":
    absltest.main()
