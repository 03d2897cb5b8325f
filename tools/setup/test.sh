#!/usr/bin/env bash
# Runs every Go test and says which did not run and why. With CI=true a test that did not run is a failure, unless it is for
# want of a GPU. $TAGS: build tags; $TESTFLAGS: more flags for `go test`.
set -euo pipefail
cd "$(dirname "$0")/../.."

runner=gotest.tools/gotestsum@v1.13.0
# Where our own goroutines share state. Elsewhere the race detector would mostly watch C code, at ten times the cost.
raced='/(pipeline/bus|ingest|sinks|detect/track)$'
read -ra more <<<"${TESTFLAGS:-}"
# The cache does not see files outside the module, so it cannot tell that data came or went.
[ "${CI:-}" != true ] || more+=(-count=1)
packages=$(go list -tags "$TAGS" ./...)
mkdir -p bin
rm -f bin/test*.json
status=0

# run NAME GREP-FLAGS FLAGS...: tests the packages that grep keeps.
run() {
	local log=bin/$1.json kept
	mapfile -t kept < <(grep "$2" "$raced" <<<"$packages")
	shift 2
	[ ${#kept[@]} -gt 0 ] || return 0
	go run "$runner" --format pkgname-and-test-fails --jsonfile "$log" -- \
		-tags "$TAGS" -timeout 14m "$@" "${more[@]}" "${kept[@]}" || status=1
}

# The events of `go test -json` come in order: a test says why it skips, then it has skipped.
unexcused_skips() {
	awk 'match($0, /"Package":"[^"]*","Test":"[^"]*"/) { test = substr($0, RSTART, RLENGTH) }
		/no GPU here/ { excused[test] }
		/"Action":"skip"/ && /"Test":/ && !(test in excused) { gsub(/"(Package|Test)":|"/, "", test); print "  " test }' bin/test*.json
}

run test-race -E -race
run test -vE
skips=$(unexcused_skips)
if [ "${CI:-}" = true ] && [ -n "$skips" ]; then
	printf 'test: these did not run, and must (the reasons are above):\n%s\n' "$skips" >&2
	status=1
fi
exit $status
