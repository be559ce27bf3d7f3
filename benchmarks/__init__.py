"""Scripts that measure the numbers which the documentation cites."""

import os

# Read by TensorFlow when it is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
