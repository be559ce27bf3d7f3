"""Fill the gaps of a table by draws from a model that was trained with --missing=keep.

    python -m launch.train --dataset=csv:FILE --missing=keep \\
      --output_dir=runs/table
    python -m launch.impute FILE --output_dir=runs/table
    python -m launch.impute FILE --saved_model=served/table \\
      --output_file=filled.csv --count=5

Each missing value is drawn from p(missing values | values that are there), as the model has learned it; values that are
there stay as they are. --count=5 writes each row five times, of different draws: their spread shows how uncertain a
value is. Columns that the model lacks, such as an id, are copied, and named. Writes imputed-SEED.csv into the run's
folder, or --output_file.
"""

from __future__ import annotations

import sys

import numpy as np
from absl import flags

from launch import arguments, pictures, run, source, tables
from tfp_realnvp import data, evaluation

arguments.DEFINE_positional("FILE")
_COUNT = flags.DEFINE_integer("count", 1, "Draws for each row.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 1000, "Rows at a time.", lower_bound=1)


def main() -> None:
    (file,) = arguments.positional()
    model = source.open_model()
    if not isinstance(model, source.TableModel) or not model.types.is_partial:
        raise run.UsageError("expected a model of a table that was trained with --missing=keep, got another")
    path = pictures.path(model, f"imputed-{run.SEED.value}", ".csv", "seed", inputs=[tables.table_name(file)])
    rows, given = tables.given_rows(model, file, with_others=True)
    rows = np.repeat(rows, _COUNT.value, axis=0)
    given = {name: np.repeat(values, _COUNT.value) for name, values in given.items()}
    gaps = int(np.sum(np.isnan(rows[:, : len(model.types.columns)])))
    z = evaluation.draw_latents(model.distribution, len(rows), seed=(run.SEED.value, 0))
    filled = tables.completed(model, rows, z, _BATCH_SIZE.value)
    found = tables.decoded(model, filled, given)
    data.write_columns(path, {name: found[name] for name in (*given, *found)})  # Those of the file first.
    print(f"{gaps:,} values filled", file=sys.stderr)
    known = [column.name for column in (*model.types.columns, *model.types.context)]
    if copied := [name for name in given if name not in known]:
        print(f"Copied as they are, since the model lacks them: {', '.join(copied)}", file=sys.stderr)
    source.wrote(path)


if __name__ == "__main__":
    run.start(main)
