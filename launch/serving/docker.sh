#!/usr/bin/env bash
# Serves the released models with TensorFlow Serving in Docker: REST on port 8501, gRPC on 8500, for this machine alone. The server
# has neither passwords nor encryption: put a proxy that has both before it, rather than publish its ports to a network.
#
#   launch/serving/docker.sh                                                  without batching: all signatures
#   launch/serving/docker.sh --enable_batching --batching_parameters_file=/config/batching_parameters.txt
#
# MODELS names another folder, whose models are those of models.config; IMAGE another image; MEMORY another limit.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
models=$root/saved_models
[[ -d $models ]] || models=$root/tfp_realnvp/saved_models # Where the package is installed.
models=$(realpath "${MODELS:-$models}")

exec docker run --rm --publish 127.0.0.1:8500:8500 --publish 127.0.0.1:8501:8501 \
  --memory "${MEMORY:-4g}" --user 65534:65534 --cap-drop ALL --security-opt no-new-privileges --read-only \
  --volume "$models:/models:ro" \
  --volume "$root/launch/serving:/config:ro" \
  --entrypoint tensorflow_model_server \
  "${IMAGE:-tensorflow/serving:2.20.0}" \
  --port=8500 --rest_api_port=8501 \
  --model_config_file=/config/models.config --model_config_file_poll_wait_seconds=60 \
  "$@"
