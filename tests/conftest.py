"""Settings of the process, before TensorFlow is first imported, and of all the processes of a run of the tests."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Workers of pytest-xdist share the cores: one thread each, or they wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

# See tests/once.py. Workers inherit it.
if "TFP_REALNVP_TESTS" not in os.environ:
    os.environ["TFP_REALNVP_TESTS"] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, os.environ["TFP_REALNVP_TESTS"], ignore_errors=True)
