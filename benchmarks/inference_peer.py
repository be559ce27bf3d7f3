"""Neural posterior estimation by sbi (PyTorch) and BayesFlow 2 (Keras on JAX): the peers of `benchmarks.inference`.

    python -m benchmarks.inference_peer < JOB      trains and samples; the result is a line of JSON

The job names an `.npz` file with `theta` and `x` to train on, `observations`, and held-out `test_theta` and `test_x`.
What it draws goes into another `.npz` file. Both libraries are used as their documentation says, with their own
defaults but for what the keywords below set.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np


class Sbi:
    """sbi's NPE with a neural spline flow; training stops early, as it does by default."""

    def __init__(self, theta: np.ndarray, x: np.ndarray, bound: float | None, seed: int):
        import torch
        from sbi.inference import NPE
        from sbi.utils import BoxUniform

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self._torch, size = torch, theta.shape[1]
        if bound is None:
            variance = 0.1 * torch.eye(size)
            prior = torch.distributions.MultivariateNormal(torch.zeros(size), variance)
        else:
            prior = BoxUniform(-bound * torch.ones(size), bound * torch.ones(size))
        trainer = NPE(prior, density_estimator="nsf", show_progress_bars=False)
        trainer.append_simulations(torch.from_numpy(theta), torch.from_numpy(x))
        self._density = trainer.train()
        self._posterior = trainer.build_posterior()

    def sample(self, count: int, x: np.ndarray) -> np.ndarray:
        """Within the prior's support, as sbi's posterior draws: `[count, size]` for one observation."""
        drawn = self._posterior.sample((count,), x=self._torch.from_numpy(x), show_progress_bars=False)
        return drawn.numpy()

    def sample_many(self, count: int, x: np.ndarray) -> np.ndarray:
        """Of the density that was trained, `[count, n, size]`."""
        with self._torch.no_grad():
            return self._density.sample((count,), condition=self._torch.from_numpy(x)).numpy()

    def log_prob(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        with self._torch.no_grad():
            values = self._density.log_prob(self._torch.from_numpy(theta), condition=self._torch.from_numpy(x))
        return values.numpy()


class BayesFlow:
    """BayesFlow's workflow with a spline coupling flow, 100 epochs; parameters are bounded by its adapter."""

    def __init__(self, theta: np.ndarray, x: np.ndarray, bound: float | None, seed: int):
        os.environ.setdefault("KERAS_BACKEND", "jax")
        import bayesflow
        import keras

        keras.utils.set_random_seed(seed)
        adapter = bayesflow.Adapter().convert_dtype("float64", "float32")
        if bound is not None:
            adapter = adapter.constrain("theta", lower=-bound, upper=bound)
        adapter = adapter.rename("theta", "inference_variables").rename("x", "inference_conditions")
        flow = bayesflow.networks.CouplingFlow(transform="spline")
        self._workflow = bayesflow.BasicWorkflow(adapter=adapter, inference_network=flow, standardize="all")
        self._workflow.fit_offline(dict(theta=theta, x=x), epochs=100, batch_size=100, verbose=0)

    def sample(self, count: int, x: np.ndarray) -> np.ndarray:
        return self.sample_many(count, x[np.newaxis])[:, 0]

    def sample_many(self, count: int, x: np.ndarray) -> np.ndarray:
        drawn = self._workflow.sample(num_samples=count, conditions=dict(x=x))["theta"]
        return np.swapaxes(np.asarray(drawn), 0, 1)

    def log_prob(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        rows = np.broadcast_to(x, [*theta.shape[:-1], x.shape[-1]]).reshape(-1, x.shape[-1])
        values = self._workflow.log_prob(dict(theta=theta.reshape(-1, theta.shape[-1]), x=np.ascontiguousarray(rows)))
        return np.asarray(values).reshape(theta.shape[:-1])


LIBRARIES = {"sbi": Sbi, "bayesflow": BayesFlow}


def run(job: dict[str, Any]) -> dict[str, Any]:
    with np.load(job["data"]) as file:
        data = {name: file[name] for name in file}
    learned = LIBRARIES[job["library"]](data["theta"], data["x"], job["bound"], job["seed"])
    result = dict(cpu_seconds=round(time.process_time(), 1))
    samples = np.stack([learned.sample(job["samples"], x) for x in data["observations"]])
    drawn = learned.sample_many(job["calibration_samples"], data["test_x"]).astype(np.float32)
    truth = data["test_theta"][np.newaxis]
    log_probs = dict(truth=learned.log_prob(truth, data["test_x"])[0], of_drawn=learned.log_prob(drawn, data["test_x"]))
    np.savez(job["output"], samples=samples, drawn=drawn, **log_probs)
    return result


if __name__ == "__main__":
    given = json.load(sys.stdin)
    # What libraries print must not get between.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    print(json.dumps(run(given)), file=replies, flush=True)
