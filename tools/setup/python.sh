#!/usr/bin/env bash
# Python packages (never of the program) in a virtual environment in the cache: those of the tests, pinned by
# tools/python-requirements.txt, or those of a tool.   check: is each there in its version?   install: make it so
#   python.sh check|install [NAME REQUIREMENTS [PYTHON [FLAG OF VENV…]]]
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${XDG_CACHE_HOME:-$HOME/.cache}/sightline/${2:-python}
requirements=${3:-tools/python-requirements.txt}
python=${4:-python3}

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
	"$python" -m venv --clear "${@:5}" "$folder"
	"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r "$requirements"
}

case ${1:-} in
check) check ;;
install) check || install "$@" ;;
*) echo "usage: $0 check|install [NAME REQUIREMENTS [PYTHON [FLAG…]]]" >&2; exit 2 ;;
esac
