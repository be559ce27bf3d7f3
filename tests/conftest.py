"""Settings that TensorFlow reads when it is first imported."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Workers of pytest-xdist share the cores: one thread each, or they wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
