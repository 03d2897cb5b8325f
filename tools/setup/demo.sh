#!/usr/bin/env bash
# Starts everything in one process on $SOURCE, or on the demo clip, with $MODEL or the shipped one. Its streams are kept in the cache.
set -euo pipefail
cd "$(dirname "$0")/../.."

source=${SOURCE:-$(tools/setup/clip.sh)}
export XDG_DATA_HOME=${XDG_CACHE_HOME:-$HOME/.cache}/sightline/demo
exec bin/sightline run --loop ${MODEL:+--model "$MODEL"} -- "$source"
