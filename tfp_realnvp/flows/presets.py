"""What the paper trained, and a few smaller models, as frozen settings.

`cifar10` to `lsun_church` are the models of Real NVP's table 1. "Paper" is the text of arXiv 1605.08803, "release" the
authors' TensorFlow 1 program. All of them follow the release where the text is silent: affine form
`(x + t) * exp(s)`, one gain for each coupling, Adam at 1e-3 on batches of 64, the gradient's norm clipped at 100, L2
of 5e-5 on weight-norm magnitudes and checkerboard gains. Neither says how long to train: `epochs` is ours.

`power` to `bsds300` are MAF of 5 layers on the five tables of arXiv 1705.07057, table 1.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection
from typing import Any

from tfp_realnvp.flows.compositions import options_of
from tfp_realnvp.flows.dequantizer import Dequantizer, dequantizer
from tfp_realnvp.flows.distribution import FlowDistribution
from tfp_realnvp.flows.flowpp import flowpp
from tfp_realnvp.flows.glow import glow
from tfp_realnvp.flows.maf import iaf, maf
from tfp_realnvp.flows.naf import naf
from tfp_realnvp.flows.nice import nice
from tfp_realnvp.flows.nsf import nsf
from tfp_realnvp.flows.planar import planar
from tfp_realnvp.flows.radial import radial
from tfp_realnvp.flows.real_nvp import real_nvp

DTYPE_POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
DEQUANTIZATIONS = ("uniform", "variational")
SCHEDULES = ("constant", "cosine", "plateau")
FLOWS = {
    factory.__name__: factory
    for factory in (real_nvp, glow, flowpp, nsf, nice, maf, iaf, naf, planar, radial)
}
# Settings of training that do nothing for vectors.
FOR_IMAGES = ("l2", "flip", "sample_every")


@dataclasses.dataclass(frozen=True)
class Preset:
    """A data set, an architecture and a training recipe.

    Attributes:
      dataset: TFDS name of the data.
      event_shape: `(height, width, channels)` after cropping and resizing, or `(size,)` of vectors.
      levels: number of levels of a pixel.
      alpha: of the preprocessing.
      scales: number of scales; None for the flow's default.
      width: channels of the networks at the first scale.
      blocks: residual blocks in each network.
      rho: running average of the flow's batch norm, None for the current batch alone.
      flip: whether training images are flipped at random.
      batch_size: images in a step.
      learning_rate: of Adam.
      l2: weight of the L2 term, see `FlowModel`.
      clip_norm: largest global norm of the gradient.
      dtype_policy: of the networks: "float32", "mixed_bfloat16" or "mixed_float16".
      schedule: of the learning rate: "constant"; "cosine", down to 0 at the last step; or "plateau", halved when the
        validation loss has not fallen for 5 epochs.
      warmup_steps: steps in which the learning rate rises from 0.
      ema: decay of a moving average of the weights for evaluation and export, or None.
      accumulation_steps: parts of a batch whose gradients are taken one after the other.
      epochs: how long to train.
      flow: name of the factory, one of `FLOWS`.
      classes: number of classes of which the flow is told an image's, or None where it is told nothing.
      layers: of the factories that have it; None for its default. So are those that follow.
      couplings: number of couplings on vectors.
      steps: steps of Glow at each scale.
      hidden_units: sizes of the hidden layers of networks of vectors.
      components: of mixtures.
      bins: of splines.
      dequantization: of integer images: "uniform", or "variational" by a `dequantizer` of this width and these blocks.
      published_bits_per_dim: the paper's test figure, None where there is none.
      published_nats: the same of vectors, a log-likelihood.
      notes: where paper and release differ, and which this follows.
    """

    dataset: str
    event_shape: tuple[int, ...]
    scales: int | None = None
    width: int = 32
    blocks: int = 2
    levels: int = 256
    alpha: float = 0.05
    rho: float | None = None
    flip: bool = False
    batch_size: int = 64
    learning_rate: float = 1e-3
    l2: float = 5e-5
    clip_norm: float = 100.0
    dtype_policy: str = "float32"
    schedule: str = "constant"
    warmup_steps: int = 0
    ema: float | None = None
    accumulation_steps: int = 1
    epochs: int = 100
    flow: str = "real_nvp"
    classes: int | None = None
    layers: int | None = None
    couplings: int | None = None
    steps: int | None = None
    hidden_units: tuple[int, ...] | None = None
    components: int | None = None
    bins: int | None = None
    dequantization: str = "uniform"
    published_bits_per_dim: float | None = None
    published_nats: float | None = None
    notes: str = ""

    @property
    def options(self) -> Collection[str]:
        """The keywords of the factory for events of this kind."""
        return options_of(FLOWS[self.flow], len(self.event_shape))

    def build(self, **kwargs: Any) -> FlowDistribution:
        """The flow, untrained; keywords go to the factory and override. What it does not take is left out."""
        takes = self.options
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name in takes}
        given = {name: value for name, value in settings.items() if value is not None}
        if self.classes is not None:
            given["context_size"] = self.classes
        return FLOWS[self.flow](**{**given, **kwargs})

    def build_dequantizer(self) -> Dequantizer | None:
        """The flow over the noise, untrained; None where dequantisation is uniform."""
        if self.dequantization == "uniform":
            return None
        return dequantizer(
            event_shape=self.event_shape,
            levels=self.levels,
            width=self.width,
            blocks=self.blocks,
            dtype_policy=self.dtype_policy,
        )


# What a setting was before it could be set.
DEFAULTS = {f.name: f.default for f in dataclasses.fields(Preset) if f.default is not dataclasses.MISSING}

digits = Preset(
    dataset="digits",
    event_shape=(8, 8, 1),
    levels=17,
    scales=2,
    width=16,
    blocks=2,
    epochs=30,
    notes="Not in the paper: 1,797 small images that train in minutes on a CPU.",
)

mnist = Preset(
    dataset="mnist",
    event_shape=(28, 28, 1),
    scales=3,
    width=8,
    blocks=2,
    epochs=20,
    notes="Not in the paper: made for a CPU.",
)

cifar10 = Preset(
    dataset="cifar10",
    event_shape=(32, 32, 3),
    scales=2,
    width=64,
    blocks=8,
    flip=True,
    published_bits_per_dim=3.49,
    notes="Paper and release agree: downscaled only once, 8 residual blocks, horizontal flips.",
)

cifar10_cpu = dataclasses.replace(
    cifar10,
    width=16,
    blocks=2,
    epochs=10,
    published_bits_per_dim=None,
    notes="Not in the paper: `cifar10` made narrow and shallow, for a CPU.",
)

imagenet32 = Preset(
    dataset="downsampled_imagenet/32x32",
    event_shape=(32, 32, 3),
    scales=4,
    width=32,
    blocks=4,
    epochs=20,
    published_bits_per_dim=4.28,
    notes="Paper and release agree: 4 residual blocks of 32 channels at first, no flips.",
)

imagenet64 = Preset(
    dataset="downsampled_imagenet/64x64",
    event_shape=(64, 64, 3),
    scales=5,
    width=32,
    blocks=2,
    epochs=20,
    published_bits_per_dim=3.98,
    notes="Paper and release agree: 2 residual blocks of 32 channels at first, no flips.",
)

celeba = Preset(
    dataset="celeb_a",
    event_shape=(64, 64, 3),
    scales=5,
    width=32,
    blocks=4,
    flip=True,
    published_bits_per_dim=3.02,
    notes="The paper has 2 residual blocks for 64x64 images, the release 4 for CelebA: this follows the release.",
)

lsun_bedroom = Preset(
    dataset="lsun/bedroom",
    event_shape=(64, 64, 3),
    scales=5,
    width=32,
    blocks=4,
    flip=True,
    epochs=10,
    published_bits_per_dim=2.72,
    notes="The paper has 2 residual blocks for 64x64 images, the release 4 for LSUN: this follows the release.",
)

lsun_tower = dataclasses.replace(lsun_bedroom, dataset="lsun/tower", epochs=20, published_bits_per_dim=2.81)

lsun_church = dataclasses.replace(
    lsun_bedroom, dataset="lsun/church_outdoor", epochs=50, published_bits_per_dim=3.08
)

_maf = Preset(
    dataset="power",
    event_shape=(6,),
    flow="maf",
    layers=5,
    hidden_units=(100, 100),
    batch_size=100,
    learning_rate=1e-4,
    published_nats=0.14,
    notes="The paper's MAF (5): two hidden layers, Adam at 1e-4 on batches of 100. Its batch norm between layers is "
    "left out, as is its weight decay of 1e-6, and gas has tanh there; it stops when validation has not improved for "
    "30 epochs: --patience=30.",
)
power = dataclasses.replace(_maf, epochs=30)
gas = dataclasses.replace(_maf, dataset="gas", event_shape=(8,), epochs=60, published_nats=9.07)
hepmass = dataclasses.replace(
    _maf, dataset="hepmass", event_shape=(21,), hidden_units=(512, 512), published_nats=-17.70
)
miniboone = dataclasses.replace(
    _maf, dataset="miniboone", event_shape=(43,), hidden_units=(512, 512), epochs=200, published_nats=-11.75
)
bsds300 = dataclasses.replace(
    _maf, dataset="bsds300", event_shape=(63,), hidden_units=(512, 512), epochs=50, published_nats=155.69
)

NAMES = tuple(name for name, value in list(globals().items()) if isinstance(value, Preset) and not name.startswith("_"))
IMAGE_NAMES = tuple(name for name in NAMES if len(globals()[name].event_shape) == 3)


# Names of settings in the config.json of older runs.
_RENAMED = {"hidden": "hidden_units"}


def of_settings(model: dict[str, Any]) -> Preset:
    """The preset that a run's `config.json` has under "model".

    Raises:
      ValueError: for a setting that is missing or that no preset could have.
    """
    model = {_RENAMED.get(name, name): value for name, value in model.items()}
    settings = {field.name: model[field.name] for field in dataclasses.fields(Preset) if field.name in model}
    if settings.get("flow") == "spline_coupling":
        settings["flow"] = "nsf"
    lists = [name for name in ("event_shape", "hidden_units") if isinstance(settings.get(name), list)]
    settings |= {name: tuple(settings[name]) for name in lists}
    if missing := [name for name in ("dataset", "event_shape") if name not in settings]:
        raise ValueError(f"expected a setting {missing[0]!r}, got none")
    hints = typing.get_type_hints(Preset)
    for name, value in settings.items():
        if not _is_of(value, hints[name]):
            raise ValueError(f"expected {name} to be {Preset.__annotations__[name]}, got {value!r}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ValueError(f"expected {name} to be one of {', '.join(_CHOICES[name])}, got {value!r}")
    return Preset(**settings)


_CHOICES = {"flow": FLOWS, "schedule": SCHEDULES, "dtype_policy": DTYPE_POLICIES, "dequantization": DEQUANTIZATIONS}


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value from JSON is of the annotated type of a setting."""
    if isinstance(hint, types.UnionType):
        return any(_is_of(value, kind) for kind in hint.__args__)
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_is_of(entry, int) for entry in value)
    if isinstance(value, bool) or hint is bool:
        return type(value) is hint
    return isinstance(value, (int, float) if hint is float else hint)


def get(name: str) -> Preset:
    """The preset of that name.

    Raises:
      ValueError: when there is none.
    """
    if name not in NAMES:
        raise ValueError(f"expected a preset among {', '.join(NAMES)}, got {name!r}")
    return globals()[name]
