"""The parts of a run's report that only vectors have."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from launch import page, run, source, vector_plots
from tfp_realnvp import evaluation

# Enough for a histogram's shape, and a second of work.
_EVENTS = 2000
_BATCH = 500


def parts(model: source.Source) -> list[str]:
    """Data beside samples, the latents of the data, and the log-densities of training and test data."""
    train, test = (source.some_examples(model, split, _EVENTS, at_most=True)[0] for split in ("train", "test"))
    histograms, heading = [_log_probs(model, train, test)], "Log-densities"
    if model.distribution.has_default_base:  # Other latents are not uniform under the normal's distribution function.
        histograms, heading = [_latents(model, test), *histograms], "Latents and log-densities"
    return [_pairs(model, test), f"{page.heading(heading)}\n{page.beside(*histograms)}"]


def _pairs(model: source.Source, test: np.ndarray) -> str:
    z = evaluation.draw_latents(model.distribution, len(test), seed=(run.SEED.value, 0))
    types, context = model.types, None
    size = model.shape[0] if types is None else len(types.columns)
    if types is not None and types.context_size is not None:
        context = types.context_of(tf.constant(test[:, size : size + len(types.context)]))
    samples = evaluation.decode(model.distribution, z, context, batch_size=_BATCH, jit_compile=run.jit_compile())
    if types is not None:
        samples = types.quantize(tf.constant(samples)).numpy()
    test = test[np.isfinite(test).all(1), :size]
    finite = np.isfinite(samples).all(1)
    names = model.columns if types is None else types.names
    columns = [f"x{i + 1}" for i in range(size)] if names is None else names[:size]
    captions = [f"{len(test):,} vectors of the test data", f"{len(samples):,} samples, on the same scale"]
    if not finite.all():
        captions[1] += f"; {np.sum(~finite):,} overflow and are left out"
    if len(columns) > vector_plots.COLUMNS:
        captions[0] += f"; the first {vector_plots.COLUMNS} of {len(columns)} columns"
    if not len(test) or not finite.any():
        return page.text("Every row of the test data has gaps, or every sample overflows: there is nothing to compare.")
    figures = vector_plots.pair_plots(test, samples[finite], columns)
    written = zip(figures, ("Test data", "Samples"), captions, strict=True)
    pictures = [page.picture(page.drawn(figure), name, caption) for figure, name, caption in written]
    return f"{page.heading('Data and samples')}\n{page.beside(*pictures)}"


def _latents(model: source.Source, test: np.ndarray) -> str:
    """Under the model, the entries of latents are independent and standard normal, and these numbers uniform."""
    x, context = source.flow_events(model, test, np.full(len(test), -1))
    z = evaluation.encode(model.distribution, x, context, batch_size=_BATCH, jit_compile=run.jit_compile())
    u = tfp.distributions.Normal(0.0, 1.0).cdf(z[np.isfinite(z)]).numpy()
    caption = (
        "Phi(z), where z is an entry of the latent of a test vector and Phi the distribution function of the standard "
        "normal. Flat within the band: the model fits. High ends: it is too narrow. A high middle: it is too wide."
    )
    return page.picture(page.drawn(vector_plots.transform_histogram(u)), "Probability integral transform", caption)


def _log_probs(model: source.Source, train: np.ndarray, test: np.ndarray) -> str:
    def of(rows: tf.Tensor) -> tf.Tensor:
        if model.types is None:
            return model.distribution.log_prob(rows)
        return model.types.log_prob(model.distribution, rows, model.types.noise(rows, seed=(run.SEED.value, 0)))

    size = model.shape[0] if model.types is None else model.types.size
    log_prob = tf.function(
        of,
        input_signature=[tf.TensorSpec([None, size], model.distribution.dtype)],
        jit_compile=run.jit_compile(),
        autograph=False,
    ).get_concrete_function()

    def finite(rows: np.ndarray) -> np.ndarray:
        batches = (rows[i : i + _BATCH] for i in range(0, len(rows), _BATCH))
        found = np.concatenate([log_prob(tf.constant(batch)).numpy() for batch in batches])
        return found[np.isfinite(found)]

    of_train, of_test = finite(train), finite(test)
    if not of_train.size or not of_test.size:
        return page.text("The training or the test data have no density under the model.")
    caption = (
        f"Means: {np.mean(of_train):.4f} on {len(of_train):,} vectors of the training data, {np.mean(of_test):.4f} on "
        f"{len(of_test):,} of the test data. Training vectors that are much likelier have been memorised."
    )
    if outside := len(train) + len(test) - len(of_train) - len(of_test):
        caption += f" {outside:,} without a density are left out."
    histogram = vector_plots.log_prob_histogram(of_train, of_test)
    return page.picture(page.drawn(histogram), "Log-densities of training and test data", caption)
