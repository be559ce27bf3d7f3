"""What the PyTorch ports share: weight-normalised convolutions, and the density of pixels by a flow over logits."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

LEVELS = 256


def convolution(
    inputs: int, outputs: int, size: int, bias: bool = True, magnitude: bool = True, start: float | None = None
) -> nn.Conv2d:
    layer = parametrizations.weight_norm(nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias))
    bound = math.sqrt(2 / inputs)
    start = bound * math.sqrt(inputs * size**2 / 12) if start is None else start
    weight = layer.parametrizations.weight
    nn.init.constant_(weight.original0, start if magnitude else 1.0)
    weight.original0.requires_grad_(magnitude)
    nn.init.uniform_(weight.original1, -bound, bound)
    return layer


def weights_of(layer: nn.Conv2d) -> Iterator[tuple[str, Tensor]]:
    """The weights of a `convolution`, by the names that ours have."""
    weight = layer.parametrizations.weight
    yield "direction", weight.original1
    if weight.original0.requires_grad:
        yield "magnitude", weight.original0
    if layer.bias is not None:
        yield "bias", layer.bias


class ImageFlow(nn.Module, abc.ABC):
    """The density of pixels in [0, 256), `[batch, channels, height, width]`; `flow` maps their logits to latents."""

    flow: nn.Module

    def __init__(self, event_shape: tuple[int, int, int], alpha: float = 0.05):
        super().__init__()
        height, columns, channels = event_shape
        self.event_shape = (channels, height, columns)
        self.alpha = alpha

    def log_prob(self, pixels: Tensor) -> Tensor:
        logits = self.logits_of(pixels)
        log_det = functional.softplus(logits) + functional.softplus(-logits) + math.log((1 - 2 * self.alpha) / LEVELS)
        z, change = self.flow(logits)
        log_normal = -0.5 * (z.square() + math.log(2 * math.pi))
        return (log_normal + log_det).sum((1, 2, 3)) + change

    def logits_of(self, pixels: Tensor) -> Tensor:
        return torch.logit(self.alpha + (1 - 2 * self.alpha) / LEVELS * pixels)

    def start(self, pixels: Tensor) -> None:
        """Initialises activation norms with the first batch."""

    def l2_term(self, weight: float) -> Tensor | float:
        return 0.0

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Takes weights by the names of `_tensors`, none missing and none left over."""
        tensors = dict(self._tensors())
        if set(tensors) != set(weights):
            raise ValueError(f"expected {len(tensors)} weights of the same names, got {len(weights)}")
        with torch.no_grad():
            for name, tensor in tensors.items():
                value = torch.from_numpy(weights[name])
                tensor.copy_(value.permute(3, 2, 0, 1) if value.ndim == 4 else value.view(tensor.shape))

    @abc.abstractmethod
    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """All weights by the names that ours have."""
