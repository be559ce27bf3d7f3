"""How finely floats tell numbers apart."""

from typing import Any

import numpy as np

# Of times in seconds since 1970, float32 represents only every 128th.
_LEAST_VALUES = 100


def least_deviation(largest: Any, dtype: Any = np.float32) -> Any:
    """The least standard deviation of numbers up to `largest` that a dtype represents: 100 times their spacing."""
    return _LEAST_VALUES * np.spacing(np.asarray(largest).astype(dtype)).astype(np.float64)
