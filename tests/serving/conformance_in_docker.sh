#!/usr/bin/env bash
# The conformance tests of the serving API against TensorFlow Serving's own image:
#
#   bash tests/serving/conformance_in_docker.sh [ARGUMENTS OF PYTEST...]
#
# Exports the toy models, starts the image with them, tells the tests where it is. IMAGE is another
# image (with its digest, say), PYTHON another interpreter. Exit code 77 where there is no Docker.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${IMAGE:-tensorflow/serving:2.15.1}
python=${PYTHON:-.venv/bin/python}

skip() {
  echo "skipped: $1" >&2
  exit 77
}
command -v docker >/dev/null || skip "there is no program docker"
docker info >/dev/null 2>&1 || skip "docker info fails: no Docker daemon that we may use"

folder=$(mktemp -d)
container=
finish() {
  status=$?
  if [ -n "$container" ]; then
    [ $status -eq 0 ] || docker logs --tail 50 "$container" >&2
    docker rm --force "$container" >/dev/null
  fi
  rm -rf "$folder"
  exit $status
}
trap finish EXIT
chmod 755 "$folder" # for the image's user

# At the same place inside: models.config holds absolute paths.
"$python" -m tests.serving.toy_models "$folder/models"
container=$(docker run --detach --publish 127.0.0.1::8500 --publish 127.0.0.1::8501 \
  --volume "$folder:$folder:ro" --entrypoint tensorflow_model_server "$image" \
  --port=8500 --rest_api_port=8501 --model_config_file="$folder/models/models.config")
TF_SERVING_ADDRESS=$(docker port "$container" 8500/tcp)
TF_SERVING_REST_ADDRESS=$(docker port "$container" 8501/tcp)
export TF_SERVING_ADDRESS TF_SERVING_REST_ADDRESS
"$python" -m pytest -n 0 tests/serving/server/test_conformance.py tests/serving/server/test_rest_conformance.py \
  -k tensorflow_serving "$@"
