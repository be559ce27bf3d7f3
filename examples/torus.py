"""Learn the postures in which a robot's arm reaches a point: a density of two angles.

    python -m examples.torus --output=torus.png

The arm has two links of length 1. Its hand is at (cos a + cos(a + b), sin a + sin(a + b)), and the angles a and b have
a density that falls with the distance of the hand from the target:

    p(a, b) is proportional to exp(-|hand - target|^2 / (2 deviation^2))

Each point within reach has two postures, elbow up and elbow down. For the target (-1.9, 0), a lies around pi in both,
so the density crosses the end of the period, where a flow of the plane would have to cut it in two. A flow with
circular entries is trained by maximum likelihood on exact samples, and is compared with the exact density.
"""

from __future__ import annotations

import keras
import matplotlib.figure
import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_realnvp as nvp

_CELLS = 180


def hand(angles: np.ndarray) -> np.ndarray:
    """The position of the hand, `[..., 2]`."""
    directions = np.cumsum(angles, -1)
    return np.stack([np.sum(np.cos(directions), -1), np.sum(np.sin(directions), -1)], -1)


def log_density(angles: np.ndarray, target: np.ndarray, deviation: float) -> np.ndarray:
    """log p up to a constant, at most 0."""
    return -np.sum((hand(angles) - target) ** 2, -1) / (2 * deviation**2)


def samples(count: int, target: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    """Exact samples of p, `[count, 2]`, by rejection."""
    found: list[np.ndarray] = []
    while sum(map(len, found)) < count:
        angles = random.uniform(-np.pi, np.pi, [100_000, 2])
        found.append(angles[np.log(random.uniform(size=len(angles))) < log_density(angles, target, deviation)])
    return np.concatenate(found)[:count].astype(np.float32)


def grid(cells: int) -> np.ndarray:
    """The midpoints of the torus' cells, `[cells, cells, 2]`."""
    ticks = (np.arange(cells) + 0.5) * (2 * np.pi / cells) - np.pi
    return np.stack(np.meshgrid(ticks, ticks), -1)


def define_flags() -> None:
    flags.DEFINE_list("target", ["-1.9", "0"], "The point to reach, at most 2 from the origin.")
    flags.DEFINE_float("deviation", 0.15, "How far from the point the hand may be.", lower_bound=0.02)
    flags.DEFINE_integer("steps", 1_000, "Training steps of 256 postures.", lower_bound=1)
    flags.DEFINE_string("output", "torus.png", "Picture of both densities.")


def main(_: list[str]) -> None:
    values = flags.FLAGS
    target = np.array(values.target, float)
    if target.shape != (2,) or np.linalg.norm(target) > 2:
        raise app.UsageError(f"expected a target of two numbers within reach, 2, got {','.join(values.target)}")
    random = np.random.default_rng(0)
    train, test = (samples(count, target, values.deviation, random) for count in (20_000, 5_000))

    keras.utils.set_random_seed(0)
    distribution = nvp.coupling_flow(event_shape=2, circular=(0, 1), couplings=4, hidden_units=(64, 64))
    model = nvp.FlowModel(distribution)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, values.steps)))
    rows = tf.data.Dataset.from_tensor_slices(train).shuffle(len(train), seed=0).repeat().batch(256).take(values.steps)
    model.fit(rows, shuffle=False, verbose=0)

    points = grid(_CELLS)
    area = (2 * np.pi / _CELLS) ** 2
    exact = np.exp(log_density(points, target, values.deviation))
    normalizer = np.sum(exact) * area
    learned = np.exp(distribution.log_prob(points.astype(np.float32)).numpy())
    nats = -np.mean(distribution.log_prob(test))
    entropy = np.log(normalizer) - np.mean(log_density(test, target, values.deviation))
    print(f"{nats:.3f} nats of a test posture, {entropy:.3f} by the exact density")
    print(f"mass of the learned density: {np.sum(learned) * area:.3f}")

    drawn = distribution.sample(5_000, seed=1).numpy()
    distance = np.linalg.norm(hand(drawn) - target, axis=-1)
    up = np.mean(np.sin(drawn[:, 1]) > 0)
    print(f"hand of a sample: {np.mean(distance):.3f} from the target; elbow on one side in {up:.0%} of them")
    seam = np.linspace(-np.pi, np.pi, 200, dtype=np.float32)
    left, right = (distribution.prob(np.stack([np.full(200, a, np.float32), seam], -1)) for a in (-np.pi, np.pi))
    print(
        f"density at a = pi: up to {np.max(right):.2f}; it differs from a = -pi by {np.max(np.abs(left - right)):.0e}"
    )
    _draw(exact / normalizer, learned, values.output)
    print(f"Wrote {values.output}")


def _draw(exact: np.ndarray, learned: np.ndarray, path: str) -> None:
    figure = matplotlib.figure.Figure(figsize=(7, 3.6), layout="constrained")
    for axis, title, density in zip(figure.subplots(1, 2), ("exact", "learned"), (exact, learned)):
        axis.imshow(
            np.sqrt(density),
            vmin=0,
            vmax=np.sqrt(np.max(exact)),
            cmap="magma",
            origin="lower",
            extent=[-np.pi, np.pi, -np.pi, np.pi],
        )
        axis.set(title=title, xlabel="a", ylabel="b")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    define_flags()
    app.run(main)
