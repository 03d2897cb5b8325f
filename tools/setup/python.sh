#!/usr/bin/env bash
# The Python packages that tests use (never the program), pinned by tools/python-requirements.txt, in a virtual environment
# in the cache.   check: is each there in its version?   install: make it so
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${XDG_CACHE_HOME:-$HOME/.cache}/sightline/python
requirements=tools/python-requirements.txt

check() {
	[ -x "$folder/bin/python" ] && "$folder/bin/python" - "$requirements" <<-'PYTHON' 2>/dev/null
		import importlib.metadata, re, sys
		for line in open(sys.argv[1]):
		    pin = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", line)
		    if pin and importlib.metadata.version(pin[1]) != pin[2]:
		        sys.exit(1)
	PYTHON
}

install() {
	echo "deps: installing the Python packages of $requirements into $folder"
	# --clear: an environment of a Python that is gone cannot be mended.
	python3 -m venv --clear "$folder"
	"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r "$requirements"
}

case ${1:-} in
check) check ;;
install) check || install ;;
*) echo "usage: $0 check|install" >&2; exit 2 ;;
esac
