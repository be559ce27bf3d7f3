"""The PyTorch port in training, for `benchmarks.race`: answers its requests, a line of JSON each."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

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
        learning_rate: float,
        l2: float,
        clip_norm: float,
        bfloat16: bool,
        tuned: bool,
        seed: int,
    ):
        with np.load(path) as file:
            train, self._validation = file["train"], file["validation"]
        self._l2, self._clip_norm = l2, clip_norm
        self._bfloat16, self._tuned = bfloat16, tuned
        self._model = torch_port.model_of(layout, parameters, tuned, seed)
        self._optimizer = torch.optim.Adam(self._model.parameters(), learning_rate, eps=1e-8, fused=tuned)
        self._log_prob = torch.compile(self._model.log_prob) if tuned else self._model.log_prob
        self._batches, self._images = batches(train, batch_size), 0
        self._train_once()

    def _pixels(self, images: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        pixels = pixels + torch.rand(pixels.shape)
        return pixels.to(memory_format=torch.channels_last) if self._tuned else pixels.contiguous()

    def _train_once(self) -> None:
        images = next(self._batches)
        self._model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            loss = -self._log_prob(self._pixels(images)).mean()
        (loss + self._model.l2_term(self._l2)).backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), self._clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        loss.item()
        self._images += len(images)

    def train(self, seconds: float) -> tuple[float, int]:
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            self._train_once()
        return time.monotonic() - started, self._images

    def evaluate(self) -> float:
        self._model.eval()
        nats = []
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            for i in range(0, len(self._validation), 100):
                nats.append(self._model.log_prob(self._pixels(self._validation[i : i + 100])).float())
        dimensions = math.prod(self._validation.shape[1:])
        return float(-torch.cat(nats).mean() / (dimensions * math.log(2)))

    def library(self) -> str:
        return f"PyTorch {torch.__version__}"


if __name__ == "__main__":
    port = Port(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        print(json.dumps(getattr(port, method)(*arguments)), flush=True)
