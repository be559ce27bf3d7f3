"""The training recipe."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from tfp_realnvp.flows import Dequantizer, dequantizer


def _uniform(**unused: Any) -> None:
    """Uniform dequantisation needs no flow."""


DEQUANTIZATIONS: dict[str, Callable[..., Dequantizer | None]] = {"uniform": _uniform, "variational": dequantizer}
# Fields that must be at least 1.
_COUNTS = ("epochs", "batch_size", "accumulation_steps")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training recipe; each field is also a flag of `launch.train`.

    Where the Real NVP paper gives no value, the defaults are those of the authors' program.

    Attributes:
      epochs: total number of passes over the data, including passes before an interruption.
      batch_size: number of events per step, over all devices.
      learning_rate: learning rate of the optimizer.
      optimizer: a name in `tfp_realnvp.training.OPTIMIZERS`, options in parentheses, for example "adamax(beta_2=0.99)".
      schedule: learning rate schedule, a name in `tfp_realnvp.training.SCHEDULES`: "constant"; "cosine", decay to 0 at
        the last step; or "plateau(factor=0.5, patience=5)", lowered when the validation loss has not fallen for
        `patience` epochs.
      warmup_steps: number of steps over which the learning rate rises from 0.
      ema: decay of a moving average of the weights, for example 0.999, used for evaluation and export.
      clip_norm: maximum global norm of the gradient; None for no clipping.
      l2: weight of the L2 term on weight-norm magnitudes and gains, see `FlowModel`.
      flip: whether to flip training images at random.
      accumulation_steps: number of parts of a batch whose gradients are computed one after another, to save memory.
        Batch norm's moments come from each part.
      dequantization: the noise added to integer pixels: "uniform", or "variational", from a flow that is trained with
        the model and tightens the bound. Options are those of `dequantizer`, for example "variational(couplings=3,
        width=32)". Width and blocks default to the model's.
      dtype_policy: policy of the networks in training steps; everything else is float32.
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
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"expected ema between 0 and 1, got {self.ema}")
        if self.clip_norm == 0:  # Every gradient would become 0.
            raise ValueError("expected clip_norm above 0, or none for no clipping, got 0")
