"""Real NVP in PyTorch, as the public ports write it: the peer of `benchmarks.peers`.

The layout of the authors' program to the unit: weight-normalised pre-activation residual networks with 1x1 skips,
batch norm in them and after each coupling, checkerboard and channel couplings with a mask, squeezes, factoring out.
Images are NCHW. Plain, it is what a reader of such a port runs; tuned, what PyTorch offers on top: channels last,
`torch.compile`, a fused Adam, and weights without their normalisation in inference.

    python -m benchmarks.torch_port FILE     compares with what `benchmarks.peers --check` wrote to FILE
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

from benchmarks.interleaved import Work

_ALPHA, _LEVELS, _EPSILON = 0.05, 256, 1e-4


def _convolution(inputs: int, outputs: int, size: int, bias: bool = True, magnitude: bool = True) -> nn.Conv2d:
    layer = parametrizations.weight_norm(nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias))
    bound = math.sqrt(2 / inputs)
    weight = layer.parametrizations.weight
    nn.init.constant_(weight.original0, bound * math.sqrt(inputs * size**2 / 12) if magnitude else 1.0)
    weight.original0.requires_grad_(magnitude)
    nn.init.uniform_(weight.original1, -bound, bound)
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=_EPSILON, momentum=0.1)
    layer.weight.requires_grad_(False)  # An offset and no scale.
    return layer


class ResidualBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm_1, self.conv_1 = _norm(width), _convolution(width, width, 3, bias=False, magnitude=False)
        self.norm_2, self.conv_2 = _norm(width), _convolution(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv_1(functional.relu(self.norm_1(x)))
        return x + self.conv_2(functional.relu(self.norm_2(hidden)))


class ResidualNetwork(nn.Module):
    def __init__(self, inputs: int, width: int, outputs: int, blocks: int):
        super().__init__()
        self.conv_in = _convolution(inputs, width, 3, magnitude=False)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.skips = nn.ModuleList(_convolution(width, width, 1) for _ in range(blocks + 1))
        self.norm_out, self.conv_out = _norm(width), _convolution(width, outputs, 1)

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


class RealNVP(nn.Module):
    """The density of pixels in [0, 256), `[batch, channels, height, width]`."""

    def __init__(self, event_shape: tuple[int, int, int], width: int, blocks: int, scales: int):
        super().__init__()
        height, columns, channels = event_shape
        self.event_shape = (channels, height, columns)
        self.flow = Scale(channels, height, columns, width, blocks, scales)

    def log_prob(self, pixels: Tensor) -> Tensor:
        logits = torch.logit(_ALPHA + (1 - 2 * _ALPHA) / _LEVELS * pixels)
        log_det = functional.softplus(logits) + functional.softplus(-logits) + math.log((1 - 2 * _ALPHA) / _LEVELS)
        z, change = self.flow(logits)
        log_normal = -0.5 * (z.square() + math.log(2 * math.pi))
        return (log_normal + log_det).sum((1, 2, 3)) + change

    def pixels_of(self, z: Tensor) -> Tensor:
        return (torch.sigmoid(self.flow.inverse(z)) - _ALPHA) * (_LEVELS / (1 - 2 * _ALPHA))

    def sample(self, count: int) -> Tensor:
        return self.pixels_of(torch.randn(count, *self.event_shape))

    def l2_term(self, weight: float) -> Tensor:
        """Of the magnitudes of weight norm, and of the checkerboard couplings' gains."""
        magnitudes = [p for name, p in self.named_parameters() if name.endswith("original0") and p.requires_grad]
        gains = [c.gain for c in self.flow.couplings() if isinstance(c, CheckerboardCoupling)]
        return weight * sum(p.square().sum() for p in magnitudes + gains)

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
            for name, convolution in convolutions.items():
                weight = convolution.parametrizations.weight
                yield f"{i}/{name}/direction", weight.original1
                if weight.original0.requires_grad:
                    yield f"{i}/{name}/magnitude", weight.original0
                if convolution.bias is not None:
                    yield f"{i}/{name}/bias", convolution.bias


def model_of(layout: dict, parameters: int, tuned: bool, seed: int = 0) -> RealNVP:
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(seed)
    model = RealNVP(**layout)
    if model.parameter_count() != parameters:
        raise ValueError(f"expected {parameters} parameters, as ours has, got {model.parameter_count()}")
    return model.to(memory_format=torch.channels_last) if tuned else model


def training_step(
    layout: dict,
    parameters: int,
    batch_size: int,
    bfloat16: bool = False,
    tuned: bool = False,
    compiled: bool = False,
    learning_rate: float = 1e-3,
    l2: float = 5e-5,
    clip_norm: float = 100.0,
) -> Work:
    model = model_of(layout, parameters, tuned).train()
    optimizer = torch.optim.Adam(model.parameters(), learning_rate, eps=1e-8, fused=tuned)
    log_prob = torch.compile(model.log_prob) if compiled else model.log_prob
    images = torch.randint(_LEVELS, (batch_size, *model.event_shape), dtype=torch.uint8)

    def run() -> float:
        pixels = images.float() + torch.rand(images.shape)
        if tuned:
            pixels = pixels.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = -log_prob(pixels).mean()
        (loss + model.l2_term(l2)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return Work(run, gradient_bytes=4 * parameters, slot_bytes=8 * parameters, report=_report)


def log_prob(
    layout: dict, parameters: int, batch_size: int, bfloat16: bool = False, tuned: bool = False, compiled: bool = False
) -> Work:
    model = _for_inference(model_of(layout, parameters, tuned), tuned)
    function = torch.compile(model.log_prob) if compiled else model.log_prob
    pixels = torch.randint(_LEVELS, (batch_size, *model.event_shape)).float() + 0.5
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
    l2 = arrays.pop("l2").item()
    theirs = {name: arrays.pop(name) for name in ("log_prob", "sampled", "loss", "gradient_norm")}
    pixels, z = (torch.from_numpy(arrays.pop(name)).permute(0, 3, 1, 2) for name in ("pixels", "latents"))
    model = RealNVP(**layout)
    model.load(arrays)
    with torch.no_grad():
        mine = {
            "log_prob": model.eval().log_prob(pixels),
            "sampled": model.pixels_of(z).permute(0, 2, 3, 1),
        }
    loss = -model.train().log_prob(pixels).mean()
    (loss + model.l2_term(l2)).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    mine |= {"loss": loss.detach(), "gradient_norm": torch.stack([g.norm() for g in gradients]).norm()}
    return {
        name: float(np.max(np.abs(mine[name].numpy() - value)) / np.max(np.abs(value)))
        for name, value in theirs.items()
    }


if __name__ == "__main__":
    print(json.dumps(compare(sys.argv[1])))
