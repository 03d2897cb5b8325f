#!/usr/bin/env bash
# Runs every fuzz target for $FUZZTIME, one after the other, and stops at the first finding.
set -euo pipefail
cd "$(dirname "$0")/../.."

# `go test -list` prints the names of a package, then "ok", the package and a time.
targets=$(go test -tags "$TAGS" -list '^Fuzz' ./... | awk '/^Fuzz/ {name[++n] = $1} /^ok/ {for (i = 1; i <= n; i++) print name[i], $2; n = 0}')
while read -r name package; do
	echo "$package $name"
	go test -tags "$TAGS" -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-20s}" "$package"
done <<<"$targets"
