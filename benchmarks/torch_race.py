"""The PyTorch port in training, for `benchmarks.race`: answers its requests, a line of JSON each."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import torch_port
from benchmarks.race_batches import batches


class Port:
    """The port of that layout, plain or with all that PyTorch offers."""

    def __init__(
        self,
        layout: dict[str, Any],
        parameters: int,
        path: str,
        batch_size: int,
        bfloat16: bool,
        tuned: bool,
        seed: int,
        **recipe: Any,
    ):
        with np.load(path) as file:
            train, self._validation = file["train"], file["validation"]
        model = torch_port.model_of(layout, parameters, tuned, seed)
        self._bfloat16 = bfloat16
        self._trainer = torch_port.Trainer(model, bfloat16, tuned, compiled=tuned, **recipe)
        self._batches, self._images = batches(train, batch_size), 0
        self._train_once()

    def _pixels(self, images: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        return pixels + torch.rand(pixels.shape)

    def _train_once(self) -> None:
        images = next(self._batches)
        self._trainer.model.train()
        self._trainer.step(self._pixels(images))
        self._images += len(images)

    def train(self, seconds: float) -> tuple[float, int]:
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            self._train_once()
        return time.monotonic() - started, self._images

    def evaluate(self) -> float:
        self._trainer.model.eval()
        nats = []
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            for i in range(0, len(self._validation), 100):
                pixels = self._trainer.placed(self._pixels(self._validation[i : i + 100]))
                nats.append(self._trainer.model.log_prob(pixels).float())
        dimensions = math.prod(self._validation.shape[1:])
        return float(-torch.cat(nats).mean() / (dimensions * math.log(2)))

    def library(self) -> str:
        return f"PyTorch {torch.__version__}"


if __name__ == "__main__":
    port = Port(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        print(json.dumps(getattr(port, method)(*arguments)), flush=True)
