"""Effective samples per second of NeuTra beside TFP's NUTS, and evidence where it is known, in 20 dimensions.

    python -m benchmarks.neutra                                       (within 10 minutes on two cores)
    python -m benchmarks.neutra --targets=funnel --steps=500 --draws=200 --warmup=100

* `funnel`: Neal's, v ~ N(0, 3), x_i ~ N(0, exp(v / 2)), i = 1 ... 19. log Z = 0; the quantity is v.
* `banana`: Haario's, x_1 ~ N(0, 10), x_2 ~ N(0.03 (x_1^2 - 100), 1), others N(0, 1). log Z = 0, the quantity x_2.
* `regression`: 20 weights ~ N(0, 1), 40 observations y ~ N(X w, 1). Evidence and posterior are Gaussian; the quantity
  is w_1.

NUTS is `tfp.experimental.mcmc.windowed_adaptive_nuts`, which adapts a diagonal mass matrix, too. Both run as many
chains, with as many draws of warm-up, compiled by XLA. The effective sample size is the smallest over the means of all
20 entries and the mean of the quantity's square. A sampler that never enters a part of the target may still have a
large one, so the quantity's mean and standard deviation stand beside the exact ones, with the error of the mean in
standard errors.

Starting is tracing and compilation, timed by a run of 4 draws; sampling is the rest, warm-up included. Where it is less
than a tenth of the start, it is lost in that start's variation: give more draws.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import time
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved

tfd = tfp.distributions

_RESULTS = pathlib.Path(__file__).parent / "results"
_SIZE = 20


@dataclasses.dataclass(frozen=True)
class Model:
    """A target with known answers.

    Attributes:
      joint: the joint distribution, or the pinned one.
      quantity: a number `[...]` of values.
      mean: the quantity's exact mean.
      deviation: its exact standard deviation.
      log_evidence: log Z.
    """

    joint: Any
    quantity: Callable[[Any], Any]
    mean: float
    deviation: float
    log_evidence: float


def funnel() -> Model:
    joint = tfd.JointDistributionNamed(
        {
            "v": tfd.Normal(0.0, 3.0),
            "x": lambda v: tfd.Sample(tfd.Normal(0.0, tf.exp(v / 2)), _SIZE - 1),
            "nothing": tfd.Uniform(),
        }
    )
    return Model(_pinned(joint), lambda values: values["v"], 0.0, 3.0, 0.0)


def banana() -> Model:
    joint = tfd.JointDistributionNamed(
        {
            "a": tfd.Normal(0.0, 10.0),
            "b": lambda a: tfd.Normal(0.03 * (a**2 - 100), 1.0),
            "x": tfd.Sample(tfd.Normal(0.0, 1.0), _SIZE - 2),
            "nothing": tfd.Uniform(),
        }
    )
    # The variance of a^2 is 2 * 10^4.
    return Model(_pinned(joint), lambda values: values["b"], 0.0, math.sqrt(0.03**2 * 2e4 + 1), 0.0)


def _pinned(joint: Any) -> Any:
    """A joint distribution with no data but one more variable, whose density is 1."""
    return joint.experimental_pin(nothing=0.5)


def regression() -> Model:
    random = np.random.default_rng(0)
    x = random.normal(size=[2 * _SIZE, _SIZE])
    y = x @ random.normal(size=_SIZE) + random.normal(size=2 * _SIZE)
    inputs = tf.constant(x, tf.float32)
    joint = tfd.JointDistributionNamed(
        {
            "w": tfd.Sample(tfd.Normal(0.0, 1.0), _SIZE),
            "y": lambda w: tfd.Independent(tfd.Normal(tf.linalg.matvec(inputs, w), 1.0), 1),
        }
    )
    covariance = np.linalg.inv(np.eye(_SIZE) + x.T @ x)
    marginal = np.eye(2 * _SIZE) + x @ x.T
    log_evidence = -0.5 * (y @ np.linalg.solve(marginal, y) + np.linalg.slogdet(2 * np.pi * marginal)[1])
    return Model(
        joint.experimental_pin(y=y.astype(np.float32)),
        lambda values: values["w"][..., 0],
        float((covariance @ x.T @ y)[0]),
        math.sqrt(covariance[0, 0]),
        float(log_evidence),
    )


MODELS = {"funnel": funnel, "banana": banana, "regression": regression}


def define_flags() -> None:
    flags.DEFINE_list("targets", list(MODELS), "Targets.")
    flags.DEFINE_integer("steps", 10_000, "Number of training steps of the flow.", lower_bound=1)
    flags.DEFINE_integer("draws", 1_000, "Number of draws of each chain.", lower_bound=4)
    flags.DEFINE_integer("warmup", 500, "Number of draws of warm-up.", lower_bound=20)
    flags.DEFINE_integer("chains", 16, "Number of chains.", lower_bound=2)
    flags.DEFINE_integer("importance", 20_000, "Number of importance samples.", lower_bound=100)
    flags.DEFINE_bool("jit_compile", True, "Whether XLA compiles the chains.")
    flags.DEFINE_integer("seed", 0, "Seed of all draws.", lower_bound=0)
    flags.DEFINE_string("rows", str(_RESULTS / "neutra.jsonl"), "The file of all rows.")
    flags.DEFINE_string("output", str(_RESULTS / "neutra.md"), "File to write the tables to.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    tf.get_logger().setLevel("ERROR")  # TensorFlow warns of a cast in TFP's effective sample size.
    rows = []
    sizes = dict(chains=values.chains, jit_compile=values.jit_compile, seed=values.seed)
    for name in values.targets:
        rows.append(of_target(name, values.steps, values.draws, values.warmup, values.importance, **sizes))
        print(json.dumps(rows[-1]), flush=True)
    pathlib.Path(values.rows).write_text("".join(json.dumps(row) + "\n" for row in rows))
    about = (
        f"{values.chains} chains of {values.draws:,} draws after {values.warmup:,} of warm-up; {values.steps:,} steps "
    )
    heading = interleaved.heading("benchmarks.neutra", about + "of fitting `nvp.iaf(layers=3, hidden_units=(64, 64))`.")
    interleaved.publish([*heading, *tables(rows)], values.output)


def of_target(name: str, steps: int, draws: int, warmup: int, importance: int, **sizes: Any) -> dict[str, Any]:
    """All figures of a target."""
    model, seed = MODELS[name](), sizes["seed"]
    keras.utils.set_random_seed(seed)
    flow = nvp.iaf(event_shape=(_SIZE,), layers=3, hidden_units=(64, 64))
    started = time.perf_counter()
    nvp.mcmc.fit(model.joint, flow, steps=steps, seed=seed)
    fitting = time.perf_counter() - started

    def neutra(draws: int, warmup: int) -> tuple[Any, int]:
        chains = nvp.mcmc.neutra(model.joint, flow, draws=draws, warmup=warmup, **sizes)
        return chains.samples, chains.divergences or 0

    def nuts(draws: int, warmup: int) -> tuple[Any, int]:
        return _nuts(model.joint, draws, warmup, **sizes)

    found = [
        {"sampler": "NeuTra", "fit": fitting} | _timed(neutra, model, draws, warmup),
        {"sampler": "NUTS of TFP", "fit": 0.0} | _timed(nuts, model, draws, warmup),
    ]
    with warnings.catch_warnings(record=True):  # k is in the table.
        warnings.simplefilter("always")
        try:
            evidence = nvp.mcmc.evidence(model.joint, flow, draws=importance, seed=seed)
            estimate = {
                "log_evidence": evidence.log_evidence,
                "standard_error": evidence.standard_error,
                "ess": evidence.ess,
                "pareto_k": evidence.pareto_k,
            }
        except RuntimeError as error:
            estimate = {"refused": str(error)}
    exact = {"mean": model.mean, "deviation": model.deviation, "log_evidence": model.log_evidence}
    return {"target": name, "exact": exact, "found": found, "evidence": {"draws": importance, **estimate}}


def _nuts(joint: Any, draws: int, warmup: int, *, chains: int, jit_compile: bool, seed: int) -> tuple[Any, int]:
    @tf.function(autograph=False, jit_compile=jit_compile)
    def run() -> Any:
        return tfp.experimental.mcmc.windowed_adaptive_nuts(
            draws,
            joint.distribution,
            n_chains=chains,
            num_adaptation_steps=warmup,
            seed=tf.constant([seed, 1]),
            **joint.pins,
        )

    samples, trace = run()
    samples = samples if isinstance(samples, dict) else samples._asdict()
    return tf.nest.map_structure(lambda part: part.numpy(), samples), int(np.sum(trace["diverging"]))


def _timed(sampler: Callable[[int, int], tuple[Any, int]], model: Model, draws: int, warmup: int) -> dict[str, Any]:
    started = time.perf_counter()
    sampler(4, 20)
    start = time.perf_counter() - started
    started = time.perf_counter()
    samples, divergences = sampler(draws, warmup)
    seconds = time.perf_counter() - started
    return figures(samples, model) | {
        "start": start,
        "sampling": seconds - start,
        "divergences": divergences,
    }


def figures(samples: dict[str, np.ndarray], model: Model) -> dict[str, float]:
    """The effective sample size, split R-hat, and the quantity's moments."""
    quantity = np.asarray(model.quantity(samples), np.float64)
    entries = [part.reshape([*quantity.shape, -1]) for _, part in sorted(samples.items())]
    events = tf.constant(np.concatenate([*entries, quantity[..., np.newaxis] ** 2], -1), tf.float64)
    ess = tfp.mcmc.effective_sample_size(events, filter_beyond_positive_pairs=True, cross_chain_dims=1).numpy()
    of_quantity = tfp.mcmc.effective_sample_size(
        tf.constant(quantity), filter_beyond_positive_pairs=True, cross_chain_dims=1
    ).numpy()
    r_hat = tfp.mcmc.potential_scale_reduction(events, independent_chain_ndims=1, split_chains=True).numpy()
    error = (np.mean(quantity) - model.mean) / (model.deviation / math.sqrt(of_quantity))
    return {
        "ess": float(np.min(ess)),
        "r_hat": float(np.max(r_hat)),
        "mean": float(np.mean(quantity)),
        "deviation": float(np.std(quantity)),
        "error": float(error),
    }


def tables(rows: list[dict[str, Any]]) -> list[str]:
    """All rows as Markdown."""
    samplers, evidence = [], []
    for row in rows:
        exact = row["exact"]
        for one in row["found"]:
            total = one["fit"] + one["start"] + one["sampling"]
            samplers.append(
                [
                    f"{row['target']}, {one['sampler']}",
                    *(f"{one[name]:.1f}" for name in ("fit", "start", "sampling")),
                    f"{one['ess']:,.0f}",
                    f"{one['ess'] / one['sampling']:,.0f}" if one["sampling"] > 0.1 * one["start"] else "not measured",
                    f"{one['ess'] / total:,.0f}",
                    f"{one['r_hat']:.3f}",
                    f"{one['divergences']:,}",
                    f"{one['mean']:.2f}, {one['deviation']:.2f} ({exact['mean']:.2f}, {exact['deviation']:.2f})",
                    f"{one['error']:+.1f}",
                ]
            )
        estimate = row["evidence"]
        if "refused" in estimate:
            evidence.append([row["target"], f"{exact['log_evidence']:.3f}", "refused", "", "", ""])
            continue
        off = (estimate["log_evidence"] - exact["log_evidence"]) / max(estimate["standard_error"], 1e-6)
        evidence.append(
            [
                row["target"],
                f"{exact['log_evidence']:.3f}",
                f"{estimate['log_evidence']:.3f} +- {estimate['standard_error']:.3f}",
                f"{off:+.1f}",
                f"{estimate['ess']:,.0f} of {estimate['draws']:,}",
                f"{estimate['pareto_k']:.2f}",
            ]
        )
    columns = ["target, sampler", "fit, s", "start, s", "sampling, s", "ESS", "ESS/s", "ESS/s, with fit and start"]
    columns += ["R-hat", "divergences", "quantity: mean, sd (exact)", "error of the mean, SE"]
    heading = ["target", "log evidence", "estimate", "error, SE", "ESS", "Pareto k"]
    return [*interleaved.table(columns, samplers), *interleaved.table(heading, evidence)]


if __name__ == "__main__":
    define_flags()
    app.run(main)
