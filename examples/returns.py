"""Heavy tails: weeks of returns of two stock indices, under three base distributions and two networks.

    pip install arch
    python -m examples.returns

An event is five days' log-returns of the S&P 500 and the Nasdaq Composite, `[10]`, in the order of time. An
autoregressive flow factors it into each return given those before it in the week, so that it can follow the clustering
of volatility. Weeks are divided in time: the first 70 % train, the next 10 % choose the epoch, the last 20 % test.

With affine layers, the tails of the density are those of the base: `log_prob` falls like -z^2 / 2 under a normal base,
and like -(df + 1) log|z| under a Student-t. The table has the log-density of test weeks in nats per day, and how often
a return is further than four standard deviations from 0, in the training weeks and in samples. The difference from the
normal base is taken week by week, since weeks differ by more than models do.

With default flags, in four minutes on one busy core:

                                    nats per day  from normal base  beyond 4 deviations
    training weeks                                                                0.57%
    maf, normal base             -1.540 +- 0.057    0.000 +- 0.000                0.60%
    maf, student_t base          -1.505 +- 0.058    0.036 +- 0.010                0.70%
    maf, mixture base            -1.511 +- 0.058    0.029 +- 0.010                0.58%
    independent normals          -3.083 +- 0.040   -1.543 +- 0.034                0.02%
    attention, student_t base    -1.506 +- 0.060    0.034 +- 0.013                0.41%

The data, 1999 to 2018, come with the package `arch`; any two files with columns `Date` and `Adj Close` do:
`--files=a.csv,b.csv`.
"""

from __future__ import annotations

import importlib.util
import pathlib

import keras
import numpy as np
import pandas as pd
from absl import app, flags

import tfp_realnvp as nvp

DAYS = 5
FLOWS = {
    "maf, normal base": dict(base="normal"),
    "maf, student_t base": dict(base="student_t"),
    "maf, mixture base": dict(base="mixture"),
    "independent normals": dict(layers=0, base="learned_normal"),
    "attention, student_t base": dict(base="student_t", conditioner="attention(width=32, blocks=1)"),
}


def define_flags() -> None:
    flags.DEFINE_list("files", None, "Two files of prices. By default those of the package arch.")
    flags.DEFINE_integer("epochs", 60, "Largest number of epochs for each flow.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seed of initial weights, of the order of training and of samples.", lower_bound=0)


def main(_: list[str]) -> None:
    values = flags.FLAGS
    returns = read(values.files or packaged())
    train, validation, test = weeks(returns)
    print(
        f"{len(train)} training weeks, {len(validation)} for validation, {len(test)} to test, from {len(returns)} days"
    )
    scale, reference = np.std(train), None
    print(f"{'':26} {'nats per day':>17} {'from normal base':>17}  beyond 4 deviations")
    print(f"{'training weeks':26} {'':17} {'':17}  {beyond(train, scale):19.2%}")
    for name, options in FLOWS.items():
        keras.utils.set_random_seed(values.seed)
        flow = fit(options, train, validation, values.epochs)
        nats = flow.log_prob(test).numpy() / DAYS
        reference = nats if reference is None else reference
        tails = beyond(flow.sample(10_000, seed=values.seed).numpy(), scale)
        print(f"{name:26} {_mean(nats):>17} {_mean(nats - reference):>17}  {tails:19.2%}", flush=True)


def _mean(nats: np.ndarray) -> str:
    return f"{np.mean(nats):.3f} +- {np.std(nats) / np.sqrt(len(nats)):.3f}"


def packaged() -> list[pathlib.Path]:
    """The prices that come with the package arch."""
    package = importlib.util.find_spec("arch")
    if package is None or package.origin is None:
        raise app.UsageError("expected the package arch, which has the data, or --files, got neither: pip install arch")
    data = pathlib.Path(package.origin).parent / "data"
    return [data / name / f"{name}.csv.gz" for name in ("sp500", "nasdaq")]


def read(files: list[str] | list[pathlib.Path]) -> np.ndarray:
    """The log-returns of days on which both have prices, `[days, 2]`, in percent."""
    prices = [pd.read_csv(file, index_col="Date", parse_dates=["Date"])["Adj Close"] for file in files]
    joined = pd.concat(prices, axis=1, join="inner").dropna().sort_index()
    return 100 * np.diff(np.log(joined.to_numpy()), axis=0)


def weeks(returns: np.ndarray) -> list[np.ndarray]:
    """Weeks for training, overlapping, and for validation and test, not overlapping: `[n, 10]` each."""
    parts = np.split(returns.astype(np.float32), [int(share * len(returns)) for share in (0.7, 0.8)])
    found = []
    for part, stride in zip(parts, (1, DAYS, DAYS)):
        starts = range(0, len(part) - DAYS + 1, stride)
        found.append(np.stack([part[start : start + DAYS].reshape(-1) for start in starts]))
    return found


def fit(options: dict[str, object], train: np.ndarray, validation: np.ndarray, epochs: int) -> nvp.FlowDistribution:
    """The flow of the epoch that was best on the validation weeks."""
    networks = {} if "conditioner" in options else {"hidden_units": (64, 64)}
    flow = nvp.maf(event_shape=train.shape[1], **{"layers": 3, **networks, **options})
    flow = nvp.standardized(flow, mean=np.mean(train, 0), std=np.std(train, 0))
    model = nvp.FlowModel(flow)
    model.compile(nvp.training.Adam(1e-3))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=8, restore_best_weights=True)
    model.fit(train, validation_data=(validation,), batch_size=64, epochs=epochs, callbacks=[stop], verbose=0)
    return flow


def beyond(returns: np.ndarray, scale: float) -> float:
    """The share of returns further than four standard deviations from 0."""
    return float(np.mean(np.abs(returns) > 4 * scale))


if __name__ == "__main__":
    define_flags()
    app.run(main)
