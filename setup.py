"""Packaging. Everything that pip needs to know is here."""

import pathlib
import runpy

from setuptools import find_packages, setup

_ROOT = pathlib.Path(__file__).parent

TENSORFLOW = ">=2.21,<2.22"
# What is imported by a single feature, and takes seconds to import or much space.
SERVE = [f"tensorflow-serving-api{TENSORFLOW}"]  # The protocol buffers of warm-up requests and of gRPC clients
LOSSLESS = ["constriction>=0.5,<0.6"]  # The entropy coder
PLOTS = ["matplotlib>=3.10,<4"]
# The table `gas`; CSV files; the table `bsds300`; the estimator
DATA = ["pandas>=3,<4", "pyarrow>=25,<27", "h5py>=3,<4", "scikit-learn>=1.9,<2"]
BEAM = ["apache-beam>=2.77,<3"]  # `launch.score` in many processes; TFDS builds some of its sets with it.
DOCS = ["mkdocs-material>=9.8,<10", "mkdocstrings-python>=2,<3", "latex2mathml>=3.81,<4"]  # `make docs`

setup(
    name="tfp_realnvp",
    version=runpy.run_path(str(_ROOT / "tfp_realnvp/version.py"))["__version__"],
    description="Exact-likelihood normalizing flows for images and vectors, on TensorFlow Probability and Keras 3",
    long_description=(_ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    author="The tfp_realnvp authors",
    keywords=[
        "normalizing flows",
        "density estimation",
        "generative models",
        "Real NVP",
        "Glow",
        "bits per dimension",
        "TensorFlow Probability",
        "Keras",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: GPU :: NVIDIA CUDA",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
    # The places where a release is published come beside it.
    project_urls={"Paper": "https://arxiv.org/abs/1605.08803"},
    python_requires=">=3.11,<3.14",
    packages=[*find_packages(include=["tfp_realnvp*", "launch*"]), "tfp_realnvp.saved_models"],
    package_dir={"tfp_realnvp.saved_models": "saved_models"},
    package_data={
        "tfp_realnvp": ["py.typed"],
        "tfp_realnvp.data": ["*.npz"],
        "tfp_realnvp.saved_models": ["README.md", "*/README.md", "*/samples.png", "*/1/**"],
        "launch": ["py.typed", "flagfiles/*.flags", "serving/*.*", "cluster/*.*"],
    },
    entry_points={"console_scripts": ["tfp-realnvp = launch.__main__:console"]},
    # Where the case of names does not count, setuptools' own choice, `build`, is the file BUILD.
    options={"build": {"build_base": ".build"}},
    install_requires=[
        f"tensorflow{TENSORFLOW}",
        "tensorflow-probability>=0.25,<0.26",
        "tf-keras>=2.21,<2.22",  # TFP imports it.
        "keras>=3.15,<3.16",
        "tensorflow-datasets>=4.9.10,<5",
        "importlib_resources>=6,<8",  # TFDS imports it and does not say so.
        "absl-py>=2,<3",
        "numpy>=2,<2.4",  # TFP calls np.reshape with an argument that 2.4 no longer has, in the bijector of Dirichlet.
        "pillow>=11,<14",  # Reads image files.
        "tensorboard>=2.20,<3",  # TensorFlow's summaries are in it.
    ],
    extras_require={
        "serve": SERVE,
        "plots": PLOTS,
        "data": DATA,
        "beam": BEAM,
        "lossless": LOSSLESS,
        "cuda": [f"tensorflow[and-cuda]{TENSORFLOW}"],
        "bench": ["torch==2.13.0", "nflows==0.14", "normflows==1.7.3", "zuko==1.6.0"],  # The peers in benchmarks
        "dev": [
            "mypy>=2.4,<3",
            "polars>=2,<3",  # Its frames are read without an import of ours.
            "pytest>=9,<10",
            "pytest-xdist>=3.8,<4",
            "pyyaml>=6,<7",
            "ruff>=0.17,<0.18",
            *SERVE,
            *PLOTS,
            *BEAM,
            *DATA,
            *LOSSLESS,
            *DOCS,
        ],
        "docs": DOCS,
    },
)
