"""Command-line programs: train, evaluate, sample, export."""

import os

# Read by TensorFlow when it is first imported; its start-up lines would bury what a program says.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
