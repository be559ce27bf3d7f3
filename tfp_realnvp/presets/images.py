"""The image models of the paper, and a few smaller ones.

`cifar10` to `lsun_church` are the models of Real NVP's table 1. "Paper" is the text of arXiv 1605.08803, "release" the
authors' TensorFlow 1 program. Where the text gives no value, all of them follow the release: affine form
`(x + t) * exp(s)`, one gain per coupling, Adam at 1e-3 with batches of 64, gradient norm clipped at 100, L2 of 5e-5 on
weight-norm magnitudes and checkerboard gains. Neither gives the training length: `epochs` is ours.
"""

import dataclasses

from tfp_realnvp.presets.preset import Preset
from tfp_realnvp.presets.recipe import Recipe

digits = Preset(
    dataset="digits",
    event_shape=(8, 8, 1),
    levels=17,
    options=dict(scales=2, width=16, blocks=2),
    recipe=Recipe(epochs=30),
    notes="Not in the paper: 1,797 small images that train in minutes on a CPU.",
)

mnist = Preset(
    dataset="mnist",
    event_shape=(28, 28, 1),
    options=dict(scales=3, width=8, blocks=2),
    recipe=Recipe(epochs=20),
    notes="Not in the paper: made for a CPU.",
)

# A Glow with wide one-block residual networks, for a CPU; benchmarks/results/log.md records how it was found. A small
# alpha and mixtures pay off if most pixels are black.
_GLOW = dict(blocks=1, use_skips=False, normalization="none", output_scale=0.1)
_GLOW_RECIPE = Recipe(
    batch_size=32,
    learning_rate=0.012,
    optimizer="muon",
    schedule="cosine",
    warmup_steps=200,
    ema=0.999,
    l2=0.0,
)

digits_glow = digits.replace(
    flow="glow",
    options=dict(_GLOW, scales=1, steps=6, width=64, transformer="sigmoidal(components=8) + affine", alpha=0.001),
    recipe=dataclasses.replace(_GLOW_RECIPE, epochs=14, warmup_steps=50, ema=0.99),
    notes="Not in a paper: a Glow of logistic mixtures.",
)

mnist_glow = mnist.replace(
    flow="glow",
    options=dict(_GLOW, scales=2, steps=8, width=96, transformer="sigmoidal(components=4) + affine", alpha=1e-5),
    recipe=dataclasses.replace(_GLOW_RECIPE, epochs=10, dtype_policy="mixed_bfloat16"),
    notes="Not in a paper: a Glow of logistic mixtures, made for a CPU with units for bfloat16.",
)

cifar10 = Preset(
    dataset="cifar10",
    event_shape=(32, 32, 3),
    options=dict(scales=2, width=64, blocks=8),
    recipe=Recipe(flip=True),
    published=3.49,
    notes="Paper and release agree: downscaled only once, 8 residual blocks, horizontal flips.",
)

cifar10_cpu = cifar10.replace(
    width=16,
    blocks=2,
    epochs=10,
    published=None,
    notes="Not in the paper: `cifar10` made narrow and shallow, for a CPU.",
)

cifar10_glow = Preset(
    dataset="cifar10",
    event_shape=(32, 32, 3),
    flow="glow",
    options=dict(_GLOW, scales=2, steps=12, width=96, transformer="sigmoidal(components=4) + affine"),
    recipe=dataclasses.replace(_GLOW_RECIPE, flip=True, dtype_policy="mixed_bfloat16"),
    notes="Not in a paper: a small Glow of logistic mixtures, made for a CPU with units for bfloat16.",
)

imagenet32 = Preset(
    dataset="downsampled_imagenet/32x32",
    event_shape=(32, 32, 3),
    options=dict(scales=4, width=32, blocks=4),
    recipe=Recipe(epochs=20),
    published=4.28,
    notes="Paper and release agree: 4 residual blocks of 32 channels at first, no flips.",
)

imagenet64 = Preset(
    dataset="downsampled_imagenet/64x64",
    event_shape=(64, 64, 3),
    options=dict(scales=5, width=32, blocks=2),
    recipe=Recipe(epochs=20),
    published=3.98,
    notes="Paper and release agree: 2 residual blocks of 32 channels at first, no flips.",
)

celeba = Preset(
    dataset="celeb_a",
    event_shape=(64, 64, 3),
    options=dict(scales=5, width=32, blocks=4),
    recipe=Recipe(flip=True),
    published=3.02,
    notes="The paper has 2 residual blocks for 64x64 images, the release 4 for CelebA: this follows the release.",
)

lsun_bedroom = celeba.replace(
    dataset="lsun/bedroom",
    epochs=10,
    published=2.72,
    notes="The paper has 2 residual blocks for 64x64 images, the release 4 for LSUN: this follows the release.",
)
lsun_tower = lsun_bedroom.replace(dataset="lsun/tower", epochs=20, published=2.81)
lsun_church = lsun_bedroom.replace(dataset="lsun/church_outdoor", epochs=50, published=3.08)
