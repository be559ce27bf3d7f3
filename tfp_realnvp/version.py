"""The version of this package. Nothing else is here, since `setup.py` and `python -m launch --version` read this file.

Both read it without importing the package, which takes seconds.
"""

__version__ = "0.1.0"
