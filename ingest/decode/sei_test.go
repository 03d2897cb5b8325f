package decode_test

import (
	"testing"

	"github.com/sightline/sightline/ingest/decode/testclip"
)

// Cameras exist whose every picture carries a malformed SEI message; one that refuses those shows nothing for ever.
func TestMalformedSideInformationDoesNotBlindACamera(t *testing.T) {
	path := testclip.Make(t, "clip.h264", "testsrc2=size=320x180:rate=25:duration=4", testclip.H264)
	clean := decodeFile(t, path, 1, nil)
	junk := []byte{0, 0, 0, 1, 6, 5, 200, 1, 2, 3, 0x80}
	got := decodeFile(t, path, 1, func(_ int, data []byte) []byte { return append(junk, data...) })
	if len(got.pictures) < 30 {
		t.Fatalf("%d of %d pictures, %d damaged", len(got.pictures), len(clean.pictures), got.damaged)
	}
	for i, p := range got.pictures {
		if d := difference(p, clean.pictures[got.packets[i]]); d > 0 {
			t.Errorf("picture of packet %d differs by %.2f", got.packets[i], d)
		}
	}
}
