"""Settings of the process, before TensorFlow is first imported, and of all the processes of a run of the tests."""

import atexit
import os
import pathlib
import re
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


def pytest_addoption(parser):
    parser.addoption("--without_slow", action="store_true", help="Leave out the tests that slow.txt names.")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--without_slow"):
        return
    lines = (pathlib.Path(__file__).parent / "slow.txt").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    slow = re.compile("|".join(patterns))
    names = [item.nodeid for item in items]
    unknown = [pattern for pattern in patterns if not any(re.search(pattern, name) for name in names)]
    if unknown and config.args == ["tests"]:  # All of them were looked at.
        raise ValueError(f"expected tests for each line of slow.txt, found none for {', '.join(unknown)}")
    left_out = [item for item in items if slow.search(item.nodeid)]
    items[:] = [item for item in items if not slow.search(item.nodeid)]
    config.hook.pytest_deselected(items=left_out)
