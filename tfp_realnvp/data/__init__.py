"""Sets as batches: images of TFDS, as in the Real NVP paper, or of files as uint8; tables as float32 rows.

```python
images = data.load("digits")
for step, batch in enumerate(images.training_batches(64, seed=0, epoch=0)):
    ...  # uint8 [64, 8, 8, 1]
labelled = data.load("digits", labels=True)
for step, (batch, labels) in enumerate(labelled.training_batches(64, seed=0, epoch=0)):
    ...  # uint8 [64, 8, 8, 1], int32 [64]
table = data.load("csv:wine.csv")
for step, batch in enumerate(table.training_batches(64, seed=0, epoch=0)):
    ...  # float32 [64, 12]
```
"""

from tfp_realnvp.data.array_file import read_arrays
from tfp_realnvp.data.column_table import ColumnTable
from tfp_realnvp.data.csv_file import write as write_csv
from tfp_realnvp.data.csv_file import write_columns
from tfp_realnvp.data.csv_header import HEADERS
from tfp_realnvp.data.events import Events
from tfp_realnvp.data.image_errors import BadImageError
from tfp_realnvp.data.loading import load
from tfp_realnvp.data.sets import DataNotFoundError, names
from tfp_realnvp.data.table_checks import BadTableError
from tfp_realnvp.data.table_files import read_columns, stream_columns
from tfp_realnvp.data.tables import is_table, load_table, table_names
from tfp_realnvp.data.typed_tables import Typing

__all__ = [
    "HEADERS",
    "BadImageError",
    "BadTableError",
    "ColumnTable",
    "DataNotFoundError",
    "Events",
    "Typing",
    "is_table",
    "load",
    "load_table",
    "names",
    "read_arrays",
    "read_columns",
    "stream_columns",
    "table_names",
    "write_columns",
    "write_csv",
]
