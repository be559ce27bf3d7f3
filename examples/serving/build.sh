#!/usr/bin/env bash
# Builds log_prob.c against the TensorFlow that a Python has: build.sh PYTHON PROGRAM
set -euo pipefail
python=${1:-python3}
program=${2:-log_prob}
tensorflow=$("$python" -c 'import importlib.util; print(importlib.util.find_spec("tensorflow").submodule_search_locations[0])')

"${CC:-cc}" -std=c11 -O2 -Wall -Wextra -o "$program" "$(dirname "$0")/log_prob.c" \
  -isystem "$tensorflow/include" "$tensorflow/libtensorflow_cc.so.2" "$tensorflow/libtensorflow_framework.so.2" \
  -Wl,-rpath,"$tensorflow"
