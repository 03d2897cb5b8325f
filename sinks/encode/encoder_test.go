package encode

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/picture"
)

// flat is a picture of one colour. Its planes are made here so that strides are wider than the picture.
func flat(w, h int, y, u, v byte) *picture.I420 {
	sy, sc := w+32, w/2+16
	return &picture.I420{Width: w, Height: h, StrideY: sy, StrideC: sc,
		Y: bytes.Repeat([]byte{y}, sy*h), U: bytes.Repeat([]byte{u}, sc*h/2), V: bytes.Repeat([]byte{v}, sc*h/2)}
}

// textured is a picture that costs bits and differs with n.
func textured(w, h, n int) *picture.I420 {
	p := flat(w, h, 128, 128, 128)
	for y := range h {
		row := p.Y[y*p.StrideY:]
		for x := range w {
			row[x] = byte(x*y>>3 + n*5 + x)
		}
	}
	return p
}

// decode lets ffmpeg, a decoder that is not ours, read the stream back as raw I420 in the stream's own range.
func decode(t *testing.T, annexB []byte) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", "h264", "-i", "-", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
	cmd.Stdin = bytes.NewReader(annexB)
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg (install package ffmpeg): %v: %s", err, fault.String())
	}
	return out.Bytes()
}

func open(t testing.TB, cfg Config) *Encoder {
	t.Helper()
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// units are the NAL unit types of an access unit.
func units(annexB []byte) (types []int) {
	for i := 0; i+3 < len(annexB); i++ {
		if annexB[i] == 0 && annexB[i+1] == 0 && annexB[i+2] == 1 {
			types = append(types, int(annexB[i+3]&31))
		}
	}
	return types
}

func count(list []int, v int) (n int) {
	for _, x := range list {
		if x == v {
			n++
		}
	}
	return n
}

func TestEachPictureGivesOneAccessUnitAtOnce(t *testing.T) {
	e := open(t, Config{Width: 320, Height: 240})
	for i := range 30 {
		unit, key, err := e.Encode(textured(320, 240, i), time.Duration(i)*40*time.Millisecond, false, nil)
		if err != nil || len(unit) == 0 {
			t.Fatalf("picture %d: %d bytes, %v", i, len(unit), err)
		}
		if key != (i == 0) {
			t.Errorf("picture %d: key %v", i, key)
		}
	}
}

func TestForcedKeyFramesCarryParameterSets(t *testing.T) {
	e := open(t, Config{Width: 320, Height: 240})
	for i := range 12 {
		force := i == 5 || i == 6
		unit, key, err := e.Encode(textured(320, 240, i), time.Duration(i)*time.Second/30, force, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := i == 0 || force; key != want {
			t.Errorf("picture %d: key %v, want %v", i, key, want)
		}
		types := units(unit)
		want := 0
		if key {
			want = 1
		}
		if count(types, 7) != want || count(types, 8) != want || count(types, 5) != want {
			t.Errorf("picture %d: NAL units %v, key %v", i, types, key)
		}
	}
}

func TestStreamIsConstrainedBaseline(t *testing.T) {
	e := open(t, Config{Width: 1280, Height: 720})
	unit, _, err := e.Encode(textured(1280, 720, 0), 0, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(unit, []byte{0, 0, 1, 0x67})
	if i < 0 {
		t.Fatalf("no sequence parameter set in %v", units(unit))
	}
	profile, constraints, level := unit[i+4], unit[i+5], unit[i+6]
	if profile != 66 || constraints&0x40 == 0 || level > 31 {
		t.Errorf("profile %d, constraints %#x, level %d: want 66 with constraint_set1, level 3.1 at most", profile, constraints, level)
	}
}

func TestBitrateIsKept(t *testing.T) {
	e := open(t, Config{Width: 640, Height: 360, FPS: 25, BitrateKbps: 800})
	total := 0
	for i := range 75 {
		unit, _, err := e.Encode(textured(640, 360, i*i), time.Duration(i)*40*time.Millisecond, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		total += len(unit)
	}
	if kbps := total * 8 / 3 / 1000; kbps > 1200 { // one second of buffer may be spent at once
		t.Errorf("%d kb/s, want 800 and at most one buffer more", kbps)
	}
}

func TestFullRangePicturesLookLikeLimitedOnes(t *testing.T) {
	limited, full := flat(64, 64, 101, 90, 170), flat(64, 64, 99, 85, 176) // the same colour in both ranges
	full.FullRange = true
	for name, pic := range map[string]*picture.I420{"limited": limited, "full": full} {
		e := open(t, Config{Width: 64, Height: 64, BitrateKbps: 2000})
		unit, _, err := e.Encode(pic, 0, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw := decode(t, unit)
		if len(raw) != 64*64*3/2 {
			t.Fatalf("%s: %d bytes decoded", name, len(raw))
		}
		got := [3]byte{raw[0], raw[64*64], raw[64*64*5/4]}
		for i, want := range [3]byte{101, 90, 170} {
			if d := int(got[i]) - int(want); d < -2 || d > 2 {
				t.Errorf("%s: colour %v, want 101 90 170", name, got)
			}
		}
	}
}

func TestStreamSaysItsColours(t *testing.T) {
	for matrix, want := range map[picture.Matrix]string{picture.BT601: "smpte170m", picture.BT709: "bt709"} {
		e := open(t, Config{Width: 64, Height: 64, Matrix: matrix})
		pic := flat(64, 64, 100, 100, 100)
		pic.Matrix = matrix
		unit, _, err := e.Encode(pic, 0, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("ffprobe", "-v", "error", "-show_entries", "stream=color_range,color_space,profile", "-of", "csv=p=0", "-f", "h264", "-i", "-")
		cmd.Stdin = bytes.NewReader(unit)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ffprobe (install package ffmpeg): %v", err)
		}
		if s := strings.TrimSpace(string(out)); s != "Constrained Baseline,tv,"+want {
			t.Errorf("matrix %d: stream says %q", matrix, s)
		}
	}
}

func TestBadUse(t *testing.T) {
	for _, size := range [][2]int{{0, 0}, {15, 16}, {641, 360}, {640, 361}, {8194, 16}} {
		if _, err := Open(Config{Width: size[0], Height: size[1]}); err == nil {
			t.Errorf("size %v was accepted", size)
		}
	}
	_, err := Open(Config{Width: 64, Height: 64, Encoder: "no_such_encoder"})
	if err == nil || !strings.Contains(err.Error(), "no_such_encoder (not in this libavcodec)") {
		t.Errorf("missing encoder: %v", err)
	}
	if _, err := Open(Config{Width: 64, Height: 64, Encoder: "mpeg4"}); err == nil {
		t.Error("an encoder of another codec was accepted")
	}
	e := open(t, Config{Width: 64, Height: 64})
	if _, _, err := e.Encode(flat(32, 64, 0, 0, 0), 0, false, nil); err == nil {
		t.Error("a picture of another size was accepted")
	}
	short := flat(64, 64, 0, 0, 0)
	short.U = short.U[:100]
	if _, _, err := e.Encode(short, 0, false, nil); err == nil {
		t.Error("a short plane was accepted")
	}
	e.Close()
	if _, _, err := e.Encode(flat(64, 64, 0, 0, 0), 0, false, nil); err == nil {
		t.Error("a closed encoder encoded")
	}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	e := open(t, Config{Width: 320, Height: 240})
	pic, dst, n := textured(320, 240, 0), make([]byte, 0, 1<<20), 0
	allocs := testing.AllocsPerRun(50, func() {
		n++
		if _, _, err := e.Encode(pic, time.Duration(n)*time.Millisecond*40, false, dst); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a picture", allocs)
	}
}

func TestVersion(t *testing.T) {
	major, _, _ := strings.Cut(Version(), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 59 {
		t.Errorf("libavcodec %s", Version())
	}
}

func TestBitrateGrowsWithSize(t *testing.T) {
	last := 0
	for _, s := range [][2]int{{16, 16}, {320, 180}, {640, 360}, {1280, 720}, {1920, 1080}, {3840, 2160}} {
		b := BitrateFor(s[0], s[1])
		if b <= last {
			t.Errorf("%v: %d kb/s, smaller pictures get %d", s, b, last)
		}
		last = b
	}
	if b := BitrateFor(1280, 720); b != 2500 {
		t.Errorf("1280x720: %d kb/s", b)
	}
}

func BenchmarkEncode720p(b *testing.B) {
	for _, full := range []bool{false, true} {
		name := "limited"
		if full {
			name = "full"
		}
		b.Run(name, func(b *testing.B) {
			e := open(b, Config{Width: 1280, Height: 720})
			pics := []*picture.I420{textured(1280, 720, 0), textured(1280, 720, 1)}
			pics[0].FullRange, pics[1].FullRange = full, full
			dst := make([]byte, 0, 1<<20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, _, err := e.Encode(pics[i%2], time.Duration(i)*time.Second/25, false, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
