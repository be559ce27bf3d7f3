"""zuko's neural spline flow on a table, dequantised by hand: the peer of `benchmarks.mixed_tables`.

    python -m benchmarks.mixed_peer < JOB      trains and evaluates; the result is a line of JSON

Uniform noise makes whole numbers and the codes of categories continuous, logarithms and logits make positive and
bounded columns unbounded, and then all are standardised, as users of flow libraries without column types do. Figures
are in the units of the table: the log-density of a whole number with noise is a lower bound of its log-probability.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Any

import numpy as np

_ROWS_AT_ONCE = 5_000
_MARGIN = 1e-6


@dataclasses.dataclass(frozen=True)
class ByHand:
    """A standardised vector for each row, by the kinds of its columns.

        z = (g(x + u) - mean) / deviation,    u uniform on [0, 1) for whole numbers and 0 for others

    Attributes:
      is_whole: of each column, whether it has whole numbers or codes.
      is_log: whether its logarithm is taken, of `1 + x + u - low` for whole numbers and of `x` for others.
      is_logit: whether it is a number between 0 and 1 whose logit is taken.
      low: the least value of whole numbers.
      mean: of `g(x + u)` over the training rows.
      deviation: likewise.
    """

    is_whole: np.ndarray
    is_log: np.ndarray
    is_logit: np.ndarray
    low: np.ndarray
    mean: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([]))
    deviation: np.ndarray = dataclasses.field(default_factory=lambda: np.ones([]))

    def fit(self, rows: np.ndarray, u: np.ndarray) -> ByHand:
        v, _ = self(rows, u)
        return dataclasses.replace(self, mean=v.mean(0), deviation=v.std(0))

    def __call__(self, rows: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors and `log|dz/dx|`, `[n, size]` and `[n]`, of rows and noise `[n, size]`."""
        x = rows + np.where(self.is_whole, u, 0.0)
        positive = np.where(self.is_log, x - self._origin, 1.0)
        share = np.where(self.is_logit, np.clip(x, _MARGIN, 1 - _MARGIN), 0.5)
        v = np.where(self.is_log, np.log(positive), x)
        v = np.where(self.is_logit, np.log(share) - np.log1p(-share), v)
        slope = -np.log(positive) - np.where(self.is_logit, np.log(share) + np.log1p(-share), 0.0)
        return (v - self.mean) / self.deviation, np.sum(slope - np.log(self.deviation), -1)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Rows of vectors; whole numbers are those below, and the table may lack some."""
        v = z * self.deviation + self.mean
        x = np.where(self.is_log, np.exp(np.where(self.is_log, v, 0.0)) + self._origin, v)
        x = np.where(self.is_logit, 0.5 + 0.5 * np.tanh(v / 2), x)
        return np.where(self.is_whole, np.floor(x), x)

    @property
    def _origin(self) -> np.ndarray:
        return np.where(self.is_whole, self.low - 1, 0.0)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Trains; the weights that were best on the validation rows are evaluated on the test rows, and sampled from."""
    import torch
    import zuko

    torch.set_num_threads(1)
    torch.manual_seed(job["start"])
    generator = np.random.default_rng(job["start"])
    with np.load(job["data"]) as file:
        data = {name: file[name] for name in file}
    by_hand = ByHand(*(data[name] for name in ("is_whole", "is_log", "is_logit", "low")))
    by_hand = by_hand.fit(data["train"], generator.uniform(size=data["train"].shape))
    flow = zuko.flows.NSF(
        data["train"].shape[1], transforms=job["layers"], hidden_features=job["hidden_units"], bins=job["bins"]
    )
    optimizer = torch.optim.Adam(flow.parameters(), job["learning_rate"])

    def log_prob(rows: np.ndarray, noise: np.random.Generator) -> torch.Tensor:
        z, log_det = by_hand(rows, noise.uniform(size=rows.shape))
        return flow().log_prob(torch.from_numpy(z).float()) + torch.from_numpy(log_det)

    def evaluate(rows: np.ndarray, samples: int = 1) -> np.ndarray:
        noise = np.random.default_rng(0)
        with torch.no_grad():
            parts = [rows[first : first + _ROWS_AT_ONCE] for first in range(0, len(rows), _ROWS_AT_ONCE)]
            found = [[log_prob(part, noise).double().numpy() for _ in range(samples)] for part in parts]
        return np.concatenate([np.logaddexp.reduce(part) - math.log(samples) for part in found])

    best, kept, best_step = -math.inf, None, 0
    for step in range(job["steps"]):
        rate = job["learning_rate"] * (1 + math.cos(math.pi * step / job["steps"])) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss = -log_prob(data["train"][data["order"][step]], generator).mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(flow.parameters(), job["clip_norm"])
        if torch.isfinite(loss) and torch.isfinite(norm):
            optimizer.step()
        if (step + 1) % job["validate_every"] == 0 and (value := evaluate(data["validation"]).mean()) > best:
            best, best_step = float(value), step + 1
            kept = {name: value.clone() for name, value in flow.state_dict().items()}
    if kept is None:
        raise RuntimeError("no log-likelihood of the validation rows was a number")
    flow.load_state_dict(kept)
    if job["samples"]:
        sizes = [min(_ROWS_AT_ONCE, job["samples"] - first) for first in range(0, job["samples"], _ROWS_AT_ONCE)]
        with torch.no_grad():
            z = np.concatenate([flow().sample((size,)).double().numpy() for size in sizes])
        np.save(job["output"], by_hand.inverse(z))
    importance = evaluate(data["test"][: job["importance_rows"]], job["importance_samples"])
    return dict(
        test=evaluate(data["test"]).tolist(),
        importance=importance.tolist(),
        validation=best,
        best_step=best_step,
        parameters=sum(p.numel() for p in flow.parameters()),
    )


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
