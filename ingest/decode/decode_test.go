package decode_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/pipeline/picture"
)

// planes returns heap planes with the given padding at the end of rows.
func planes(w, h, padding int) *picture.I420 {
	cw, ch := (w+1)/2, (h+1)/2
	return &picture.I420{
		Width: w, Height: h, StrideY: w + padding, StrideC: cw + padding,
		Y: make([]byte, (w+padding)*h), U: make([]byte, (cw+padding)*ch), V: make([]byte, (cw+padding)*ch),
	}
}

// clip is a decoded file.
type clip struct {
	pictures []*picture.I420
	times    []time.Duration
	packets  []int64 // which packet each picture came from
	damaged  uint64
}

// openClip opens a file and its decoder, for the caller to close.
func openClip(t testing.TB, path string, threads int) (*decode.Demuxer, *decode.Decoder) {
	t.Helper()
	demuxer, err := decode.OpenFile(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := decode.Open(demuxer.Parameters(), threads)
	if err != nil {
		demuxer.Close()
		t.Fatal(err)
	}
	return demuxer, decoder
}

// feed gives a decoder all packets of a file, numbered, as packet makes them of what was read, and has what comes out received.
func feed(t *testing.T, demuxer *decode.Demuxer, decoder *decode.Decoder, packet func(n int, p *decode.Packet) []byte, receive func()) {
	t.Helper()
	var p decode.Packet
	for n := 0; ; n++ {
		ok, err := demuxer.Read(context.Background(), &p)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if err := decoder.Send(packet(n, &p), int64(n)); err != nil {
			t.Fatal(err)
		}
		receive()
	}
	if err := decoder.Drain(); err != nil {
		t.Fatal(err)
	}
	receive()
	decoder.Restart()
}

// decodeFile decodes a whole file. mangle, where given, may change a packet or, by returning nil, take it out.
func decodeFile(t *testing.T, path string, threads int, mangle func(n int, data []byte) []byte) clip {
	t.Helper()
	demuxer, decoder := openClip(t, path, threads)
	defer demuxer.Close()
	defer decoder.Close()
	var out clip
	var times []time.Duration
	packet := func(n int, p *decode.Packet) []byte {
		times = append(times, p.PTS)
		data := slices.Clone(p.Data)
		if mangle != nil {
			data = mangle(n, data)
		}
		return data
	}
	feed(t, demuxer, decoder, packet, func() {
		for {
			var got *picture.I420
			ok, pts, _, err := decoder.Next(func(w, h int) (*picture.I420, error) {
				got = planes(w, h, 3)
				return got, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			out.pictures = append(out.pictures, got)
			out.packets = append(out.packets, pts)
			out.times = append(out.times, times[pts])
		}
	})
	out.damaged = decoder.Damaged()
	return out
}

// difference is the mean absolute difference of two pictures' luma.
func difference(a, b *picture.I420) float64 {
	var sum int
	for y := range a.Height {
		for x := range a.Width {
			d := int(a.Y[y*a.StrideY+x]) - int(b.Y[y*b.StrideY+x])
			sum += max(d, -d)
		}
	}
	return float64(sum) / float64(a.Width*a.Height)
}

func TestEveryCodecIsDecodedInDisplayOrder(t *testing.T) {
	for name, output := range map[string]string{
		"h264.mp4":    testclip.Lossless,
		"bframes.mp4": "-c:v libx264 -qp 0 -g 12 -bf 3 -pix_fmt yuv420p",
		"h264.mkv":    testclip.Lossless,
		"h264.ts":     testclip.Lossless,
		"h264.h264":   testclip.Lossless,
		"hevc.mp4":    "-c:v libx265 -x265-params log-level=none -crf 8 -g 10 -pix_fmt yuv420p",
		"vp8.webm":    "-c:v libvpx -b:v 2M -g 10 -pix_fmt yuv420p",
		"vp9.webm":    "-c:v libvpx-vp9 -b:v 2M -g 10 -pix_fmt yuv420p",
		"av1.mkv":     "-c:v libaom-av1 -cpu-used 8 -crf 20 -g 10 -pix_fmt yuv420p",
		"mjpeg.avi":   "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p",
		"mpeg4.avi":   "-c:v mpeg4 -q:v 2 -g 10 -pix_fmt yuv420p",
		"mpeg4b.mkv":  "-c:v mpeg4 -q:v 2 -g 10 -bf 2 -pix_fmt yuv420p",
		"mpeg2.mpg":   "-c:v mpeg2video -q:v 2 -g 10 -pix_fmt yuv420p",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decodeFile(t, testclip.Counter(t, name, 40, 25, output), 1, nil)
			if len(got.pictures) != 40 || got.damaged != 0 {
				t.Fatalf("%d pictures, %d damaged, want 40 and 0", len(got.pictures), got.damaged)
			}
			for i, p := range got.pictures {
				if n := testclip.CounterOf(luma(p)); n != i {
					t.Fatalf("picture %d is frame %d (luma %d)", i, n, luma(p))
				}
			}
			known := slices.DeleteFunc(got.times, func(d time.Duration) bool { return d == decode.NoTime })
			if !slices.IsSorted(known) {
				t.Errorf("times are not in display order: %v", known)
			}
		})
	}
}

// luma returns the middle pixel's luma, in limited range.
func luma(p *picture.I420) byte {
	y := p.Y[p.Height/2*p.StrideY+p.Width/2]
	if p.FullRange {
		return byte((int(y)*219+127)/255 + 16)
	}
	return y
}
