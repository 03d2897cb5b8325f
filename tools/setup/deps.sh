#!/usr/bin/env bash
# Finds what building (`build`), testing (`test`) or distilling (`finetune`) lacks on Debian or Ubuntu, says what it installs, installs it.
# Where nothing is missing it prints nothing and takes a fraction of a second.
set -euo pipefail
cd "$(dirname "$0")/../.."

purpose=${1:-}
case $purpose in
build | test | finetune) ;;
*) echo "usage: $0 build|test|finetune" >&2; exit 2 ;;
esac

missing=()   # Debian packages
runtime=yes  # the onnxruntime library is there
packages=yes # the Python packages of the tests are there

fail() {
	printf 'deps: %s\n' "$@" >&2
	exit 1
}

# need PACKAGE CHECK...: the package is missing where the check fails.
need() {
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}

find_build() {
	need gcc command -v gcc
	need g++ command -v g++
	need pkg-config command -v pkg-config
	need libopencv-dev pkg-config --exists opencv4
	need libavformat-dev pkg-config --exists libavformat
	need libavcodec-dev pkg-config --exists libavcodec
	need libavutil-dev pkg-config --exists libavutil
	need libswscale-dev pkg-config --exists libswscale
	need libturbojpeg0-dev pkg-config --exists libturbojpeg
	find_go
	if ! tools/setup/onnxruntime.sh check; then
		runtime=no
		need python3-pip python3 -m pip --version
	fi
}

find_test() {
	need "$(browser_package)" browser
	need ffmpeg command -v ffmpeg
	need shellcheck command -v shellcheck
	if ! tools/setup/python.sh check; then
		packages=no
		need python3-venv python3 -c 'import ensurepip, venv'
	fi
}

# PyTorch is the distribution's: the one of PyPI brings gigabytes of CUDA.
find_finetune() {
	need python3-torch /usr/bin/python3 -c 'import torch'
	need python3-venv /usr/bin/python3 -c 'import ensurepip, venv'
}

browser_package() { if grep -qx 'ID=ubuntu' /etc/os-release; then echo chromium-browser; else echo chromium; fi; }
browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

# A distribution's Go will do where it can fetch the version that go.mod names (from 1.21 on).
find_go() {
	command -v go >/dev/null && return
	local offered
	offered=$(apt-cache policy golang-go 2>/dev/null | awk '/Candidate:/ {print $2}')
	if [ -n "$offered" ] && dpkg --compare-versions "${offered#*:}" ge 1.21; then
		missing+=(golang-go)
	else
		fail "Go is missing, and this system offers none that is new enough (${offered:-none}; $(wanted_go) is needed)" \
			"install it as go.dev/doc/install says, put it on PATH, and run make again"
	fi
}

wanted_go() { awk '$1 == "go" {print "Go " $2}' go.mod; }

check_go() {
	local said
	said=$(go env GOVERSION 2>&1) && return
	fail "$said" "$(wanted_go) is needed: set GOTOOLCHAIN=auto so that your Go fetches it, or install it as go.dev/doc/install says"
}

install_missing() {
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null ||
		fail "these Debian packages, or what your system calls them, are missing: ${missing[*]}"
	local as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null ||
			fail "sudo is missing; as root, run: apt-get install --no-install-recommends ${missing[*]}"
		as_root=(sudo)
	fi
	echo "deps: installing by apt-get: ${missing[*]}"
	local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
	"${apt[@]}" update || fail "apt-get update failed; its own words are above"
	"${apt[@]}" install --no-install-recommends -y "${missing[@]}" >/dev/null ||
		fail "apt-get install failed; its own words are above"
}

find_build
[ "$purpose" = build ] || "find_$purpose"
install_missing
check_go
[ "$runtime" = yes ] || tools/setup/onnxruntime.sh fetch
[ "$packages" = yes ] || tools/setup/python.sh install
[ "$purpose" != finetune ] ||
	tools/setup/python.sh install finetune tools/finetune/requirements.txt /usr/bin/python3 --system-site-packages
