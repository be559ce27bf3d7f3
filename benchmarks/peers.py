"""Compares our speed with PyTorch ports on the same work.

    python -m benchmarks.peers --torch_python=PYTHON
    python -m benchmarks.peers --torch_python=PYTHON --check          (that it is the same work, by the same weights)
    python -m benchmarks.peers --torch_python=PYTHON --preset=cifar10_cpu --repeats=1 --notorch_compile    (a minute)
    python -m benchmarks.peers --torch_python=PYTHON --preset=cifar10_glow --batch_size=32

The peer is the same model in PyTorch: Real NVP as the public ports write it (`benchmarks/torch_real_nvp.py`), or the
Glow of `cifar10_glow` without a sampler (`benchmarks/torch_glow.py`). Its number of parameters must equal ours;
otherwise its rows are marked. "Tuned" is the same model with PyTorch's options:
channels last, `torch.compile`, a fused Adam, and in inference weights without their normalisation. PYTHON is an
interpreter with `pip install torch==2.13.0 numpy`, this one by default.

Each row is a process of its own, and the rows of a table take turns: quote the ratios. A training step is
dequantisation, log_prob in training mode, the L2 term, gradients, clipping and the preset's optimizer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp
from benchmarks import interleaved
from benchmarks.interleaved import Candidate, Result
from tfp_realnvp import presets, training
from tfp_realnvp.bijectors import ActNorm, BatchNorm, Bijector, Coupling, InvertibleLinear
from tfp_realnvp.transformers import Compose

_TOLERANCE = 1e-3
# What is ported of each flow.
_FUNCTIONS = {"real_nvp": ("training_step", "log_prob", "sample"), "glow": ("training_step", "log_prob")}
# What the port is compared with ours on.
_CHECKED = (
    presets.get("cifar10").replace(event_shape=(8, 8, 3), width=8, blocks=2),
    presets.get("cifar10_glow").replace(event_shape=(8, 8, 3), steps=2, width=32),
)
# Muon updates it: of the first coupling, after an activation norm and a linear map.
_KERNEL = "2/convs_1/0/direction"
# Of a `ResidualNetwork`.
_PARTS = ("norm_in", "conv_in", "norms_1", "convs_1", "norms_2", "convs_2", "skips", "norm_out", "conv_out")
_OF_ACT_NORM = ("shift", "log_scale", "mean", "variance")


def define_flags() -> None:
    flags.DEFINE_enum("preset", "cifar10", presets.IMAGE_NAMES, "The model.")
    flags.DEFINE_integer("batch_size", 16, "Images in a training step.", lower_bound=1)
    flags.DEFINE_integer("inference_batch_size", 64, "Images in log_prob and sample.", lower_bound=1)
    flags.DEFINE_integer("repeats", 5, "Rounds in which every candidate runs once.", lower_bound=1)
    flags.DEFINE_string("torch_python", sys.executable, "The interpreter that has PyTorch.")
    flags.DEFINE_list("functions", None, "Some of training_step, log_prob and sample; by default all that are ported.")
    flags.DEFINE_bool("torch_compile", True, "Whether the tuned port is compiled; that takes minutes.")
    flags.DEFINE_bool("check", False, "Compare both with the same weights instead of timing them.")
    flags.DEFINE_string("output", None, "File to write the tables to, too.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    if values.check:
        differences = check(values.torch_python)
        print("\n".join(f"{name}: relative difference {value:.1e}" for name, value in differences.items()))
        sys.exit(max(differences.values()) > _TOLERANCE)
    preset = presets.get(values.preset)
    layout(preset)  # Whether there is a port.
    ported = _FUNCTIONS[preset.flow]
    if unknown := set(values.functions or ()).difference(ported):
        raise app.UsageError(f"expected --functions among {', '.join(ported)}, got {', '.join(sorted(unknown))}")
    functions = [name for name in ported if name in (values.functions or ported)]
    parameters = nvp.trainable_parameters(preset.build())
    about = f"The `{values.preset}` preset, {parameters:,} trainable parameters in ours and in the port."
    lines = interleaved.heading("benchmarks.peers", about)
    results = {}
    # log_prob and sample in one group: their ratio is asked for.
    for group in (functions[:1], functions[1:]) if "training_step" in functions else (functions,):
        candidates = [candidate for name in group for candidate in _candidates(name, preset, parameters)]
        results |= interleaved.measure(candidates, values.repeats)
    for function in functions:
        lines += _table(function, results)
    lines += _ratios(results)
    lines += interleaved.idle(list(results.values()))
    lines += [f"PyTorch {version}." for version in {r.facts["torch"] for r in results.values() if "torch" in r.facts}]
    interleaved.publish(lines, values.output)


def _candidates(function: str, preset: presets.Preset, parameters: int) -> list[Candidate]:
    values = flags.FLAGS
    is_training = function == "training_step"
    batch_size = values.batch_size if is_training else values.inference_batch_size
    ours = {"ours, float32": dict(dtype_policy="float32"), "ours, mixed_bfloat16": dict(dtype_policy="mixed_bfloat16")}
    if not is_training:
        ours["ours, float32, exported"] = dict(dtype_policy="float32", exported=True)
    ports = {
        f"{kind}, {dtype}": dict(tuned=is_tuned, compiled=is_tuned and values.torch_compile, bfloat16=is_bfloat16)
        for kind, is_tuned in (("port", False), ("tuned port", True))
        for dtype, is_bfloat16 in (("float32", False), ("bfloat16 autocast", True))
    }
    recipe = recipe_of_step(preset) if is_training else {}
    shared = dict(layout=layout(preset), parameters=parameters, **recipe)
    return [
        Candidate(
            f"{function}, {name}",
            f"benchmarks.step:{function}",
            dict(preset=values.preset, batch_size=batch_size, **settings),
        )
        for name, settings in ours.items()
    ] + [
        Candidate(
            f"{function}, {name}",
            f"benchmarks.torch_port:{function}",
            dict(batch_size=batch_size, **settings, **shared),
            python=values.torch_python,
        )
        for name, settings in ports.items()
    ]


def layout(preset: presets.Preset) -> dict[str, object]:
    """What the port needs to know of the model."""
    if preset.levels != 256 or preset.flow not in _FUNCTIONS:
        flows = " or ".join(_FUNCTIONS)
        raise app.UsageError(f"expected a preset of {flows} with 256 levels, got {preset.flow} with {preset.levels}")
    return dict(flow=preset.flow, event_shape=preset.event_shape, **preset.options)


def recipe_of_step(preset: presets.Preset) -> dict[str, object]:
    """What the port needs to know of the recipe."""
    return {name: getattr(preset.recipe, name) for name in ("optimizer", "learning_rate", "l2", "clip_norm")}


def _table(function: str, results: dict[str, Result]) -> list[str]:
    values = flags.FLAGS
    batch_size = values.batch_size if function == "training_step" else values.inference_batch_size
    port = results[f"{function}, port, float32"]
    rows = []
    for name, result in results.items():
        of_function, _, kind = name.partition(", ")
        if of_function != function:
            continue
        if result.error:
            rows.append([kind, result.error, "", "", ""])
            continue
        ratio = "" if port.error else f"{result.ratio(port):.2f}"
        memory = interleaved.mebibytes(result.peak_bytes)
        rows.append([kind, f"{result.median / batch_size:.4f}", ratio, memory, f"{result.first_seconds:.1f}"])
    columns = [f"{function}, batch {batch_size}", "s/image", "times the port", "peak, MiB"]
    return interleaved.table([*columns, "first, s"], rows)


def _ratios(results: dict[str, Result]) -> list[str]:
    """What was asked of these, and what came."""
    asked = [
        ("training_step, ours, float32", "training_step, port, float32", "1.05", "0.95"),
        ("training_step, ours, mixed_bfloat16", "training_step, port, float32", "0.50", "0.42"),
        ("training_step, ours, mixed_bfloat16", "training_step, port, bfloat16 autocast", "1.00", "0.80"),
        ("log_prob, ours, float32", "log_prob, port, float32", "0.85", "0.65"),
        ("log_prob, ours, float32, exported", "log_prob, port, float32", "0.85", "0.65"),
        ("sample, ours, float32", "log_prob, ours, float32", "1.05", ""),
    ]
    asked.append(
        ("training_step, ours, mixed_bfloat16", "training_step, tuned port, bfloat16 autocast", "1.00", "0.85")
    )
    rows = []
    for mine, other, at_most, aim in asked:
        if mine not in results:
            continue
        failed = results[mine].error or results[other].error
        ratio = "failed" if failed else f"{results[mine].ratio(results[other]):.2f}"
        rows.append([f"{mine} / {other}", at_most, aim, ratio])
    return interleaved.table(["ratio", "at most", "aim", "measured"], rows)


def check(torch_python: str) -> dict[str, float]:
    """How far the ports are from ours with the same weights: log_prob, samples, a loss, its gradient, Muon's update."""
    found = {}
    for preset in _CHECKED:
        differences = _differences(preset, torch_python)
        found |= {f"{preset.flow}, {name}": value for name, value in differences.items()}
    return found


def _differences(preset: presets.Preset, torch_python: str) -> dict[str, float]:
    distribution = preset.build(dtype_policy="float32")
    generator = np.random.default_rng(0)
    for variable in distribution.variables:
        change = 0.2 * generator.normal(size=variable.shape)
        # A moving variance stays positive.
        variable.assign(variable * np.exp(change) if "variance" in variable.name else variable + change)
    weights = dict(_weights(distribution.flow))
    pixels = generator.uniform(0, 256, [4, *preset.event_shape]).astype(np.float32)
    latents = generator.normal(size=pixels.shape).astype(np.float32)
    arrays = dict(
        layout=np.asarray(json.dumps(layout(preset))),
        recipe=np.asarray(json.dumps(recipe_of_step(preset))),
        pixels=pixels,
        latents=latents,
        log_prob=distribution.log_prob(pixels).numpy(),
        sampled=distribution.flow.inverse(latents).numpy(),
    )
    model = nvp.FlowModel(distribution, l2=preset.recipe.l2, clip_norm=preset.recipe.clip_norm)
    model.compile(training.optimizer(preset.recipe.optimizer, preset.recipe.learning_rate))
    arrays["loss"] = tf.function(model.train_step)(tf.constant(pixels))["loss"].numpy()
    arrays["gradient_norm"] = model.last_gradient_norm.numpy()
    if preset.recipe.optimizer == "muon":
        arrays["kernel"] = np.asarray(_KERNEL)
        arrays["change"] = dict(_weights(distribution.flow))[_KERNEL] - weights[_KERNEL]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ours.npz")
        np.savez(path, **arrays, **weights)
        command = [torch_python, "-m", "benchmarks.torch_port", path]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _weights(flow: Bijector) -> Iterator[tuple[str, np.ndarray]]:
    """Every weight by the name that the port gives it: the coupling's or layer's number, its layer and what it is."""
    layers = [leaf.bijector for leaf in flow.leaves()]
    layers = [layer for layer in layers if isinstance(layer, (ActNorm, BatchNorm, Coupling, InvertibleLinear))]
    number = -1
    for layer in layers:
        # Batch norm belongs to the coupling before it.
        number += not isinstance(layer, BatchNorm)
        if isinstance(layer, BatchNorm):
            yield f"{number}/moving_mean", layer.moving_mean.numpy()
            yield f"{number}/moving_variance", layer.moving_variance.numpy()
        elif isinstance(layer, ActNorm):
            yield from ((f"{number}/{name}", getattr(layer, name).numpy()) for name in _OF_ACT_NORM)
        elif isinstance(layer, InvertibleLinear):
            yield from ((f"{number}/{name}", getattr(layer, name).numpy()) for name in ("lower", "upper", "log_size"))
            yield f"{number}/signs", layer._signs
            yield f"{number}/order", layer._order
        else:
            affine = layer.transformer.transformers[-1] if isinstance(layer.transformer, Compose) else layer.transformer
            yield f"{number}/gain", affine.gain.numpy()
            network = layer.conditioner
            for name in _PARTS:
                part = getattr(network, name)
                parts = {f"{name}/{i}": p for i, p in enumerate(part)} if isinstance(part, list) else {name: part}
                for path, of_network in parts.items():
                    for variable in of_network.variables:
                        yield f"{number}/{path}/{variable.name}", variable.numpy()


if __name__ == "__main__":
    define_flags()
    app.run(main)
