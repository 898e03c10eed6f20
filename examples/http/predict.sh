#!/bin/sh
# The faces in photos, by curl: a line of JSON a photo. `mien serve` must run.
#
#     sh examples/http/predict.sh http://127.0.0.1:8000 photo.jpg other.jpg
server=$1
shift
for photo; do set -- "$@" -F "file=@$photo"; shift; done
curl --silent --show-error --fail-with-body "$@" "$server/v1/predict"
