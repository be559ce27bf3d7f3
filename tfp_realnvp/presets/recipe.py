"""How a model is trained."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from tfp_realnvp.flows import Dequantizer, dequantizer


def _uniform(**unused: Any) -> None:
    """Uniform noise needs no flow."""


DEQUANTIZATIONS: dict[str, Callable[..., Dequantizer | None]] = {"uniform": _uniform, "variational": dequantizer}
# What is at least 1, and not 0.
_COUNTS = ("epochs", "batch_size", "accumulation_steps")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained; each of these is a flag of `launch.train`.

    Where the paper of Real NVP is silent, the defaults are those of the authors' program.

    Attributes:
      epochs: passes over the data in all, those of an interrupted run included.
      batch_size: events in a step, those of all devices together.
      learning_rate: of the optimizer.
      optimizer: a name in `tfp_realnvp.training.OPTIMIZERS`, options in parentheses, such as "adamax(beta_2=0.99)".
      schedule: of the learning rate, a name in `tfp_realnvp.training.SCHEDULES`: "constant"; "cosine", down to 0 at the
        last step; or "plateau(factor=0.5, patience=5)", lowered when the validation loss has not fallen for that many
        epochs.
      warmup_steps: steps in which the learning rate rises from 0.
      ema: decay of a moving average of the weights, such as 0.999, for evaluation and export.
      clip_norm: largest global norm of the gradient; None for any.
      l2: weight of the L2 term on weight-norm magnitudes and gains, see `FlowModel`.
      flip: whether to flip training images at random.
      accumulation_steps: parts of a batch whose gradients are computed one after the other, which takes less memory.
        Batch norm takes its moments from each part.
      dequantization: the noise that makes real numbers of integer pixels: "uniform", or "variational", of a flow that
        learns beside the model and tightens the bound, with options of `dequantizer` such as
        "variational(couplings=3, width=32)". Its width and blocks are those of the model by default.
      dtype_policy: of the networks in training steps; all else is float32.
    """

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    schedule: str = "constant"
    warmup_steps: int = 0
    ema: float | None = None
    clip_norm: float | None = 100.0
    l2: float = 5e-5
    flip: bool = False
    accumulation_steps: int = 1
    dequantization: str = "uniform"
    dtype_policy: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), int(field.name in _COUNTS)
            if isinstance(value, (int, float)) and value < least:
                raise ValueError(f"expected {field.name} of {least} or more, got {value}")
        if self.ema is not None and self.ema > 1:
            raise ValueError(f"expected ema between 0 and 1, got {self.ema}")
