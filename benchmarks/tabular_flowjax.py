"""The flows of FlowJAX that other libraries lack, laid out as ours: a peer of `benchmarks.tabular`.

python -m benchmarks.tabular_flowjax      trains what its standard input asks for, see `benchmarks.tabular.Remote`
"""

from __future__ import annotations

import importlib.metadata
import math
from typing import Any

import equinox
import flowjax.distributions
import flowjax.flows
import jax
import jax.numpy as jnp
import numpy as np
import optax
import paramax

from benchmarks import learner_server

_ROWS_AT_ONCE = 5_000


def _build(flow: str, layout: dict[str, Any], seed: int) -> Any:
    size, hidden_units = layout["size"], layout["hidden_units"]
    base = flowjax.distributions.StandardNormal((size,))
    shared = dict(base_dist=base, flow_layers=layout["layers"])
    if flow == "triangular_spline":
        return flowjax.flows.triangular_spline_flow(jax.random.key(seed), knots=layout["bins"], **shared)
    blocks = dict(nn_depth=len(hidden_units), nn_block_dim=max(1, hidden_units[0] // size))
    return flowjax.flows.block_neural_autoregressive_flow(jax.random.key(seed), **blocks, **shared)


class Learner:
    """A flow in training; `benchmarks.tabular.Ours` has the same methods."""

    def __init__(self, path: str, library: str, flow: str, layout: dict, seed: int, threads: int, **recipe: float):
        with np.load(path) as file:
            self._data = {name: jnp.asarray(array) for name, array in file.items()}
        recipe = dict(schedule="cosine", average_decay=None) | recipe
        if recipe["average_decay"] is not None:
            raise ValueError("expected no average of the weights, which is not written for FlowJAX")
        rate = recipe["learning_rate"]
        if recipe["schedule"] == "cosine":
            rate = optax.cosine_decay_schedule(rate, recipe["steps"])
        clip = optax.clip_by_global_norm(recipe["clip_norm"] or math.inf)
        optimizer = optax.apply_if_finite(optax.chain(clip, optax.adam(rate, eps=1e-8)), 2**30)
        is_learned = equinox.is_inexact_array
        self._learned, self._fixed = equinox.partition(
            _build(flow, layout, seed), is_learned, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
        )
        self._state = optimizer.init(self._learned)
        fixed = self._fixed

        def log_prob(learned: Any, x: jax.Array) -> jax.Array:
            return paramax.unwrap(equinox.combine(learned, fixed)).log_prob(x)

        def step(learned: Any, state: Any, x: jax.Array) -> tuple[Any, Any]:
            gradients = jax.grad(lambda learned: -jnp.mean(log_prob(learned, x)))(learned)
            updates, state = optimizer.update(gradients, state, learned)
            return optax.apply_updates(learned, updates), state

        self._log_prob, self._step = jax.jit(log_prob), jax.jit(step)

    def facts(self) -> dict[str, Any]:
        sizes = [leaf.size for leaf in jax.tree.leaves(self._learned)]
        return {"parameters": sum(sizes)} | {name: importlib.metadata.version(name) for name in ("jax", "flowjax")}

    def train(self, first: int, last: int) -> None:
        """The steps from `first` to before `last`; one that is not finite changes nothing."""
        for step in range(first, last):
            rows = self._data["train"][self._data["order"][step]]
            self._learned, self._state = self._step(self._learned, self._state, rows)

    def average(self) -> None:
        """There are no averaged weights."""

    def evaluate(self, split: str) -> list[float]:
        """The mean of log_prob, and its standard error."""
        data = self._data[split]
        parts = [self._log_prob(self._learned, data[i : i + _ROWS_AT_ONCE]) for i in range(0, len(data), _ROWS_AT_ONCE)]
        rows = np.concatenate(parts)
        return [float(rows.mean()), float(rows.std(ddof=1) / math.sqrt(len(rows)))]

    def keep(self) -> None:
        self._kept = self._learned  # Arrays of JAX do not change.

    def restore(self) -> None:
        self._learned = self._kept


if __name__ == "__main__":
    learner_server.serve(Learner)
