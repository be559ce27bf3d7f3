#!/usr/bin/env bash
# Prints the TF_CONFIG of one worker of several:
#
#   export TF_CONFIG=$(launch/cluster/tf_config.sh INDEX HOST:PORT HOST:PORT ...)
#
# INDEX is this worker's place, from 0, in the list of all workers, which every worker must give in the same order.
set -euo pipefail
if (($# < 2)) || ! [[ $1 =~ ^(0|[1-9][0-9]*)$ ]] || (($1 >= $# - 1)); then
  echo "expected an index from 0 and the address of more workers than that, got: $*" >&2
  exit 1
fi
index=$1
shift
printf -v workers ', "%s"' "$@"
printf '{"cluster": {"worker": [%s]}, "task": {"type": "worker", "index": %d}}\n' "${workers#, }" "$index"
