#!/usr/bin/env bash
# The commands of docs/own_images.md, from image files to a model that is loaded with TensorFlow alone.
#
#   docs/strangers_path.sh FOLDER [FLAGS]
#
# works in FOLDER, a new one; FLAGS go to `train`, after those of the page.
set -euo pipefail
if (($# < 1)); then
  echo "expected FOLDER [FLAGS], got nothing" >&2
  exit 1
fi
root=$(realpath "$(dirname "$0")/..")
mkdir -p "$1"
cd "$1"
if [[ -e runs || -e served ]]; then
  echo "expected a new FOLDER, got $PWD, which has been used" >&2
  exit 1
fi
shift
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"

# Sixty images, for those who have none.
python - <<'PYTHON'
import pathlib

import tensorflow as tf

from tfp_realnvp import data

pathlib.Path("pngs").mkdir(exist_ok=True)
digits = data.load("digits")
for number, image in enumerate(digits.examples("train").take(60)):
    grey = tf.cast(15 * tf.cast(image, tf.int32), tf.uint8)  # 17 levels become steps of 15 among 256.
    pathlib.Path(f"pngs/{number:02}.png").write_bytes(tf.io.encode_png(grey).numpy())
PYTHON

tfp-realnvp train --dataset=folder:pngs --output_dir=runs/mine --batch_size=16 --scales=2 --width=16 --epochs=20 "$@"
tfp-realnvp sample --output_dir=runs/mine --count=16
tfp-realnvp export --output_dir=runs/mine --export_dir=served/mine
tfp-realnvp evaluate --saved_model=served/mine

python - <<'PYTHON'
import tensorflow as tf

model = tf.saved_model.load("served/mine/1")
drawn = model.signatures["sample"](count=tf.constant(4), seed=tf.constant([0, 1]), temperature=tf.constant(1.0))
scored = model.signatures["log_prob_uint8"](images=drawn["pixels"])
print("bits/dim of four samples:", scored["bits_per_dim"].numpy())
PYTHON
