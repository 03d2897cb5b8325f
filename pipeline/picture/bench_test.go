package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/gif"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func BenchmarkEncodeJPEG4K(b *testing.B) {
	p := scene(3840, 2160, BT709, false)
	e, err := NewJPEGEncoder(90)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	dst := make([]byte, 0, 32<<20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Encode(p, dst); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeJPEG4K decodes a 4K mosaic of photographs at parts of its sides. What is left at 1/8 is the time to read the codes, which
// decoding of some regions would take as well.
func BenchmarkDecodeJPEG4K(b *testing.B) {
	photographs, err := DecodeFile(filepath.Join("..", "..", "..", "shared", "data", "coco-4k", "images", "mosaic01.jpg"))
	if err != nil {
		b.Skip("shared/data is not here: ", err)
	}
	data := encode(b, photographs, 90)
	d, err := NewJPEGDecoder()
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for _, n := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprintf("1_%d", n), func(b *testing.B) {
			var p I420
			b.ReportAllocs()
			for b.Loop() {
				if err := d.DecodeShrunk(data, &p, n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Pictures are as many as a large cache of the processor does not hold: in the pipeline the decoder has written others in between.
func BenchmarkLetterbox(b *testing.B) {
	pictures := make([]*I420, 8)
	for i := range pictures {
		pictures[i] = scene(3840, 2160, BT709, false)
	}
	l := NewLetterboxer(Layout{Scale: 1, Fill: 114})
	numbers, levels := make([]float32, 3*416*416), make([]uint8, 3*416*416)
	for region, r := range map[string]Rect{"whole-4K": {0, 0, 3840, 2160}, "tile-640": {1000, 700, 640, 640}} {
		for as, fill := range map[string]func(*I420) (Transform, error){
			"numbers": func(p *I420) (Transform, error) { return l.Fill(numbers, 416, 416, p, r) },
			"levels":  func(p *I420) (Transform, error) { return l.FillLevels(levels, 416, 416, p, r) },
		} {
			b.Run(region+"/"+as, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := fill(pictures[i%len(pictures)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func TestFilesAreToldByTheirContent(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	img := image.NewNRGBA(image.Rect(0, 0, 40, 30))
	for i := range img.Pix {
		img.Pix[i] = 255
		if i%4 == 1 || i%4 == 2 {
			img.Pix[i] = 0
		}
	}
	var asPNG, asGIF bytes.Buffer
	if err := png.Encode(&asPNG, img); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&asGIF, img, nil); err != nil {
		t.Fatal(err)
	}
	red := New(40, 30)
	red.Matrix, red.FullRange = BT601, true
	DrawBox(red, Rect{0, 0, 40, 30}, Colour{255, 0, 0}, 40)
	for name, data := range map[string][]byte{"wrong.gif": asPNG.Bytes(), "wrong.png": asGIF.Bytes(), "wrong.txt": encode(t, red, 95)} {
		p, err := DecodeFile(save(name, data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c := p.rgb(20, 15); p.Width != 40 || p.Height != 30 || c[0] < 245 || c[1] > 12 || c[2] > 12 {
			t.Errorf("%s is %dx%d of %.0f", name, p.Width, p.Height, c)
		}
	}
	for name, want := range map[string]string{
		save("text.jpg", []byte("this is no picture")): "no JPEG, PNG or GIF", save("empty.png", nil): "empty",
		save("cut.png", asPNG.Bytes()[:40]): "PNG", filepath.Join(dir, "nowhere.jpg"): "no such file", dir: "directory",
	} {
		if _, err := DecodeFile(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
