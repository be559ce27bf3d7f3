"""Image sets as uint8 batches: TFDS names in, what the Real NVP paper did to each set applied.

```python
images = data.load("digits")
for step, batch in enumerate(images.training_batches(64, seed=0, epoch=0)):
    ...  # uint8 [64, 8, 8, 1]
```
"""

from tfp_realnvp.data.loading import DataNotFoundError, load
from tfp_realnvp.data.pipeline import ImageData
from tfp_realnvp.data.sets import names

__all__ = ["DataNotFoundError", "ImageData", "load", "names"]
