"""The flows of nflows, normflows and zuko, laid out as ours: the peers of `benchmarks.tabular`.

Each is made of the library's own transforms, with the same number of them, the same alternation or reversal of the
entries and networks of the same sizes, and their last layers start at zero. Where a library
offers a single way, such as the map from a network's output to a scale, that way is used.

    python -m benchmarks.tabular_peers      trains what its standard input asks for, see `benchmarks.tabular.Remote`
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import nflows.distributions
import nflows.flows
import nflows.transforms
import normflows
import numpy as np
import torch
import zuko
from torch import Tensor, nn

from benchmarks import learner_server
from benchmarks.interleaved import Work

_ROWS_AT_ONCE = 5_000


class Network(nn.Sequential):
    """An MLP that is called as nflows and normflows call theirs, with a context that is None here."""

    def __init__(self, inputs: int, outputs: int, hidden_units: Sequence[int]):
        sizes = [inputs, *hidden_units]
        layers = [layer for pair in zip(sizes, sizes[1:]) for layer in (nn.Linear(*pair), nn.ReLU())]
        super().__init__(*layers, _zeros(nn.Linear(sizes[-1], outputs)))
        # Both libraries look for it, and divide the raw widths and heights of a spline by its root.
        self.hidden_features = hidden_units[-1]

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return super().forward(x)


def _zeros(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Nflows(nn.Module):
    """A flow of nflows.

    The scale of its affine coupling is at most 1.001, so that data could only be spread out: it is turned around.
    """

    def __init__(self, flow: str, size: int, layers: int, hidden_units: Sequence[int], bins: int, bound: float):
        super().__init__()
        network = functools.partial(Network, hidden_units=hidden_units)
        transforms = []
        for i in range(layers):
            changed = (torch.arange(size) % 2 != i % 2).int()
            if flow == "real_nvp":
                coupling = nflows.transforms.AffineCouplingTransform(changed, network)
                transforms.append(nflows.transforms.InverseTransform(coupling))
            elif flow == "nsf":
                spline = nflows.transforms.PiecewiseRationalQuadraticCouplingTransform
                transforms.append(spline(changed, network, num_bins=bins, tails="linear", tail_bound=bound))
            else:
                if i:
                    transforms.append(nflows.transforms.ReversePermutation(size))
                layer = nflows.transforms.MaskedAffineAutoregressiveTransform(size, **_made(hidden_units))
                _zeros(layer.autoregressive_net.final_layer)
                transforms.append(layer)
        base = nflows.distributions.StandardNormal([size])
        self.flow = nflows.flows.Flow(nflows.transforms.CompositeTransform(transforms), base)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.flow.log_prob(x)

    def sample(self, count: int) -> Tensor:
        return self.flow.sample(count)


class Normflows(nn.Module):
    """A flow of normflows, whose layers go from latent to data.

    Its Real NVP has halves and swaps them: with the even entries in front they are ours, but for the entry in the
    middle of an odd number. Its autoregressive layer is turned around if `fast_density`: a density is one evaluation
    then, but the scale, at most 1.001, can only spread data out. The log-dets of its residual blocks are unbiased
    estimates, on test rows, too.
    """

    def __init__(
        self,
        flow: str,
        size: int,
        layers: int,
        hidden_units: Sequence[int],
        bins: int,
        bound: float,
        fast_density: bool = True,
    ):
        super().__init__()
        network = functools.partial(Network, hidden_units=hidden_units)
        first = size - size // 2
        # In the order data meets them.
        flows = [_permutation([*range(0, size, 2), *range(1, size, 2)])] if flow == "real_nvp" else []
        for i in range(layers):
            if flow == "real_nvp":
                if i:
                    flows.append(normflows.flows.Permute(size, mode="swap"))
                sizes = [first, *hidden_units, 2 * (size - first)]
                flows.append(normflows.flows.AffineCouplingBlock(normflows.nets.MLP(sizes, init_zeros=True)))
            elif flow == "residual":
                # Activations come first in its layers.
                network = normflows.nets.LipschitzMLP([size, *hidden_units, size], lipschitz_const=0.9)
                flows.append(normflows.flows.Residual(network, reduce_memory=False))
            elif flow == "nsf":
                changed = (torch.arange(size) % 2 != i % 2).int()
                spline = normflows.flows.neural_spline.coupling.PiecewiseRationalQuadraticCoupling
                layer = spline(changed, network, num_bins=bins, tails="linear", tail_bound=bound)
                flows.append(normflows.flows.Reverse(layer))
            else:
                if i:
                    flows.append(_permutation(range(size)[::-1]))
                layer = normflows.flows.MaskedAffineAutoregressive(size, **_made(hidden_units))
                _zeros(layer.autoregressive_net.final_layer)
                flows.append(normflows.flows.Reverse(layer) if fast_density else layer)
        base = normflows.distributions.DiagGaussian(size, trainable=False)
        self.flow = normflows.NormalizingFlow(base, flows[::-1])

    def log_prob(self, x: Tensor) -> Tensor:
        return self.flow.log_prob(x)

    def sample(self, count: int) -> Tensor:
        return self.flow.sample(count)[0]

    def after_step(self) -> None:
        """Bounds the kernels of residual blocks, which the library leaves to the training loop."""
        normflows.utils.update_lipschitz(self.flow, 5)


def _permutation(order: Sequence[int]) -> normflows.flows.Permute:
    layer = normflows.flows.Permute(len(order), mode="shuffle")
    # To data it is `perm`, to the latent `inv_perm`.
    layer.inv_perm = torch.tensor(order)
    layer.perm = torch.argsort(layer.inv_perm)
    return layer


def _made(hidden_units: Sequence[int]) -> dict[str, Any]:
    if len(set(hidden_units)) != 1:
        raise ValueError(f"expected hidden layers of one size, as nflows and normflows have, got {hidden_units}")
    return dict(hidden_features=hidden_units[0], num_blocks=len(hidden_units) - 1, use_residual_blocks=False)


class Zuko(nn.Module):
    """A flow of zuko."""

    def __init__(self, flow: str, size: int, layers: int, hidden_units: Sequence[int], bins: int, bound: float):
        super().__init__()
        shared = dict(transforms=layers, hidden_features=hidden_units)
        if flow == "real_nvp":
            self.flow = zuko.flows.RealNVP(size, **shared)
        elif flow == "nsf":
            self.flow = zuko.flows.NICE(
                size,
                univariate=functools.partial(zuko.transforms.MonotonicRQSTransform, bound=bound),
                shapes=[(bins,), (bins,), (bins - 1,)],
                **shared,
            )
        elif flow == "maf":
            self.flow = zuko.flows.MAF(size, **shared)
        else:
            self.flow = self._of_few(flow, size, layers, hidden_units)
            return
        for transform in self.flow.transform.transforms:
            _zeros(transform.hyper[-1])

    def _of_few(self, flow: str, size: int, layers: int, hidden_units: Sequence[int]) -> nn.Module:
        """The flows that few libraries have, as zuko starts them: zero would be no polynomial that rises."""
        if flow == "ffjord":
            return zuko.flows.CNF(size, hidden_features=hidden_units)
        if flow == "gaussianization":
            return zuko.flows.GF(size, transforms=layers)
        autoregressive = {
            "sum_of_squares": zuko.flows.SOSPF,
            "bernstein": zuko.flows.BPF,
            "unconstrained_monotonic": zuko.flows.UNAF,
        }
        return autoregressive[flow](size, transforms=layers, hidden_features=hidden_units)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.flow().log_prob(x)

    def sample(self, count: int) -> Tensor:
        return self.flow().sample((count,))


LIBRARIES = {"nflows": Nflows, "normflows": Normflows, "zuko": Zuko}


def _build(library: str, flow: str, layout: dict[str, Any], threads: int, seed: int = 0) -> nn.Module:
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    return LIBRARIES[library](flow, **layout)


# Speed: what `benchmarks.interleaved` runs.


def training_step(library: str, flow: str, layout: dict[str, Any], batch_size: int, calls: int, threads: int) -> Work:
    model = _build(library, flow, layout, threads)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-8)
    x = torch.randn(batch_size, layout["size"])

    def run() -> float:
        for _ in range(calls):
            optimizer.zero_grad(set_to_none=True)
            loss = -model.log_prob(x).mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    return Work(run, report=lambda: _facts(model))


def log_prob(library: str, flow: str, layout: dict[str, Any], batch_size: int, calls: int, threads: int) -> Work:
    model = _build(library, flow, layout, threads).eval()
    x = torch.randn(batch_size, layout["size"])
    return Work(_without_gradients(lambda: model.log_prob(x), calls), report=lambda: _facts(model))


def sample(library: str, flow: str, layout: dict[str, Any], batch_size: int, calls: int, threads: int) -> Work:
    model = _build(library, flow, layout, threads).eval()
    return Work(_without_gradients(lambda: model.sample(batch_size), calls), report=lambda: _facts(model))


def _without_gradients(function: Callable[[], Tensor], calls: int) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            for _ in range(calls):
                function()

    return run


def _facts(model: nn.Module) -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in ("torch", *LIBRARIES)}
    return {"parameters": sum(p.numel() for p in model.parameters() if p.requires_grad), **versions}


# Quality: what `benchmarks.tabular.Remote` asks for.


class Learner:
    """A flow in training; `benchmarks.tabular.Ours` has the same methods."""

    def __init__(self, path: str, library: str, flow: str, layout: dict, seed: int, threads: int, **recipe: float):
        with np.load(path) as file:
            self._data = {name: torch.from_numpy(array) for name, array in file.items()}
        # For the speed normflows has its fast density, here its good one.
        layout = layout | (dict(fast_density=False) if library == "normflows" else {})
        self._model = _build(library, flow, layout, threads, seed)
        self._recipe = dict(schedule="cosine", average_decay=None) | recipe
        self._average = None  # Not of buffers: these flows have none that training changes.
        if self._recipe["average_decay"] is not None:
            self._average = [parameter.detach().clone() for parameter in self._model.parameters()]
        self._optimizer = torch.optim.Adam(self._model.parameters(), recipe["learning_rate"], eps=1e-8)
        self._kept = None

    def facts(self) -> dict[str, Any]:
        return _facts(self._model)

    def train(self, first: int, last: int) -> None:
        """The steps from `first` to before `last`; one that is not finite changes nothing."""
        for step in range(first, last):
            rate = self._recipe["learning_rate"]
            if self._recipe["schedule"] == "cosine":
                rate *= (1 + math.cos(math.pi * step / self._recipe["steps"])) / 2
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.zero_grad(set_to_none=True)
            loss = -self._model.log_prob(self._data["train"][self._data["order"][step]]).mean()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self._model.parameters(), self._recipe["clip_norm"] or math.inf)
            if torch.isfinite(loss) and torch.isfinite(norm):
                self._optimizer.step()
                if isinstance(self._model, Normflows):
                    self._model.after_step()
                self._update_average(step)

    def _update_average(self, step: int) -> None:
        """As `tfp_realnvp.training.WeightAverage`."""
        if self._average is None:
            return
        weight = 1 - min(self._recipe["average_decay"], (1 + step) / (10 + step))
        with torch.no_grad():
            for average, parameter in zip(self._average, self._model.parameters()):
                average.lerp_(parameter, weight)

    @contextlib.contextmanager
    def _lent(self) -> Iterator[None]:
        """The averaged weights, if the recipe averages them."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for average, parameter in zip(self._average or (), self._model.parameters()):
            parameter.data, average.data = average.data, parameter.data

    def evaluate(self, split: str) -> list[float]:
        """The mean of log_prob, and its standard error."""
        with torch.no_grad(), self._lent():
            rows = torch.cat([self._model.log_prob(rows) for rows in self._data[split].split(_ROWS_AT_ONCE)])
        return [rows.mean().item(), (rows.std() / math.sqrt(len(rows))).item()]

    def keep(self) -> None:
        with self._lent():
            self._kept = {name: value.clone() for name, value in self._model.state_dict().items()}

    def restore(self) -> None:
        self._average = None  # What was kept is the average.
        self._model.load_state_dict(self._kept)


if __name__ == "__main__":
    learner_server.serve(Learner)
