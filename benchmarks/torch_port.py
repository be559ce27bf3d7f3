"""The PyTorch ports of `benchmarks.peers` and `benchmarks.race`: their training step, log_prob and samples.

Images are NCHW. Plain, a port is what its reader runs; tuned, what PyTorch offers on top: channels last,
`torch.compile`, a fused Adam, and weights without their normalisation in inference.

    python -m benchmarks.torch_port FILE     compares with what `benchmarks.peers --check` wrote to FILE
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmarks.interleaved import Work
from benchmarks.torch_glow import Glow
from benchmarks.torch_layers import LEVELS, ImageFlow
from benchmarks.torch_muon import Muon
from benchmarks.torch_real_nvp import RealNVP

_MODELS = {"real_nvp": RealNVP, "glow": Glow}


def model_of(layout: dict, parameters: int, tuned: bool, seed: int = 0) -> ImageFlow:
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(seed)
    model = _model(**layout)
    if model.parameter_count() != parameters:
        raise ValueError(f"expected {parameters} parameters, as ours has, got {model.parameter_count()}")
    return model.to(memory_format=torch.channels_last) if tuned else model


def _model(flow: str, **options: Any) -> ImageFlow:
    return _MODELS[flow](**options)


class Trainer:
    """A model in training on pixels of `[batch, channels, height, width]`, plain or with all that PyTorch offers."""

    def __init__(
        self,
        model: ImageFlow,
        bfloat16: bool,
        tuned: bool,
        compiled: bool,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        l2: float = 5e-5,
        clip_norm: float = 100.0,
        warmup_steps: int = 0,
    ):
        self.model, self._bfloat16, self._tuned = model, bfloat16, tuned
        self._l2, self._clip_norm = l2, clip_norm
        if optimizer == "muon":
            # The authors' program has bfloat16; without it the port is compared with ours.
            dtype = torch.bfloat16 if bfloat16 else torch.float32
            self.optimizer = Muon(list(model.named_parameters()), learning_rate, dtype, fused=tuned)
        else:
            self.optimizer = torch.optim.Adam(model.parameters(), learning_rate, eps=1e-8, fused=tuned)
        self.log_prob = torch.compile(model.log_prob) if compiled else model.log_prob
        self._learning_rate, self._warmup_steps, self._steps = learning_rate, warmup_steps, 0

    def placed(self, pixels: Tensor) -> Tensor:
        return pixels.to(memory_format=torch.channels_last) if self._tuned else pixels.contiguous()

    def step(self, pixels: Tensor) -> float:
        """A training step; its loss."""
        if self._steps < self._warmup_steps:
            rate = self._learning_rate * (self._steps + 1) / self._warmup_steps
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self._steps += 1
        loss = self.backward(pixels).item()
        self.update()
        return loss

    def backward(self, pixels: Tensor) -> Tensor:
        """The loss, whose gradients the parameters have then."""
        self.model.train().start(pixels)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            loss = -self.log_prob(self.placed(pixels)).mean()
        (loss + self.model.l2_term(self._l2)).backward()
        return loss.detach()

    def update(self) -> None:
        nn.utils.clip_grad_norm_(self.model.parameters(), self._clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def training_step(
    layout: dict,
    parameters: int,
    batch_size: int,
    bfloat16: bool = False,
    tuned: bool = False,
    compiled: bool = False,
    **recipe: Any,
) -> Work:
    trainer = Trainer(model_of(layout, parameters, tuned), bfloat16, tuned, compiled, **recipe)
    images = torch.randint(LEVELS, (batch_size, *trainer.model.event_shape), dtype=torch.uint8)
    run = lambda: trainer.step(images.float() + torch.rand(images.shape))  # noqa: E731
    return Work(run, gradient_bytes=4 * parameters, slot_bytes=8 * parameters, report=_report)


def log_prob(
    layout: dict, parameters: int, batch_size: int, bfloat16: bool = False, tuned: bool = False, compiled: bool = False
) -> Work:
    model = _for_inference(model_of(layout, parameters, tuned), tuned)
    function = torch.compile(model.log_prob) if compiled else model.log_prob
    pixels = torch.randint(LEVELS, (batch_size, *model.event_shape)).float() + 0.5
    if tuned:
        pixels = pixels.to(memory_format=torch.channels_last)

    def run() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            function(pixels)

    return Work(run, report=_report)


def sample(
    layout: dict, parameters: int, batch_size: int, bfloat16: bool = False, tuned: bool = False, compiled: bool = False
) -> Work:
    model = _for_inference(model_of(layout, parameters, tuned), tuned)
    function = torch.compile(model.pixels_of) if compiled else model.pixels_of
    shape = (batch_size, *model.event_shape)

    def run() -> None:
        z = torch.randn(shape)
        if tuned:
            z = z.to(memory_format=torch.channels_last)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            function(z)

    return Work(run, report=_report)


def _for_inference(model: RealNVP, tuned: bool) -> RealNVP:
    if tuned:
        for layer in model.modules():
            if parametrize.is_parametrized(layer):
                parametrize.remove_parametrizations(layer, "weight")
        model.to(memory_format=torch.channels_last)
    return model.eval()


def _report() -> dict[str, str]:
    return {"torch": torch.__version__}


def compare(path: str) -> dict[str, float]:
    """How far this model is from ours with the same weights, the largest difference of each relative to ours."""
    with np.load(path) as file:
        arrays = dict(file)
    layout = json.loads(arrays.pop("layout").item())
    recipe = json.loads(arrays.pop("recipe").item())
    kernel = arrays.pop("kernel").item() if "kernel" in arrays else None
    names = ("log_prob", "sampled", "loss", "gradient_norm", "change")
    theirs = {name: arrays.pop(name) for name in names if name in arrays}
    pixels, z = (torch.from_numpy(arrays.pop(name)).permute(0, 3, 1, 2) for name in ("pixels", "latents"))
    model = _model(**layout)
    model.load(arrays)
    with torch.no_grad():
        mine = {"log_prob": model.eval().log_prob(pixels)}
        if hasattr(model, "pixels_of"):
            mine["sampled"] = model.pixels_of(z).permute(0, 2, 3, 1)
    trainer = Trainer(model, bfloat16=False, tuned=False, compiled=False, **recipe)
    loss = trainer.backward(pixels)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    mine |= {"loss": loss, "gradient_norm": torch.stack([g.norm() for g in gradients]).norm()}
    if kernel is not None:
        trainer.update()
        after = dict(model._tensors())[kernel].detach().permute(2, 3, 1, 0)
        mine["change"] = after - arrays[kernel]
    return {
        name: float(np.max(np.abs(mine[name].numpy() - value)) / np.max(np.abs(value)))
        for name, value in theirs.items()
        if name in mine
    }


if __name__ == "__main__":
    print(json.dumps(compare(sys.argv[1])))
