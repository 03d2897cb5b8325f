#!/usr/bin/env bash
# Prints the path of the demo clip, 80 s of pedestrians at 768x576, and fetches it first where it is not in the cache: from the
# Debian package that carries it, which is not installed.
set -euo pipefail

sha256=45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf
member=./usr/share/doc/opencv-doc/examples/data/vtest.avi
folder=${XDG_CACHE_HOME:-$HOME/.cache}/sightline/clips
clip=$folder/vtest.avi

whole() { echo "$sha256  $1" | sha256sum --check --status 2>/dev/null; }

# A system whose package lists were never read gets them first.
download() {
	apt-get -qq download opencv-doc 2>/dev/null && return
	local as_root=()
	[ "$(id -u)" -eq 0 ] || as_root=(sudo)
	"${as_root[@]}" apt-get -qq update && apt-get -qq download opencv-doc
}

fetch() {
	echo "demo: fetching the clip by its Debian package opencv-doc (95 MB, once) into $folder" >&2
	mkdir -p "$folder"
	work=$(mktemp -d "$folder/fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && download) >&2 || {
		echo "demo: the package opencv-doc cannot be had here; play something of your own: make demo SOURCE=clip.mp4" >&2
		exit 1
	}
	dpkg-deb --fsys-tarfile "$work"/opencv-doc_*.deb | tar -x -C "$work" "$member"
	whole "$work/$member" || {
		echo "demo: the clip in this system's opencv-doc is not the one with sha256 $sha256; use make demo SOURCE=clip.mp4" >&2
		exit 1
	}
	mv -f "$work/$member" "$clip"
}

whole "$clip" || fetch
echo "$clip"
