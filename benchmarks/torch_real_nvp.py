"""Real NVP in PyTorch, as the public ports write it.

The layout of the authors' program to the unit: weight-normalised pre-activation residual networks with 1x1 skips,
batch norm in them and after each coupling, checkerboard and channel couplings with a mask, squeezes, factoring out.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.torch_layers import LEVELS, ImageFlow, convolution, weights_of

_EPSILON = 1e-4


def _norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=_EPSILON, momentum=0.1)
    layer.weight.requires_grad_(False)  # An offset and no scale.
    return layer


class ResidualBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm_1, self.conv_1 = _norm(width), convolution(width, width, 3, bias=False, magnitude=False)
        self.norm_2, self.conv_2 = _norm(width), convolution(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv_1(functional.relu(self.norm_1(x)))
        return x + self.conv_2(functional.relu(self.norm_2(hidden)))


class ResidualNetwork(nn.Module):
    def __init__(self, inputs: int, width: int, outputs: int, blocks: int):
        super().__init__()
        self.conv_in = convolution(inputs, width, 3, magnitude=False)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.skips = nn.ModuleList(convolution(width, width, 1) for _ in range(blocks + 1))
        self.norm_out, self.conv_out = _norm(width), convolution(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv_in(x)
        total = self.skips[0](hidden)
        for block, skip in zip(self.blocks, self.skips[1:]):
            hidden = block(hidden)
            total = total + skip(hidden)
        return self.conv_out(functional.relu(self.norm_out(total)))


class Coupling(nn.Module):
    """An affine coupling, `z_b = (x_b + t) * exp(s)`, and the batch norm of what it changed."""

    def __init__(self, kept: int, changed: int, inputs: int, width: int, blocks: int, initial_gain: float):
        super().__init__()
        self.norm_in = _norm(kept)
        self.network = ResidualNetwork(inputs, width, 2 * changed, blocks)
        self.gain = nn.Parameter(torch.tensor(initial_gain))
        self.register_buffer("running_mean", torch.zeros(changed))
        self.register_buffer("running_var", torch.ones(changed))

    def _shift_and_log_scale(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = self.network(inputs).chunk(2, dim=1)
        return shift, self.gain * torch.tanh(raw)

    def _moments(self, changed: Tensor, weights: Tensor | float) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel, `[1, channels, 1, 1]`."""
        if self.training:
            axes = (0, 2, 3)
            count = (torch.ones_like(changed[:, :1]) * weights).sum()
            mean = (changed * weights).sum(axes) / count
            variance = ((changed - mean[:, None, None]).square() * weights).sum(axes) / count
            with torch.no_grad():
                self.running_mean.lerp_(mean, 0.1)
                self.running_var.lerp_(variance, 0.1)
        else:
            mean, variance = self.running_mean, self.running_var
        return mean[:, None, None], variance[:, None, None] + _EPSILON


class CheckerboardCoupling(Coupling):
    def __init__(self, channels: int, height: int, width: int, features: int, blocks: int, parity: int):
        super().__init__(channels, channels, 2 * channels + 1, features, blocks, initial_gain=0.0)
        rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
        # 1 at a kept pixel.
        self.register_buffer("mask", ((rows + columns + parity) % 2 == 1).float()[None, None], persistent=False)

    def _masked(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept = x * self.mask
        normal = 2 * self.norm_in(kept)
        mask = self.mask.to(normal.dtype).expand(len(x), 1, -1, -1)
        inputs = torch.cat([functional.relu(normal), functional.relu(-normal), mask], dim=1)
        shift, log_scale = self._shift_and_log_scale(inputs)
        return shift * (1 - self.mask), log_scale * (1 - self.mask)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = 1 - self.mask
        shift, log_scale = self._masked(x)
        x = (x + shift) * torch.exp(log_scale)
        mean, variance = self._moments(x, hidden)
        x = x * self.mask + (x - mean) * torch.rsqrt(variance) * hidden
        log_det = log_scale.sum((1, 2, 3)) - 0.5 * (torch.log(variance) * hidden).sum()
        return x, log_det

    def inverse(self, z: Tensor) -> Tensor:
        mean, variance = self._moments(z, 1.0)
        z = z * self.mask + (z * torch.sqrt(variance) + mean) * (1 - self.mask)
        shift, log_scale = self._masked(z)
        return z * torch.exp(-log_scale) - shift


class ChannelCoupling(Coupling):
    def __init__(self, channels: int, features: int, blocks: int, keeps_first: bool):
        half = channels // 2
        super().__init__(half, half, channels, features, blocks, initial_gain=1.0)
        self.keeps_first = keeps_first

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.chunk(2, dim=1)
        return (first, second) if self.keeps_first else (second, first)

    def _whole(self, kept: Tensor, changed: Tensor) -> Tensor:
        return torch.cat([kept, changed] if self.keeps_first else [changed, kept], dim=1)

    def _shift_and_log_scale_of(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        normal = self.norm_in(kept)
        return self._shift_and_log_scale(torch.cat([functional.relu(normal), functional.relu(-normal)], dim=1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self._halves(x)
        shift, log_scale = self._shift_and_log_scale_of(kept)
        changed = (changed + shift) * torch.exp(log_scale)
        mean, variance = self._moments(changed, 1.0)
        pixels = changed.shape[2] * changed.shape[3]
        log_det = log_scale.sum((1, 2, 3)) - 0.5 * pixels * torch.log(variance).sum()
        return self._whole(kept, (changed - mean) * torch.rsqrt(variance)), log_det

    def inverse(self, z: Tensor) -> Tensor:
        kept, changed = self._halves(z)
        mean, variance = self._moments(changed, 1.0)
        changed = changed * torch.sqrt(variance) + mean
        shift, log_scale = self._shift_and_log_scale_of(kept)
        return self._whole(kept, changed * torch.exp(-log_scale) - shift)


def _diagonal_squeeze(x: Tensor) -> Tensor:
    """Each 2x2 block as four groups of channels: both diagonal pixels, then the others."""
    batch, channels, height, width = x.shape
    positions = functional.pixel_unshuffle(x, 2).view(batch, channels, 4, height // 2, width // 2)
    return positions[:, :, [0, 3, 1, 2]].transpose(1, 2).reshape(batch, 4 * channels, height // 2, width // 2)


def _diagonal_unsqueeze(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    positions = x.view(batch, 4, channels // 4, height, width).transpose(1, 2)
    return functional.pixel_shuffle(positions[:, :, [0, 2, 3, 1]].reshape(batch, channels, height, width), 2)


class Scale(nn.Module):
    """One scale, the coarser ones within it."""

    def __init__(self, channels: int, height: int, width: int, features: int, blocks: int, scales: int):
        super().__init__()
        is_last = scales == 1
        self.checkerboards = nn.ModuleList(
            CheckerboardCoupling(channels, height, width, features, blocks, parity=(i + 1) % 2)
            for i in range(4 if is_last else 3)
        )
        self.channels = nn.ModuleList()
        if not is_last:
            self.channels.extend(
                ChannelCoupling(4 * channels, 2 * features, blocks, keeps_first=i % 2 == 0) for i in range(3)
            )
            self.rest = Scale(2 * channels, height // 2, width // 2, 2 * features, blocks, scales - 1)

    def couplings(self) -> Iterator[Coupling]:
        """In the order the data meets them."""
        yield from self.checkerboards
        yield from self.channels
        if self.channels:
            yield from self.rest.couplings()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_det = 0
        for coupling in self.checkerboards:
            x, change = coupling(x)
            log_det = log_det + change
        if not self.channels:
            return x, log_det
        x = functional.pixel_unshuffle(x, 2)
        for coupling in self.channels:
            x, change = coupling(x)
            log_det = log_det + change
        goes_on, final = _diagonal_squeeze(functional.pixel_shuffle(x, 2)).chunk(2, dim=1)
        goes_on, change = self.rest(goes_on)
        return _diagonal_unsqueeze(torch.cat([goes_on, final], dim=1)), log_det + change

    def inverse(self, z: Tensor) -> Tensor:
        if self.channels:
            came_back, final = _diagonal_squeeze(z).chunk(2, dim=1)
            z = _diagonal_unsqueeze(torch.cat([self.rest.inverse(came_back), final], dim=1))
            z = functional.pixel_unshuffle(z, 2)
            for coupling in reversed(self.channels):
                z = coupling.inverse(z)
            z = functional.pixel_shuffle(z, 2)
        for coupling in reversed(self.checkerboards):
            z = coupling.inverse(z)
        return z


class RealNVP(ImageFlow):
    def __init__(self, event_shape: tuple[int, int, int], width: int, blocks: int, scales: int):
        super().__init__(event_shape)
        height, columns, channels = event_shape
        self.flow = Scale(channels, height, columns, width, blocks, scales)

    def pixels_of(self, z: Tensor) -> Tensor:
        return (torch.sigmoid(self.flow.inverse(z)) - self.alpha) * (LEVELS / (1 - 2 * self.alpha))

    def l2_term(self, weight: float) -> Tensor:
        """Of the magnitudes of weight norm, and of the checkerboard couplings' gains."""
        magnitudes = [p for name, p in self.named_parameters() if name.endswith("original0") and p.requires_grad]
        gains = [c.gain for c in self.flow.couplings() if isinstance(c, CheckerboardCoupling)]
        return weight * sum(p.square().sum() for p in magnitudes + gains)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for i, coupling in enumerate(self.flow.couplings()):
            yield f"{i}/gain", coupling.gain
            yield f"{i}/moving_mean", coupling.running_mean
            yield f"{i}/moving_variance", coupling.running_var
            network = coupling.network
            norms = {"norm_in": coupling.norm_in, "norm_out": network.norm_out}
            convolutions = {"conv_in": network.conv_in, "conv_out": network.conv_out}
            convolutions |= {f"skips/{j}": skip for j, skip in enumerate(network.skips)}
            for j, block in enumerate(network.blocks):
                norms |= {f"norms_1/{j}": block.norm_1, f"norms_2/{j}": block.norm_2}
                convolutions |= {f"convs_1/{j}": block.conv_1, f"convs_2/{j}": block.conv_2}
            for name, norm in norms.items():
                yield f"{i}/{name}/beta", norm.bias
                yield f"{i}/{name}/moving_mean", norm.running_mean
                yield f"{i}/{name}/moving_variance", norm.running_var
            for name, layer in convolutions.items():
                yield from ((f"{i}/{name}/{weight}", tensor) for weight, tensor in weights_of(layer))
