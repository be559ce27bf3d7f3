"""Files of scores: CSV, Parquet or JSON lines, written batch by batch."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from launch.score_input import Batch
from tfp_realnvp import evaluation, novelty, storage
from tfp_realnvp.serving import Scorer, Scores

SUFFIXES = (".csv", ".parquet", ".jsonl")


def table(
    batch: Batch,
    scores: Scores,
    scorer: Scorer,
    id_name: str,
    *,
    with_errors: bool,
    calibration: novelty.Calibration | None = None,
) -> pa.Table:
    """The scores beside their ids: an event without a score has its reason in a column `error`.

    With a calibration, each statistic of novelty has its p-value in a column beside it; that of "typicality" is
    `log_prob`.
    """
    columns = {"log_prob": _scores(scores.log_prob)}
    if scorer.levels is not None:
        columns["bits_per_dim"] = _scores(evaluation.bits_per_dim(scores.log_prob, scorer.shape))
    if calibration is not None:
        columns |= _of_novelty(scores, calibration)
    if scores.latents is not None:
        size = scores.latents.shape[1]
        flat = pa.array(scores.latents.reshape(-1), pa.float32(), from_pandas=True)
        columns["latents"] = pa.FixedSizeListArray.from_arrays(flat, size)
    if with_errors:
        errors: list[str | None] = [None] * len(batch)
        for row, fault in scores.faults.items():
            errors[row] = str(fault)
        columns["error"] = _text(errors)
    ids = _text(batch.ids) if batch.ids.dtype == object else pa.array(batch.ids, pa.int64())
    return pa.table({"id" if id_name in columns else id_name: ids, **columns})


def _of_novelty(scores: Scores, calibration: novelty.Calibration) -> dict[str, pa.Array]:
    """The statistics and their p-values."""
    has_score = np.isfinite(scores.log_prob)
    found = calibration.p_values({name: values[has_score] for name, values in scores.novelty.items()})
    columns = {}
    for name, values in scores.novelty.items():
        if name != "typicality":
            columns[name] = _scores(values)
        of_all = np.full(len(values), np.nan)
        of_all[has_score] = found[name]
        columns[f"{name}_p_value"] = _scores(of_all)
    return columns


@contextlib.contextmanager
def opened(path: pathlib.Path, suffix: str) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends a table to a file, which is there when all is written.

    Args:
      path: of the file.
      suffix: one of `SUFFIXES`: what kind of file it is.
    """
    with storage.replacing(path) as part, contextlib.ExitStack() as stack:
        yield {".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl}[suffix](part, stack)


def _text(values: Sequence[str | None] | np.ndarray) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # Names of files may be any bytes.
        escaped = [None if value is None else value.encode("utf-8", "backslashreplace").decode() for value in values]
        return pa.array(escaped, pa.string())


def _scores(values: np.ndarray) -> pa.Array:
    return pa.array(values, pa.float32(), from_pandas=True)  # NaN is missing.


def _parquet(path: pathlib.Path, stack: contextlib.ExitStack) -> Callable[[pa.Table], None]:
    writers: list[pa.parquet.ParquetWriter] = []

    def write(table: pa.Table) -> None:
        if not writers:
            writers.append(stack.enter_context(pa.parquet.ParquetWriter(path, table.schema)))
        writers[0].write_table(table)

    return write


def _csv(path: pathlib.Path, stack: contextlib.ExitStack) -> Callable[[pa.Table], None]:
    file = stack.enter_context(path.open("wb"))

    def write(table: pa.Table) -> None:
        table = _without_lists(table)
        pa.csv.write_csv(table, file, pa.csv.WriteOptions(include_header=file.tell() == 0))

    return write


def _jsonl(path: pathlib.Path, stack: contextlib.ExitStack) -> Callable[[pa.Table], None]:
    file = stack.enter_context(path.open("w", encoding="utf-8"))

    def write(table: pa.Table) -> None:
        file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in table.to_pylist())

    return write


def _without_lists(table: pa.Table) -> pa.Table:
    """Latents as columns `latent_0`, `latent_1`, ..."""
    if "latents" not in table.column_names:
        return table
    latents = table["latents"].combine_chunks()
    size = latents.type.list_size
    flat = latents.values.to_numpy(zero_copy_only=False).reshape([-1, size])
    parts = {f"latent_{i}": pa.array(flat[:, i], from_pandas=True) for i in range(size)}
    names: Sequence[str] = table.column_names
    columns = {name: table[name] for name in names if name != "latents"}
    error = {"error": columns.pop("error")} if "error" in columns else {}
    return pa.table({**columns, **parts, **error})
