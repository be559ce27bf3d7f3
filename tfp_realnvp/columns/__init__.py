"""Columns of tables: real, bounded, circular, integer, ordinal, boolean and categorical."""

from tfp_realnvp.columns.categorical import Categorical
from tfp_realnvp.columns.column import Column, ColumnError
from tfp_realnvp.columns.columns import TYPES, Columns
from tfp_realnvp.columns.imputation import impute
from tfp_realnvp.columns.inference import Inferred, Spec, infer, infer_with_notes
from tfp_realnvp.columns.integers import Boolean, Integer, Ordinal
from tfp_realnvp.columns.numbers import Bounded, Circular, Real

__all__ = [
    "TYPES",
    "Boolean",
    "Bounded",
    "Categorical",
    "Circular",
    "Column",
    "ColumnError",
    "Columns",
    "Inferred",
    "Integer",
    "Ordinal",
    "Real",
    "Spec",
    "impute",
    "infer",
    "infer_with_notes",
]
