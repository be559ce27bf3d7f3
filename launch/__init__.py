"""Command-line programs: train, evaluate, sample, export."""

import os
import sys

from launch import signals

# What precedes a program's name in a call; the console command changes it.
call = "python -m launch."

# Read by TensorFlow when it is first imported; its start-up lines would bury what a program says.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Python has this name while it looks for the program of `python -m launch.PROGRAM`, before its seconds of imports.
if sys.argv[0] == "-m":
    signals.heed()
