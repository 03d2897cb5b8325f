package decode_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/ingest/decode/testclip"
)

// Whatever is done to some packets of an H.264 stream: what comes out is exactly what comes out of the whole stream, decoding
// goes on with the next key frame, and every picture is accounted for.
func TestNoDamagedPictureComesOut(t *testing.T) {
	var rng *rand.Rand
	ways := map[string]func(data []byte) []byte{
		"missing":   func([]byte) []byte { return nil },
		"truncated": func(data []byte) []byte { return data[:len(data)/2] },
		"flipped": func(data []byte) []byte {
			for range 40 {
				data[rng.IntN(len(data))] ^= byte(1 << rng.IntN(8))
			}
			return data
		},
		"overwritten": func(data []byte) []byte {
			for i := len(data) / 3; i < len(data)*2/3; i++ {
				data[i] = byte(rng.IntN(256))
			}
			return data
		},
	}
	for coding, output := range map[string]string{
		"camera":  "-c:v libx264 -preset medium -tune zerolatency -g 10 -pix_fmt yuv420p",
		"bframes": "-c:v libx264 -preset medium -g 10 -bf 2 -pix_fmt yuv420p",
	} {
		path := testclip.Make(t, coding+".mp4", testclip.Moving, output)
		clean := decodeFile(t, path, 1, nil)
		for way, damage := range ways {
			t.Run(coding+"/"+way, func(t *testing.T) {
				rng = rand.New(rand.NewPCG(1, uint64(len(way))))
				missing := 0
				got := decodeFile(t, path, 1, func(n int, data []byte) []byte {
					if n != 14 && n != 20 && n != 34 { // two inside of groups, and the key frame of one
						return data
					}
					if data = damage(data); len(data) == 0 {
						missing++
					}
					return data
				})
				compare(t, got, clean)
				if len(got.pictures) < 20 || slices.Max(got.packets) < 45 {
					t.Errorf("only %d pictures, the last of packet %d", len(got.pictures), slices.Max(got.packets))
				}
				if sum := len(got.pictures) + int(got.damaged) + missing; sum != 50 {
					t.Errorf("%d pictures + %d damaged + %d missing = %d, want 50", len(got.pictures), got.damaged, missing, sum)
				}
			})
		}
	}
}

// compare requires every picture of got to be the one of clean, to the bit.
func compare(t *testing.T, got, clean clip) {
	t.Helper()
	for i, p := range got.pictures {
		j := slices.Index(clean.packets, got.packets[i])
		if d := difference(p, clean.pictures[j]); d != 0 {
			t.Errorf("picture of packet %d differs by %.2f", got.packets[i], d)
		}
	}
}

func TestJoiningInTheMiddleWaitsForAKeyFrame(t *testing.T) {
	for name, output := range map[string]string{
		"h264.mp4":  testclip.H264,
		"hevc.mp4":  "-c:v libx265 -x265-params log-level=none:bframes=0 -g 10 -pix_fmt yuv420p",
		"vp8.webm":  "-c:v libvpx -b:v 1M -g 10 -pix_fmt yuv420p",
		"mpeg4.avi": "-c:v mpeg4 -q:v 4 -g 10 -pix_fmt yuv420p",
	} {
		t.Run(name, func(t *testing.T) {
			path := testclip.Make(t, name, testclip.Moving, output)
			clean := decodeFile(t, path, 1, nil)
			got := decodeFile(t, path, 1, func(n int, data []byte) []byte {
				if n < 13 {
					return nil
				}
				return data
			})
			if len(got.packets) == 0 || got.packets[0] != 20 || len(got.packets) != 30 || got.damaged != 7 {
				t.Fatalf("damaged %d, pictures of packets %v, want 20 to 49", got.damaged, got.packets)
			}
			compare(t, got, clean)
		})
	}
}

// A camera without key frames: every picture refreshes a part of itself.
func TestGradualRefreshRecovers(t *testing.T) {
	path := testclip.Make(t, "clip.h264", "testsrc2=size=320x180:rate=25:duration=4",
		"-c:v libx264 -preset ultrafast -tune zerolatency -x264-params intra-refresh=1:keyint=10 -pix_fmt yuv420p")
	clean := decodeFile(t, path, 1, nil)
	got := decodeFile(t, path, 1, func(n int, data []byte) []byte {
		if n == 30 {
			return nil
		}
		return data
	})
	if len(got.pictures) < 60 {
		t.Fatalf("%d of %d pictures: the stream was not picked up again", len(got.pictures), len(clean.pictures))
	}
	compare(t, got, clean)
}

func TestLostHoldsBackUntilTheNextKeyFrame(t *testing.T) {
	path := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	demuxer, decoder := openClip(t, path, 1)
	defer demuxer.Close()
	defer decoder.Close()
	var packet decode.Packet
	var out []int64
	for n := int64(0); n < 25; n++ {
		if ok, err := demuxer.Read(t.Context(), &packet); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if n == 4 {
			decoder.Lost()
		}
		if err := decoder.Send(packet.Data, n); err != nil {
			t.Fatal(err)
		}
		p, ok, err := decoder.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			out = append(out, p.PTS)
		}
	}
	want := []int64{0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}
	if !slices.Equal(out, want) || decoder.Damaged() != 6 {
		t.Fatalf("pictures %v, damaged %d", out, decoder.Damaged())
	}
}

// An H.265 picture whose reference is missing is not flagged by libavcodec.
func TestMissingReferencesOfH265(t *testing.T) {
	path := testclip.Make(t, "clip.mp4", testclip.Moving, "-c:v libx265 -x265-params log-level=none:ref=1:bframes=0 -g 10 -pix_fmt yuv420p")
	clean := decodeFile(t, path, 1, nil)
	got := decodeFile(t, path, 1, func(n int, data []byte) []byte {
		if n == 14 {
			return nil
		}
		return data
	})
	compare(t, got, clean)
	if len(got.pictures) != 44 || got.damaged != 5 {
		t.Errorf("%d pictures, %d damaged, want 44 and 5", len(got.pictures), got.damaged)
	}
}

func TestThreadsGiveTheSamePictures(t *testing.T) {
	path := testclip.Make(t, "clip.mp4", testclip.Moving, "-c:v libx264 -preset medium -g 10 -bf 2 -pix_fmt yuv420p")
	one, four := decodeFile(t, path, 1, nil), decodeFile(t, path, 4, nil)
	if !slices.Equal(one.packets, four.packets) {
		t.Errorf("pictures of packets %v, with one thread %v", four.packets, one.packets)
	}
	compare(t, four, one)
}

func FuzzDecoder(f *testing.F) {
	f.Add("h264", []byte{0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e}, []byte{0, 0, 0, 1, 0x65, 0x88, 0x84, 0})
	f.Add("h264", []byte{1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 1, 0x68}, []byte{0, 0, 0, 2, 0x65, 0x88})
	f.Add("hevc", []byte{}, []byte{0, 0, 0, 1, 0x40, 1, 0x0c})
	f.Add("vp8", []byte{}, []byte{0x10, 2, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f})
	f.Add("mjpeg", []byte{}, []byte{0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0xff, 0xdc, 0xff, 0xdc, 3, 1, 0x22, 0})
	f.Fuzz(func(t *testing.T, codec string, extradata, data []byte) {
		decoder, err := decode.Open(&decode.Parameters{Codec: codec, Extradata: extradata}, 1)
		if err != nil {
			return
		}
		defer decoder.Close()
		for n := range int64(3) {
			if err := decoder.Send(data, n); err != nil {
				return
			}
			for {
				p, ok, err := decoder.Receive()
				if err != nil || !ok {
					break
				}
				if p.Width > decode.MaxSide || p.Height > decode.MaxSide || p.Width*p.Height > decode.MaxPixels {
					t.Fatalf("a picture of %dx%d", p.Width, p.Height)
				}
				if err := decoder.CopyTo(planes(p.Width, p.Height, 0)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
