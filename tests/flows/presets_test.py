import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from tests import registry
from tfp_realnvp import bijectors, presets, trainable_parameters

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
        preset.scales,
        preset.width,
        preset.blocks,
        preset.levels,
        preset.alpha,
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
        self.assertEqual((preset.published_nats, preset.batch_size), (nats, 100))
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
            self.assertEqual((preset.batch_size, preset.learning_rate), (64, 1e-3))
            self.assertEqual((preset.alpha, preset.l2, preset.clip_norm), (0.05, 5e-5, 100.0))
            self.assertEqual(preset.flip, name in ("cifar10", "celeba"))
            self.assertIsNone(preset.rho)
        published = {name: presets.get(name).published_bits_per_dim for name in presets.NAMES}
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
            with self.assertRaisesRegex(
                ValueError, f"expected a preset among digits, .* got '{name}'"
            ):
                presets.get(name)

    def test_are_frozen(self):
        with self.assertRaises(dataclasses.FrozenInstanceError):
            presets.digits.width = 64
        wider = dataclasses.replace(presets.digits, width=64)
        self.assertEqual(wider.width, 64)
        self.assertNotEqual(presets.digits.width, 64)


if __name__ == "__main__":
    absltest.main()
