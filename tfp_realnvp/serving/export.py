"""Exports a flow as a SavedModel."""

import contextlib
import dataclasses
import numbers
import os
import pathlib
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tfp_realnvp import paths, private, storage
from tfp_realnvp.bijectors.precision import inference_precision
from tfp_realnvp.bijectors.variables import learned_layers
from tfp_realnvp.columns import Columns
from tfp_realnvp.conditioners import ResidualNetwork
from tfp_realnvp.extras import MissingExtraError
from tfp_realnvp.flows import Dequantizer, FlowDistribution, split_orders
from tfp_realnvp.flows.distribution import flow_distribution
from tfp_realnvp.novelty import Calibration
from tfp_realnvp.serving import warm_up
from tfp_realnvp.serving.checks import check_file, check_metadata, check_model
from tfp_realnvp.serving.description import CALIBRATION, DESCRIPTION, EXTRA
from tfp_realnvp.serving.settings import Settings
from tfp_realnvp.serving.signatures import Served
from tfp_realnvp.serving.structure import levels_of, own_variables
from tfp_realnvp.serving.tables import ServedTable
from tfp_realnvp.serving.versions import versions
from tfp_realnvp.version import __version__

# Serialises exports, since networks run on folded weights while one is written.
_LOCK = threading.Lock()
# Entries that only some exports have, and an earlier name of one.
_RESERVED = ("column_types", "calibration", "labels")


def save(
    distribution: FlowDistribution,
    path: str | os.PathLike[str],
    *,
    dequantizer: Dequantizer | None = None,
    columns: Columns | None = None,
    calibration: Calibration | None = None,
    weights_dtype: str = "float32",
    metadata: Mapping[str, Any] | None = None,
    **settings: Any,
) -> None:
    """Writes a flow as a SavedModel that loads with TensorFlow alone, without TFP or Keras.

    For images `[height, width, channels]` it has these signatures; `log_prob` is also `serving_default`:

        log_prob           images float32 [n, *event_shape]        -> log_prob float32 [n], nats
                                                                      bits_per_dim float32 [n]
        encode             images float32 [n, *event_shape]        -> latents float32 [n, *event_shape]
        reconstruct_error  images float32 [n, *event_shape]        -> reconstruct_error float32 [n], pixels
        ..._uint8          images uint8 [n, *event_shape]          -> as the three above
        decode             latents float32 [n, any, any, channels] -> images float32, pixels uint8
        sample             count int32 [], seed int32 [2],
                           temperature float32 []                  -> images float32, pixels uint8

    Float images are dequantised pixels in [0, levels), image + u with u in [0, 1). For integer images the model adds
    the noise, uniform or the dequantizer's: it is a function of `noise_seed` and the pixels of the row alone, so the
    answer for a row does not depend on other rows. Returned `images` are dequantised, too, and not clipped; `pixels`
    are the same, rounded down and clipped to 0 ... levels - 1. `reconstruct_error` is the largest absolute error of an
    entry after encoding and decoding. `temperature` scales the drawn latents; 0 gives the image of the latent 0. In
    sessions and TensorFlow Serving it is optional and defaults to 1; a function loaded in Python requires it.

    A conditional flow also takes `context` float32 [n, context_size] or `labels` int32 [n]; `sample` then draws one
    image per row and has no count. Vectors are named `vectors`, and have neither bits/dim nor pixels.

    With a calibration, `p_value` and `p_value_uint8` answer `p_value` float32 [n] beside the answers of `log_prob`: the
    two-sided conformal p-value of log p(x), see `tfp_realnvp.novelty.p_values`. A row with a `log_prob` of -inf has the
    smallest one. With a dequantizer there is `p_value_uint8` alone, of the bound, which float images do not have.

    An invalid request fails with an `InvalidArgumentError` that states what was expected and what came: pixels outside
    the support or NaN, a count below 1 or above `max_samples`, more than `max_rows` rows, a wrong shape or label. With
    `invalid_rows="minus_inf"`, `log_prob` returns -inf for such a row and answers the others, for servers that batch
    requests of independent clients.

    Batch norm uses its moving statistics. Batch norm and weight norm are folded into the kernels of residual networks
    at export. Every weight is stored once, without training state. The loaded model has gradients with respect to
    events, but cannot be trained. XLA drops checks, so compile `load`'s distribution instead of a signature. The model
    is written to a hidden folder next to `path` and renamed when complete: `path` never contains a partial model.

    Args:
      distribution: a flow over images of known size or over vectors, as from `real_nvp`.
      path: the folder to write, on a local disk; it must not exist. Its parents are created.
      dequantizer: the flow over the noise of integer images that the flow was trained with; None for uniform noise.
        The signatures of integer images then draw the noise u from it, and their `log_prob` is the bound
        log p(image + u) - log q(u | image). `load_dequantizer` reads it again.
      columns: column types of a table. The model then has the signatures of
        `tfp_realnvp.serving.tables.ServedTable`.
      calibration: statistics of events that the flow was not trained on, with "typicality", as
        `tfp_realnvp.serving.Scorer` computes them with the noise seed of the settings. `calibration_of` reads it again.
      weights_dtype: dtype of residual networks' kernels in the file: "bfloat16" halves its size. Kernels are cast at
        each call; the arithmetic does not change.
      metadata: further entries of `assets.extra/tfp_realnvp.json`, for example the name of the data, of other names
        than its own.
      **settings: fields of `tfp_realnvp.serving.Settings`: max_samples, max_rows, max_pixels, noise_seed, context_size,
        classes, invalid_rows.

    Raises:
      FileExistsError: if `path` exists.
      TypeError: for metadata that are not JSON.
      ValueError: if the event shape is unknown, the flow needs a context that the settings do not give, or takes none
        and they give one; the flow was itself loaded from an export, the dequantizer is of other images, metadata have
        names of the export's own, there is no residual network for bfloat16 kernels, or a calibration is without
        "typicality" or given with bfloat16 kernels, which have other log-densities.

    ```python
    distribution = nvp.real_nvp(event_shape=(8, 8, 1), levels=17)
    nvp.save(distribution, "digits/1")

    # With TensorFlow alone:
    model = tf.saved_model.load("digits/1")
    asked = dict(count=tf.constant(4), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))
    images = model.signatures["sample"](**asked)["images"]
    model.signatures["log_prob"](images=images)["bits_per_dim"]  # [4]
    ```
    """
    path = _local(path)
    _refuse_existing(path)
    with _written(
        distribution, path.parent, dequantizer, columns, calibration, weights_dtype, metadata, settings
    ) as model:
        _rename(model, path)


def publish(
    distribution: FlowDistribution,
    folder: str | os.PathLike[str],
    *,
    version: int | None = None,
    dequantizer: Dequantizer | None = None,
    columns: Columns | None = None,
    calibration: Calibration | None = None,
    weights_dtype: str = "float32",
    metadata: Mapping[str, Any] | None = None,
    **settings: Any,
) -> pathlib.Path:
    """Writes a flow as `folder/VERSION` for TensorFlow Serving, which serves the highest complete version.

    With the extra `serve` installed, a version holds requests that the server warms up with.

    Args:
      distribution: as in `save`.
      folder: the model's folder, named like the model.
      version: version number; by default the highest existing number plus 1, or 1.
      dequantizer: as in `save`.
      columns: as in `save`.
      calibration: as in `save`.
      weights_dtype: as in `save`.
      metadata: as in `save`.
      **settings: as in `save`.

    Returns:
      The path of the version, `folder/VERSION`.

    Raises:
      FileExistsError: if that version exists.
      ValueError: as in `save`, or for a version below 1.
    """
    is_integer = isinstance(version, numbers.Integral) and not isinstance(version, bool)
    if version is not None and not (is_integer and version >= 1):  # A server takes no other folders.
        raise ValueError(f"expected a version of 1 or more, got {version}")
    local = _local(folder)
    if version is not None:
        _refuse_existing(local / str(version))
    with _written(distribution, local, dequantizer, columns, calibration, weights_dtype, metadata, settings) as model:
        if not (model / EXTRA / warm_up.NAME).exists():
            logging.warning("Wrote no warm-up requests for TensorFlow Serving: pip install 'tfp_realnvp[serve]'")
        while True:
            name = str(version or max(versions(local), default=0) + 1)
            try:
                _rename(model, local / name)
                return paths.local(folder) / name
            except FileExistsError:
                if version is not None:
                    raise  # Otherwise another export took the number; try the next one.


@contextlib.contextmanager
def _written(
    distribution: FlowDistribution,
    parent: pathlib.Path,
    dequantizer: Dequantizer | None,
    columns: Columns | None,
    calibration: Calibration | None,
    weights_dtype: str,
    metadata: Mapping[str, Any] | None,
    given: Mapping[str, Any],
) -> Iterator[pathlib.Path]:
    """Writes a model into a hidden folder of `parent`, to be renamed; removes leftovers afterwards."""
    distribution = flow_distribution(distribution)
    if columns is not None:
        columns.check_flow(distribution)
        given = {**given, "context_size": columns.context_size}
    settings = Settings(**given)
    parts = [distribution, *([] if dequantizer is None else [dequantizer])]
    networks = [layer for part in parts for layer in learned_layers(part.flow) if isinstance(layer, ResidualNetwork)]
    check_model(distribution, dequantizer, settings)
    check_file(weights_dtype, bool(networks), calibration)
    description = _description(distribution, dequantizer, columns, calibration, weights_dtype, metadata or {}, settings)
    with _LOCK, contextlib.ExitStack() as stack:
        for network in networks:
            with inference_precision(network):
                stack.enter_context(network.frozen(None if weights_dtype == "float32" else tf.as_dtype(weights_dtype)))
        if columns is None:
            served = Served(distribution, settings, calibration, dequantizer)
        else:
            served = ServedTable(distribution, settings, columns, calibration)
        # Saves only what the graphs read, not the distribution: the file contains no Keras or TFP objects, no weight
        # that has been folded, and none twice.
        functions = [*served.functions.values(), *served.signatures.values()]
        read = [variable for function in functions for variable in _variables(function.get_concrete_function().graph)]
        module = tf.Module(name="served")
        module.weights = list({id(variable): variable for variable in read}.values())
        for name, function in served.functions.items():
            setattr(module, name, function)
        if "network_0" in served.functions:  # What builds the flow again, layer by layer, needs both.
            module.own = own_variables(distribution.flow)
        if (levels := levels_of(distribution)) is not None:
            module.levels = tf.Variable(levels, trainable=False, dtype=tf.int32, name="levels")
        parent.mkdir(parents=True, exist_ok=True)
        # The model is one folder further down, since the temporary folder is closed to other users. A server ignores
        # both, since versions are numbers.
        model = stack.enter_context(storage.unfinished(parent)) / "model"
        tf.saved_model.save(module, str(model), served.signatures)
        _make_fingerprint_repeatable(model / "fingerprint.pb")
        extra = model / EXTRA
        extra.mkdir()
        (extra / DESCRIPTION).write_text(storage.to_json(description, indent=2) + "\n")
        if calibration is not None:
            (extra / CALIBRATION).write_text(storage.to_json(calibration.to_json()) + "\n")
        example = None if columns is None else columns.example()
        with contextlib.suppress(MissingExtraError):
            warm_up.write(extra / warm_up.NAME, served.signatures, distribution.event_shape.as_list(), example)
        yield model


def _description(
    distribution: FlowDistribution,
    dequantizer: Dequantizer | None,
    columns: Columns | None,
    calibration: Calibration | None,
    weights_dtype: str,
    metadata: Mapping[str, Any],
    settings: Settings,
) -> dict[str, Any]:
    """What `describe` returns."""
    description = {
        "event_shape": distribution.event_shape.as_list(),
        "levels": levels_of(distribution),
        "dequantization": "uniform" if dequantizer is None else "variational",
        "dtype": distribution.dtype.name,
        "split_orders": _split_orders(distribution),
        **dataclasses.asdict(settings),
        "weights_dtype": weights_dtype,
        **({} if columns is None else {"column_types": columns.to_json()}),
        **({} if calibration is None else {"calibration": {"count": calibration.count, "source": calibration.source}}),
        "versions": {"tfp_realnvp": __version__, "tensorflow": tf.__version__},
    }
    check_metadata(metadata, {*description, *_RESERVED})
    return {**metadata, **description}


def _split_orders(distribution: FlowDistribution) -> list[str] | None:
    """The orders by which latents are split into scales, or None for a custom structure."""
    try:
        return list(split_orders(distribution.flow))
    except ValueError:
        return None


def _variables(graph: tf.Graph) -> list[tf.Variable]:
    """The variables a graph reads, in order of use; the graph itself keeps a set."""
    places = {id(tensor): place for place, tensor in enumerate(graph.external_captures)}
    return sorted(graph.variables, key=lambda variable: places[id(variable.handle)])


def _make_fingerprint_repeatable(file: pathlib.Path) -> None:
    """Derives the fingerprint's identifier from the model, so that equal exports give equal files."""
    fingerprint = private.FingerprintDef.FromString(file.read_bytes())
    hashes = f"{fingerprint.saved_model_checksum} {fingerprint.checkpoint_hash}"
    fingerprint.uuid = str(uuid.uuid5(uuid.NAMESPACE_OID, hashes))
    file.write_bytes(fingerprint.SerializeToString(deterministic=True))


def _local(path: str | os.PathLike[str]) -> pathlib.Path:
    if "://" in os.fspath(path):
        raise ValueError(f"expected a path on a local disk, got {path}: export there, and copy the folder")
    return pathlib.Path(os.path.abspath(paths.local(path)))


def _refuse_existing(path: pathlib.Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(f"expected a path for a new folder, but there is something at {path}")


def _rename(model: pathlib.Path, path: pathlib.Path) -> None:
    _refuse_existing(path)
    try:
        os.rename(model, path)
    except OSError:
        _refuse_existing(path)  # It may have been created meanwhile.
        raise
