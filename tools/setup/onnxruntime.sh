#!/usr/bin/env bash
# The pinned onnxruntime library, in a cache that outlives the checkout.
#   path: where it lies   check: is it there and whole?   fetch: get it from the Python wheel that carries it
set -euo pipefail

version=1.32.0
case $(uname -m) in
x86_64)
	platform=manylinux_2_28_x86_64
	wheel_sha256=99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8
	library_sha256=6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f
	;;
aarch64 | arm64)
	platform=manylinux_2_28_aarch64
	wheel_sha256=e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054
	library_sha256=49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a
	;;
*)
	echo "onnxruntime: no library is known for $(uname -m); build it and set SIGHTLINE_ONNXRUNTIME to its path" >&2
	exit 1
	;;
esac
name=libonnxruntime.so.$version
folder=${XDG_CACHE_HOME:-$HOME/.cache}/sightline/onnxruntime-$version
library=$folder/$name

whole() { echo "$library_sha256  $1" | sha256sum --check --status 2>/dev/null; }

fetch() {
	echo "deps: fetching onnxruntime $version into $folder"
	mkdir -p "$folder"
	work=$(mktemp -d "$folder/fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	echo "onnxruntime==$version --hash=sha256:$wheel_sha256" >"$work/requirements.txt"
	python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --dest "$work" \
		--python-version 3.12 --implementation cp --abi cp312 --platform "$platform" -r "$work/requirements.txt"
	python3 -m zipfile -e "$work"/*.whl "$work"
	whole "$work/onnxruntime/capi/$name" || {
		echo "onnxruntime: the library in the wheel does not have the sha256 $library_sha256; nothing was installed" >&2
		exit 1
	}
	chmod 755 "$work/onnxruntime/capi/$name"
	mv -f "$work/onnxruntime/capi/$name" "$library" # the same file system: never half a library under the final name
}

case ${1:-} in
path) echo "$library" ;;
check) whole "$library" ;;
fetch) whole "$library" || fetch ;;
*) echo "usage: $0 path|check|fetch" >&2; exit 2 ;;
esac
