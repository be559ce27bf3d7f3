"""How an export answers."""

import dataclasses
import numbers

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
      noise_seed: seed of the dequantisation of integer images, of 32 bits.
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
        for name, least, may_be_none in (
            ("max_samples", 1, False),
            ("max_rows", 1, False),
            ("max_pixels", 1, True),
            ("noise_seed", -(2**31), False),
            ("context_size", 1, True),
            ("classes", 1, True),
        ):
            given = getattr(self, name)
            if given is None and may_be_none:
                continue
            is_integer = isinstance(given, numbers.Integral) and not isinstance(given, bool)
            if not (is_integer and least <= given < 2**31):
                raise ValueError(f"expected {name} in {least} ... {2**31 - 1}, got {given!r}")
            object.__setattr__(self, name, int(given))  # NumPy's integers are not JSON's.
        if self.context_size is not None and self.classes is not None:
            raise ValueError("expected a context_size or classes, got both")
        if self.invalid_rows not in INVALID_ROWS:
            raise ValueError(f"expected invalid_rows to be one of {', '.join(INVALID_ROWS)}, got {self.invalid_rows!r}")
