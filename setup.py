"""Packaging. Everything that pip needs to know lies here."""

from setuptools import find_packages, setup

TENSORFLOW = ">=2.21,<2.22"
DOCS = ["mkdocs-material>=9.8,<10", "mkdocstrings-python>=2,<3"]  # `make docs`

setup(
    name="tfp_realnvp",
    version="0.1.0",
    description="Normalizing flows (Real NVP) on TensorFlow Probability and Keras 3",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["tfp_realnvp*", "launch*"]),
    package_data={
        "tfp_realnvp.data": ["*.npz"],
        "launch": ["flagfiles/*.flags"],
    },
    install_requires=[
        f"tensorflow{TENSORFLOW}",
        "tensorflow-probability>=0.25,<0.26",
        "tf-keras>=2.21,<2.22",  # TFP imports it
        "keras>=3.15,<3.16",
        "tensorflow-datasets>=4.9.10,<5",
        f"tensorflow-serving-api{TENSORFLOW}",  # The protocol buffers of warm-up requests and clients
        "importlib_resources>=6,<8",  # TFDS imports it and does not say so
        "absl-py>=2,<3",
        "numpy>=2,<3",
        "h5py>=3,<4",  # BSDS300 comes in its format
        "pyarrow>=25,<27",  # Reads CSV files
        "matplotlib>=3.10,<4",
        "tensorboard>=2.20,<3",
    ],
    extras_require={
        "bench": ["torch==2.13.0", "nflows==0.14", "normflows==1.7.3", "zuko==1.6.0"],  # The peers in benchmarks
        "cuda": [f"tensorflow[and-cuda]{TENSORFLOW}"],
        "dev": [
            "pandas>=3,<4",
            "pytest>=9,<10",
            "pytest-xdist>=3.8,<4",
            "pyyaml>=6,<7",
            "ruff>=0.17,<0.18",
            "scikit-learn>=1.9,<2",
            *DOCS,
        ],
        "docs": DOCS,
    },
)
