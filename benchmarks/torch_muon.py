"""Muon in PyTorch for kernels of convolutions, which `torch.optim.Muon` does not take, and Adam for all else."""

from __future__ import annotations

import collections
from typing import Any

import torch
from torch import Tensor

_MOMENTUM, _SIZE, _LEAST = 0.95, 0.2, 32


class Muon:
    """As `nvp.training.Muon`; kernels of a shape are updated together.

    Args:
      named_parameters: of the model.
      learning_rate: of both optimizers.
      dtype: of the Newton-Schulz iterations; bfloat16 in the authors' program.
      fused: of Adam.
    """

    def __init__(
        self, named_parameters: list[tuple[str, Tensor]], learning_rate: float, dtype: torch.dtype, fused: bool
    ):
        kernels = {name: p for name, p in named_parameters if name.endswith("original1") and _is_matrix(p)}
        self._adam = torch.optim.Adam(
            [p for name, p in named_parameters if name not in kernels], learning_rate, eps=1e-8, fused=fused
        )
        groups = collections.defaultdict(list)
        for kernel in kernels.values():
            groups[kernel.shape].append(kernel)
        self._groups = [(of_shape, [torch.zeros_like(p) for p in of_shape]) for of_shape in groups.values()]
        self._dtype = dtype

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self._adam.param_groups

    @torch.no_grad()
    def step(self) -> None:
        self._adam.step()
        for kernels, sums in self._groups:
            gradients = [kernel.grad for kernel in kernels]
            torch._foreach_mul_(sums, _MOMENTUM)
            torch._foreach_add_(sums, gradients)
            moved = torch._foreach_add(gradients, sums, alpha=_MOMENTUM)
            matrices = torch.stack([of_kernel.flatten(1) for of_kernel in moved])
            updates = orthogonalized(matrices.to(self._dtype)).to(matrices.dtype)
            size = self.param_groups[0]["lr"] * _SIZE * max(matrices.shape[1:]) ** 0.5
            for kernel, update in zip(kernels, updates):
                kernel.sub_(update.view(kernel.shape), alpha=size)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self._adam.zero_grad(set_to_none)
        for kernels, _ in self._groups:
            for kernel in kernels:
                kernel.grad = None


def orthogonalized(matrices: Tensor) -> Tensor:
    """The Newton-Schulz iterations of the authors' program, on each of a batch of matrices."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + 1e-30)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if is_tall else x


def _is_matrix(kernel: Tensor) -> bool:
    return min(kernel.shape[0], kernel[0].numel()) >= _LEAST
