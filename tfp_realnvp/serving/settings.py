"""How an export answers."""

import dataclasses

INVALID_ROWS = ("refuse", "minus_inf")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How an export answers.

    Attributes:
      max_samples: upper limit on the number of events per `sample` request; without it one request could exhaust the
        server's memory.
      max_rows: upper limit on the number of rows per request for the other signatures.
      max_pixels: upper limit on the number of pixels per `decode` request, rows times height times width; by default as
        many as `max_rows` images of the model's size have. None for vectors.
      noise_seed: seed of the dequantisation of integer images.
      context_size: size of the context of a conditional flow, or None.
      classes: number of classes of a flow whose context is a one-hot label, or None.
      invalid_rows: handling of rows without a density in `log_prob`, such as pixels outside the support: "refuse" the
        request, or return "minus_inf" for that row and answer all others.
    """

    max_samples: int = 1024
    max_rows: int = 1024
    max_pixels: int | None = None
    noise_seed: int = 0
    context_size: int | None = None
    classes: int | None = None
    invalid_rows: str = "refuse"

    def __post_init__(self) -> None:
        for name in ("max_samples", "max_rows", "max_pixels"):
            most = getattr(self, name)
            is_default = most is None and name == "max_pixels"
            if not is_default and not (type(most) is int and 1 <= most < 2**31):
                raise ValueError(f"expected {name} in 1 ... {2**31 - 1}, got {most}")
        if self.context_size is not None and self.classes is not None:
            raise ValueError("expected a context_size or classes, got both")
        for name in ("context_size", "classes"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"expected {name} of 1 or more, got {getattr(self, name)}")
        if self.invalid_rows not in INVALID_ROWS:
            raise ValueError(f"expected invalid_rows to be one of {', '.join(INVALID_ROWS)}, got {self.invalid_rows!r}")
