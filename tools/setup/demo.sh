#!/usr/bin/env bash
# Starts everything in one process on $SOURCE, or on the demo clip, with $MODEL. Its streams are kept in the cache.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -z "${MODEL:-}" ]; then
	echo "demo: no model: there is none under models/ and no ../shared/data/models/yolox_nano.onnx; name one: make demo MODEL=yolox_nano.onnx" >&2
	exit 1
elif [ ! -r "$MODEL" ]; then
	echo "demo: cannot read the model $MODEL; name another: make demo MODEL=yolox_nano.onnx" >&2
	exit 1
fi
source=${SOURCE:-$(tools/setup/clip.sh)}
export XDG_DATA_HOME=${XDG_CACHE_HOME:-$HOME/.cache}/sightline/demo
exec bin/sightline run --loop --model "$MODEL" -- "$source"
