"""Command-line programs: train, evaluate, sample, export."""

import sys

from launch import start_up

# The prefix of a program's name in a call; the console command changes it.
call = "python -m launch."

# Python has this name while it looks for the program of `python -m launch.PROGRAM`. `python -m launch` begins later.
if sys.argv[0] == "-m" and "launch" not in sys.orig_argv:
    start_up.begin()
