#!/usr/bin/env bash
# Builds the wheel, installs it into a new environment for each Python that is given, and does there what a newcomer does.
#
#   tools/wheel_test.sh [PYTHON...]     by default those of python3.11, python3.12 and python3.13 that run
#
# It takes minutes and some GB of temporary space for each Python, and needs a package index. Nothing is written into the
# checkout but .build and an egg-info.
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pythons=("$@")
if ((!$#)); then
  for python in python3.11 python3.12 python3.13; do
    # A name on PATH may be a stub.
    if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then pythons+=("$python"); fi
  done
fi
if ((!${#pythons[@]})); then
  echo "No Python 3.11, 3.12 or 3.13 with its venv and ensurepip modules was found." >&2
  exit 1
fi

expect() { # PATTERN FILE
  if ! grep --extended-regexp "$1" "$2"; then # The line is shown.
    printf 'expected a line of %s in:\n' "$1" >&2
    cat "$2" >&2
    exit 1
  fi
}

number=0
for python in "${pythons[@]}"; do
  environment=$work/environment-$((++number)) folder=$work/elsewhere-$number
  echo "$("$python" --version): a new environment"
  "$python" -m venv "$environment"
  pip=("$environment/bin/python" -m pip --quiet --disable-pip-version-check)
  [[ -e $work/wheel ]] || "${pip[@]}" wheel --no-deps --wheel-dir "$work/wheel" "$root"
  "${pip[@]}" install "$work"/wheel/*.whl
  "${pip[@]}" check
  mkdir "$folder"
  cd "$folder"
  # As after `activate`, but with nothing of this shell's Python.
  export PATH=$environment/bin:$PATH
  unset PYTHONPATH TF_CPP_MIN_LOG_LEVEL

  tfp-realnvp --version >log
  expect '^tfp_realnvp [0-9.]+$' log
  python -c "import tfp_realnvp as nvp; print(nvp.load('mnist').sample(2, seed=1).shape)" >log 2>/dev/null
  expect '^\(2, 28, 28, 1\)$' log

  tfp-realnvp train --preset=digits --epochs=1 >log 2>errors
  if [[ -s errors ]]; then
    echo "expected no line on stderr, got:" >&2
    cat errors >&2
    exit 1
  fi
  expect '^[0-9.]+ bits/dim (better|worse) than the best baseline$' log
  expect '^  tfp-realnvp sample --output_dir=runs/digits' log
  tfp-realnvp sample --output_dir=runs/digits --count=4 >log
  expect '^Wrote runs/digits/samples-0-count-4.png$' log
  tfp-realnvp evaluate --saved_model=digits >log
  expect '^digits test: 1\.9' log
  tfp-realnvp export --output_dir=runs/digits --export_dir=served/digits >log 2>errors
  expect "no warm-up requests .*pip install 'tfp_realnvp\[serve\]'" errors
  python -m launch.train --flagfile=cifar10 --describe >log
  expect 'trainable parameters' log
  # Packages of extras, which TensorFlow and TFDS do not bring.
  if tfp-realnvp interpolate --saved_model=digits >log 2>errors; then
    echo "expected matplotlib to be missing" >&2
    exit 1
  fi
  expect "^error: matplotlib is not installed: pip install 'tfp_realnvp\[plots\]'$" errors
  ls "$(python -c 'import launch, pathlib; print(pathlib.Path(launch.__file__).parent)')"/{serving,cluster} >log
  expect '^docker.sh$' log
  expect '^slurm.sbatch$' log
  cd "$root"
  rm -rf "$environment" "$folder"
  echo "$python: passed"
done
