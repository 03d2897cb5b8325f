package decode_test

import (
	"strings"
	"testing"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/pipeline/picture"
)

// Every layout becomes I420 with the range and the matrix of the stream, whatever the alignment of the target.
func TestLayoutsMatrixAndRange(t *testing.T) {
	// A light grey-green: in RGB 40, 200, 120.
	const source = "color=color=0x28C878:size=98x50:rate=25:duration=0.4,format=rgb24,scale=out_color_matrix=%M:out_range=%R,format=%F,setparams=colorspace=%C:range=%R"
	const lossless = "-c:v ffv1 -colorspace %C -color_range %R"
	for _, c := range []struct {
		format, matrix string
		full           bool
	}{
		{"yuv420p", "bt709", false}, {"yuv420p", "bt601", true}, {"yuv422p", "bt709", true}, {"yuv444p", "bt601", false},
		{"yuv420p10le", "bt709", false}, {"yuv422p10le", "bt601", false}, {"yuv411p", "bt601", true},
	} {
		t.Run(c.format+" "+c.matrix, func(t *testing.T) {
			space, levels := "smpte170m", "tv"
			if c.matrix == "bt709" {
				space = "bt709"
			}
			if c.full {
				levels = "pc"
			}
			fill := strings.NewReplacer("%M", c.matrix, "%R", levels, "%F", c.format, "%C", space)
			got := decodeFile(t, testclip.Make(t, "clip.mkv", fill.Replace(source), fill.Replace(lossless)), 1, nil)
			if len(got.pictures) != 10 {
				t.Fatalf("%d pictures", len(got.pictures))
			}
			p := got.pictures[5]
			if (p.Matrix == picture.BT709) != (c.matrix == "bt709") || p.FullRange != c.full {
				t.Errorf("matrix %v, full range %v", p.Matrix, p.FullRange)
			}
			if r, g, b := toRGB(p, 49, 25); !near(r, 40) || !near(g, 200) || !near(b, 120) {
				t.Errorf("colour is %.0f %.0f %.0f, want 40 200 120", r, g, b)
			}
		})
	}
}

func TestGreyAndColourTables(t *testing.T) {
	got := decodeFile(t, testclip.Make(t, "grey.mkv", "color=color=0x808080:size=64x48:rate=25:duration=0.2,format=gray", "-c:v ffv1"), 1, nil)
	if p := got.pictures[0]; p.U[0] != 128 || p.V[0] != 128 {
		t.Errorf("grey has chroma %d %d", p.U[0], p.V[0])
	}
	got = decodeFile(t, testclip.Make(t, "clip.gif", "color=color=0x28C878:size=64x48:rate=10:duration=0.2", ""), 1, nil)
	if r, g, b := toRGB(got.pictures[0], 32, 24); r < 30 || r > 50 || g < 190 || g > 210 || b < 110 || b > 130 {
		t.Errorf("colour of the GIF is %.0f %.0f %.0f", r, g, b)
	}
}

// Slots of shared memory have aligned rows, where conversion writes straight into them; it must be the same picture.
func TestAlignedAndUnalignedTargetsGetTheSamePicture(t *testing.T) {
	path := testclip.Make(t, "clip.mkv", "testsrc2=size=322x182:rate=25:duration=0.1", "-c:v ffv1 -pix_fmt yuv422p")
	d, decoder := openClip(t, path, 1)
	defer d.Close()
	defer decoder.Close()
	var packet decode.Packet
	if ok, err := d.Read(t.Context(), &packet); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := decoder.Send(packet.Data, 0); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := decoder.Receive(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	tight, wide := planes(322, 182, 0), alignedPlanes(322, 182)
	for _, p := range []*picture.I420{tight, wide} {
		if err := decoder.CopyTo(p); err != nil {
			t.Fatal(err)
		}
	}
	if d := difference(tight, wide); d != 0 {
		t.Errorf("they differ by %.3f", d)
	}
	if err := decoder.CopyTo(planes(320, 182, 0)); err == nil {
		t.Error("a target of another size was taken")
	}
	short := planes(322, 182, 0)
	short.V = short.V[:len(short.V)-1]
	if err := decoder.CopyTo(short); err == nil {
		t.Error("a target that is too small was taken")
	}
}

// alignedPlanes has rows of whole 64 bytes that begin at such an address.
func alignedPlanes(w, h int) *picture.I420 {
	sy, sc := (w+63)/64*64, ((w+1)/2+63)/64*64
	return &picture.I420{
		Width: w, Height: h, StrideY: sy, StrideC: sc,
		Y: aligned(sy * h), U: aligned(sc * ((h + 1) / 2)), V: aligned(sc * ((h + 1) / 2)),
	}
}

func near(a, b float64) bool { return a-b < 4 && b-a < 4 }

// toRGB converts one pixel by the picture's own matrix and range.
func toRGB(p *picture.I420, x, y int) (r, g, b float64) {
	luma := float64(p.Y[y*p.StrideY+x])
	u, v := float64(p.U[y/2*p.StrideC+x/2])-128, float64(p.V[y/2*p.StrideC+x/2])-128
	if !p.FullRange {
		luma, u, v = (luma-16)*255/219, u*255/224, v*255/224
	}
	kr, kb := 0.299, 0.114
	if p.Matrix == picture.BT709 {
		kr, kb = 0.2126, 0.0722
	}
	r, b = luma+2*(1-kr)*v, luma+2*(1-kb)*u
	return r, (luma - kr*r - kb*b) / (1 - kr - kb), b
}
