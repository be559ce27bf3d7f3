#!/usr/bin/env bash
# Serves saved_models/ with TensorFlow Serving in Docker: REST on port 8501, gRPC on 8500.
#
#   launch/serving/docker.sh                                                  without batching: all signatures
#   launch/serving/docker.sh --enable_batching --batching_parameters_file=/config/batching_parameters.txt
#
# MODELS names another folder, whose models are those of models.config; IMAGE another image.
set -euo pipefail
cd "$(dirname "$0")/../.."

exec docker run --rm --publish 8500:8500 --publish 8501:8501 \
  --volume "$(realpath "${MODELS:-saved_models}"):/models:ro" \
  --volume "$PWD/launch/serving:/config:ro" \
  --entrypoint tensorflow_model_server \
  "${IMAGE:-tensorflow/serving:latest}" \
  --port=8500 --rest_api_port=8501 \
  --model_config_file=/config/models.config --model_config_file_poll_wait_seconds=60 \
  "$@"
