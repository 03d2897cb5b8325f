package decode_test

import (
	"bytes"
	"slices"
	"syscall"
	"testing"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/pipeline/picture"
)

// lender has memory for places, each followed by a guard, and knows what lies in them.
type lender struct {
	t       *testing.T
	decoder *decode.Decoder
	width   int
	height  int
	free    []*picture.I420
	lent    map[int]*picture.I420
	shown   map[int][]byte // luma of pictures that came out, until their place is back
	placed  int
	guards  [][]byte
}

const guard = 4096

// newLender maps so many places for pictures of a size.
func newLender(t *testing.T, d *decode.Decoder, places, width, height int) *lender {
	t.Helper()
	l := &lender{t: t, decoder: d, width: width, height: height, lent: map[int]*picture.I420{}, shown: map[int][]byte{}}
	for range places {
		l.free = append(l.free, l.place())
	}
	return l
}

func (l *lender) place() *picture.I420 {
	l.t.Helper()
	sy, rows := (l.width+127)/128*128, (l.height+31)/32*32+4
	roomY, roomC := sy*rows, sy*rows/4
	memory, err := syscall.Mmap(-1, 0, roomY+2*roomC+guard, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = syscall.Munmap(memory) })
	for i := roomY + 2*roomC; i < len(memory); i++ {
		memory[i] = 0xA5
	}
	l.guards = append(l.guards, memory[roomY+2*roomC:])
	ch := (l.height + 1) / 2
	return &picture.I420{
		Width: l.width, Height: l.height, StrideY: sy, StrideC: sy / 2,
		Y: memory[: sy*l.height : roomY], U: memory[roomY:][: sy/2*ch : roomC], V: memory[roomY+roomC:][: sy/2*ch : roomC],
	}
}

// refill takes back and lends.
func (l *lender) refill() {
	l.t.Helper()
	for i, ok := l.decoder.Back(); ok; i, ok = l.decoder.Back() {
		p := l.lent[i]
		if was, out := l.shown[i]; out && !bytes.Equal(was, p.Y) {
			l.t.Error("a place was written again before it was back")
		}
		delete(l.shown, i)
		delete(l.lent, i)
		l.free = append(l.free, p)
	}
	for len(l.free) > 0 && l.decoder.Lent() < 2 {
		place, ok := l.decoder.Lend(l.free[0])
		if !ok {
			l.t.Fatal("no place is taken")
		}
		l.lent[place], l.free = l.free[0], l.free[1:]
	}
}

// picture gives what the decoder holds, from its place or copied.
func (l *lender) picture(p decode.Picture) *picture.I420 {
	l.t.Helper()
	if p.Place < 0 {
		got := planes(p.Width, p.Height, 3)
		if err := l.decoder.CopyTo(got); err != nil {
			l.t.Fatal(err)
		}
		return got
	}
	l.placed++
	lies := l.lent[p.Place]
	l.shown[p.Place] = bytes.Clone(lies.Y)
	got := *lies
	got.Y, got.U, got.V = l.shown[p.Place], bytes.Clone(lies.U), bytes.Clone(lies.V)
	got.Matrix, got.FullRange = p.Matrix, p.FullRange
	return &got
}

func (l *lender) checkGuards() {
	l.t.Helper()
	for _, g := range l.guards {
		if bytes.Count(g, []byte{0xA5}) != len(g) {
			l.t.Error("something was written behind a place")
		}
	}
}

// decodeInPlaces decodes a file into places of a size.
func decodeInPlaces(t *testing.T, path string, threads, places, width, height int) (pictures []*picture.I420, placed int) {
	t.Helper()
	demuxer, decoder := openClip(t, path, threads)
	defer demuxer.Close()
	defer decoder.Close()
	l := newLender(t, decoder, places, width, height)
	packet := func(_ int, p *decode.Packet) []byte {
		l.refill()
		return p.Data
	}
	feed(t, demuxer, decoder, packet, func() {
		for {
			p, ok, err := decoder.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			pictures = append(pictures, l.picture(p))
		}
	})
	decoder.Recall()
	l.refill()
	l.checkGuards()
	if threads == 1 && decoder.ProcessorTime() <= 0 {
		t.Error("decoding took no time")
	}
	return pictures, l.placed
}

// TestPlacesGiveTheSamePictures as memory of the decoder, which is taken where there are no places; and nothing is written outside them.
func TestPlacesGiveTheSamePictures(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		never  bool // whether libavcodec takes no places
	}{
		"h264.mp4":  {output: "-c:v libx264 -preset medium -g 12 -bf 3 -pix_fmt yuv420p"},
		"hevc.mp4":  {output: "-c:v libx265 -x265-params log-level=none -g 12 -pix_fmt yuv420p"},
		"vp8.webm":  {output: "-c:v libvpx -b:v 2M -g 10 -pix_fmt yuv420p"},
		"vp9.webm":  {output: "-c:v libvpx-vp9 -b:v 2M -g 10 -pix_fmt yuv420p"},
		"mjpeg.avi": {output: "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"},
		"mpeg4.mkv": {output: "-c:v mpeg4 -q:v 2 -g 10 -bf 2 -pix_fmt yuv420p"},
		"mpeg2.mpg": {output: "-c:v mpeg2video -q:v 2 -g 10 -pix_fmt yuv420p"},
		"422.mkv":   {output: "-c:v libx264 -g 12 -pix_fmt yuv422p", never: true},
	} {
		for _, size := range []string{"320x192", "322x182", "130x98"} {
			t.Run(name+" "+size, func(t *testing.T) {
				t.Parallel()
				path := testclip.Make(t, name, "testsrc2=size="+size+":rate=25:duration=1.2", c.output)
				want := decodeFile(t, path, 1, nil)
				w, h := want.pictures[0].Width, want.pictures[0].Height
				for _, threads := range []int{1, 3} {
					for _, places := range []int{16, 4, 0} {
						got, placed := decodeInPlaces(t, path, threads, places, w, h)
						if len(got) != len(want.pictures) {
							t.Fatalf("%d threads, %d places: %d pictures, want %d", threads, places, len(got), len(want.pictures))
						}
						for i := range got {
							if !same(got[i], want.pictures[i]) || got[i].Matrix != want.pictures[i].Matrix || got[i].FullRange != want.pictures[i].FullRange {
								t.Fatalf("%d threads, %d places: picture %d is another one", threads, places, i)
							}
						}
						if all := placed == len(got); places == 16 && all == c.never || places == 0 && placed > 0 || c.never && placed > 0 {
							t.Errorf("%d threads, %d places: %d of %d pictures lie in places", threads, places, placed, len(got))
						}
					}
				}
			})
		}
	}
}

// same tells whether two pictures of a size have the same pixels.
func same(a, b *picture.I420) bool {
	equal := func(a, b []byte, strideA, strideB, w, h int) bool {
		for y := range h {
			if !bytes.Equal(a[y*strideA:][:w], b[y*strideB:][:w]) {
				return false
			}
		}
		return true
	}
	cw, ch := (a.Width+1)/2, (a.Height+1)/2
	return equal(a.Y, b.Y, a.StrideY, b.StrideY, a.Width, a.Height) && equal(a.U, b.U, a.StrideC, b.StrideC, cw, ch) && equal(a.V, b.V, a.StrideC, b.StrideC, cw, ch)
}

// TestPlacesOfAnotherSizeAreLeftAlone, and come back when they are recalled.
func TestPlacesOfAnotherSizeAreLeftAlone(t *testing.T) {
	path := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	if _, placed := decodeInPlaces(t, path, 1, 8, 96, 64); placed != 0 {
		t.Errorf("%d pictures lie in places of another size", placed)
	}
	decoder, err := decode.Open(&decode.Parameters{Codec: "h264"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	p := newLender(t, decoder, 1, 96, 64).free[0]
	var places []int
	for place, ok := decoder.Lend(p); ok; place, ok = decoder.Lend(p) {
		places = append(places, place)
	}
	slices.Sort(places)
	if len(places) != decode.Places || places[0] != 0 || places[len(places)-1] != decode.Places-1 || decoder.Lent() != decode.Places {
		t.Errorf("places %v were lent", places)
	}
	if _, ok := decoder.Back(); ok {
		t.Error("a place came back that nobody recalled")
	}
	decoder.Recall()
	back := 0
	for _, ok := decoder.Back(); ok; _, ok = decoder.Back() {
		back++
	}
	if back != decode.Places {
		t.Errorf("%d places came back", back)
	}
}
