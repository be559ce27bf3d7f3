#!/bin/bash
# What a GPU host does in the quarter of an hour that it is lent for: steps are timed first, then a model is trained.
#
#     OUT=FOLDER DATA_DIR=FOLDER bash benchmarks/gpu_session.sh
#
# Each row of the steps is a file of its own, so that what is cut off costs one row. The weights that were reached come
# back in pieces (`benchmarks.carry`). To see that it runs, without a GPU:
#
#     OUT=/tmp/out STEPS="digits_glow:8:graph" FLAGS=--allow_cpu PRESET=digits_glow BATCH_SIZE=64 TRAIN_SECONDS=60 \
#       bash benchmarks/gpu_session.sh
set -uo pipefail
: "${OUT:?expected a folder for what comes back}"
STEP_SECONDS=${STEP_SECONDS:-240}
TRAIN_SECONDS=${TRAIN_SECONDS:-300}
# Preset, images in a step and compiler, the most wanted first.
STEPS=${STEPS:-"cifar10:256:xla cifar10_glow:256:xla cifar10:64:xla cifar10_glow:1024:xla cifar10_glow:256:graph cifar10:256:graph"}
PRESET=${PRESET:-cifar10_glow}
BATCH_SIZE=${BATCH_SIZE:-256}
EPOCHS=${EPOCHS:-40}
FLAGS=${FLAGS:-}
DATA=${DATA_DIR:+--data_dir=$DATA_DIR}

cd "$(dirname "$0")/.." && mkdir -p "$OUT"
end=$((SECONDS + STEP_SECONDS))
for step in $STEPS; do
  IFS=: read -r preset batch_size compiler <<<"$step"
  left=$((end - SECONDS))
  ((left > 10)) || break
  timeout "$left" python3 -m benchmarks.step_gpu --preset="$preset" --batch_size="$batch_size" --compiler="$compiler" \
    --inference_batch_size="$batch_size" --dtype_policy=mixed_bfloat16 --repeats=10 $FLAGS \
    --output="$OUT/step_$preset.$batch_size.$compiler.md" || echo "no figure of $step"
done

run=runs/${PRESET}_gpu
PYTHONUNBUFFERED=1 timeout --signal=TERM "$TRAIN_SECONDS" python3 -m launch.train --preset="$PRESET" \
  --batch_size="$BATCH_SIZE" --schedule=constant --epochs="$EPOCHS" --checkpoint_every=200 $DATA --output_dir="$run" --verbose=2
# One that was stopped in its first epoch has no best checkpoint, and nothing to carry.
python3 -m benchmarks.carry --output_dir="$run" --pieces="$OUT"
