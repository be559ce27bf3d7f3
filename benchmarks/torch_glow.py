"""A Glow of logistic mixtures in PyTorch, of the layout of the `cifar10_glow` preset; it has no sampler.

Steps of an activation norm, a 1x1 convolution in LU form and a coupling of channel halves: a mixture of logistics and
an affine map, by the usual log-sum-exp, with weight-normalised residual networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.torch_layers import ImageFlow, convolution, weights_of

_MOST_LOG_SCALE = 5.0


class ActNorm(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.shift, self.log_scale = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))
        # A variance of 0: no batch has been seen.
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.zeros(channels))

    def start(self, x: Tensor) -> None:
        """Takes the moments of the first batch."""
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        self.mean.copy_(mean)
        self.variance.copy_(variance.clamp(min=1e-6))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_scale = self.log_scale - 0.5 * torch.log(torch.where(self.variance > 0, self.variance, 1.0))
        log_scale = log_scale[:, None, None]
        z = (x - self.mean[:, None, None]) * torch.exp(log_scale) + self.shift[:, None, None]
        return z, x.shape[2] * x.shape[3] * log_scale.sum()


class InvertibleLinear(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(torch.linalg.qr(torch.randn(channels, channels))[0])
        sizes = upper.diagonal()
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        self.log_size = nn.Parameter(sizes.abs().log())
        self.register_buffer("signs", sizes.sign())
        self.register_buffer("order", permutation.argmax(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # As is usual, in float32: bfloat16 would round the data.
        with torch.autocast("cpu", enabled=False):
            lower = self.lower.tril(-1) + torch.eye(len(self.lower))
            upper = self.upper.triu(1) + torch.diag(self.signs * self.log_size.exp())
            matrix = (lower @ upper)[self.order]
            return functional.conv2d(x, matrix[:, :, None, None]), x.shape[2] * x.shape[3] * self.log_size.sum()


class ResidualNetwork(nn.Module):
    def __init__(self, inputs: int, width: int, outputs: int, blocks: int, output_scale: float):
        super().__init__()
        self.conv_in = convolution(2 * inputs, width, 3, magnitude=False)
        self.convs_1 = nn.ModuleList(convolution(width, width, 3, bias=False, magnitude=False) for _ in range(blocks))
        self.convs_2 = nn.ModuleList(convolution(width, width, 3) for _ in range(blocks))
        self.conv_out = convolution(width, outputs, 1, start=output_scale)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv_in(torch.cat([functional.relu(x), functional.relu(-x)], dim=1))
        for first, second in zip(self.convs_1, self.convs_2):
            hidden = hidden + second(functional.relu(first(functional.relu(hidden))))
        return self.conv_out(functional.relu(hidden)).float()


class Coupling(nn.Module):
    """A logistic mixture's CDF on the logit scale and an affine map of the second half of the channels."""

    def __init__(self, channels: int, components: int, **of_network: Any):
        super().__init__()
        self.components = components
        self.network = ResidualNetwork(channels // 2, outputs=(3 * components + 2) * channels // 2, **of_network)
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("apart", torch.linspace(-1, 1, components + 2)[1:-1], persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x.chunk(2, dim=1)
        raw = self.network(kept).view(len(x), -1, *changed.shape[1:])
        logits, means, log_scales, affine = raw.split([self.components] * 3 + [2], dim=1)
        means = means + self.apart[:, None, None, None]
        log_scales = _MOST_LOG_SCALE * torch.tanh(log_scales / _MOST_LOG_SCALE)
        u = (changed[:, None] - means) * torch.exp(-log_scales)
        log_weights, below, above = (
            functional.log_softmax(logits, 1),
            functional.logsigmoid(u),
            functional.logsigmoid(-u),
        )
        log_cdf, log_survival = torch.logsumexp(log_weights + below, 1), torch.logsumexp(log_weights + above, 1)
        log_pdf = torch.logsumexp(log_weights + below + above - log_scales, 1)
        shift, log_scale = affine[:, 0], self.gain * torch.tanh(affine[:, 1])
        changed = (log_cdf - log_survival) * torch.exp(log_scale) + shift
        log_det = log_pdf - log_cdf - log_survival + log_scale
        return torch.cat([kept, changed], dim=1), log_det.sum((1, 2, 3))


class Scale(nn.Module):
    """One scale, the coarser ones within it."""

    def __init__(self, channels: int, scales: int, steps: int, **of_coupling: Any):
        super().__init__()
        own = 4 * channels
        self.steps = nn.ModuleList(
            layer for _ in range(steps) for layer in (ActNorm(own), InvertibleLinear(own), Coupling(own, **of_coupling))
        )
        self.rest = Scale(own // 2, scales - 1, steps, **of_coupling) if scales > 1 else None

    def layers(self) -> Iterator[nn.Module]:
        """In the order the data meets them."""
        yield from self.steps
        if self.rest is not None:
            yield from self.rest.layers()

    def forward(self, x: Tensor, starts: bool = False) -> tuple[Tensor, Tensor]:
        x, log_det = functional.pixel_unshuffle(x, 2), 0
        for layer in self.steps:
            if starts and isinstance(layer, ActNorm):
                layer.start(x)
            x, change = layer(x)
            log_det = log_det + change
        if self.rest is not None:
            goes_on, final = x.chunk(2, dim=1)
            goes_on, change = self.rest(goes_on, starts)
            x, log_det = torch.cat([goes_on, final], dim=1), log_det + change
        return functional.pixel_shuffle(x, 2), log_det


class Glow(ImageFlow):
    """Options are those of the preset: `sigmoidal(components=K) + affine`, and networks without skips or norms."""

    def __init__(
        self,
        event_shape: tuple[int, int, int],
        scales: int,
        steps: int,
        width: int,
        blocks: int,
        output_scale: float,
        transformer: str,
        alpha: float = 0.05,
        use_skips: bool = False,
        normalization: str = "none",
    ):
        super().__init__(event_shape, alpha)
        found = re.fullmatch(r"sigmoidal\(components=(\d+)\) \+ affine", transformer)
        if not found or use_skips or normalization != "none":
            raise ValueError(f"expected networks without skips and norms, and mixtures, then affine, got {transformer}")
        of_network = dict(width=width, blocks=blocks, output_scale=output_scale)
        self.flow = Scale(event_shape[-1], scales, steps, components=int(found[1]), **of_network)
        self._has_started = False

    @torch.no_grad()
    def start(self, pixels: Tensor) -> None:
        if not self._has_started:
            self.flow(self.logits_of(pixels), starts=True)
            self._has_started = True

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for i, layer in enumerate(self.flow.layers()):
            if not isinstance(layer, Coupling):
                yield from ((f"{i}/{name}", tensor) for name, tensor in layer.state_dict(keep_vars=True).items())
                continue
            yield f"{i}/gain", layer.gain
            network = layer.network
            parts = {"conv_in": network.conv_in, "conv_out": network.conv_out}
            for name in ("convs_1", "convs_2"):
                parts |= {f"{name}/{j}": part for j, part in enumerate(getattr(network, name))}
            for name, part in parts.items():
                yield from ((f"{i}/{name}/{weight}", tensor) for weight, tensor in weights_of(part))
