package picture

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"os/exec"
	"strings"
	"testing"
)

// scene is a smooth picture with colours, in the colours of matrix and range.
func scene(w, h int, matrix Matrix, full bool) *I420 {
	p := New(w, h)
	p.Matrix, p.FullRange = matrix, full
	for y := range h {
		for x := range w {
			c := Colour{uint8(x * 255 / w), uint8(y * 255 / h), uint8((x + y) * 255 / (w + h))}
			l, u, v := c.yuv(matrix, full)
			p.Y[y*p.StrideY+x] = l
			p.U[y/2*p.StrideC+x/2], p.V[y/2*p.StrideC+x/2] = u, v
		}
	}
	return p
}

// rgb is a pixel as colour.
func (p *I420) rgb(x, y int) [3]float64 {
	k := coefficientsOf(p.Matrix, p.FullRange)
	l := k.y * (float64(p.Y[y*p.StrideY+x]) - k.black)
	u, v := float64(p.U[y/2*p.StrideC+x/2])-128, float64(p.V[y/2*p.StrideC+x/2])-128
	return [3]float64{l + k.rv*v, l + k.gu*u + k.gv*v, l + k.bu*u}
}

// psnr compares two pictures as colours, in decibels.
func psnr(a, b *I420) float64 {
	sum := 0.0
	for y := range a.Height {
		for x := range a.Width {
			p, q := a.rgb(x, y), b.rgb(x, y)
			for i := range p {
				d := min(255, max(0, p[i])) - min(255, max(0, q[i]))
				sum += d * d
			}
		}
	}
	return 10 * math.Log10(255*255/(sum/float64(3*a.Width*a.Height)+1e-9))
}

func encode(t testing.TB, p *I420, quality int) []byte {
	t.Helper()
	e, err := NewJPEGEncoder(quality)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	data, err := e.Encode(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t testing.TB, data []byte) *I420 {
	t.Helper()
	p, err := decodeJPEG(data, JPEGLimits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestJPEGKeepsPicturesOfAllColours(t *testing.T) {
	for _, size := range [][2]int{{64, 48}, {65, 49}, {1, 1}, {17, 2}, {640, 360}} {
		for _, matrix := range []Matrix{BT601, BT709} {
			for _, full := range []bool{false, true} {
				p := scene(size[0], size[1], matrix, full)
				got := decode(t, encode(t, p, 95))
				if got.Width != p.Width || got.Height != p.Height || !got.FullRange || got.Matrix != BT601 {
					t.Fatalf("%v became %dx%d", size, got.Width, got.Height)
				}
				if quality := psnr(p, got); quality < 33 {
					t.Errorf("%v, matrix %d, full range %v: %.1f dB", size, matrix, full, quality)
				}
			}
		}
	}
}

// TestOthersReadOurJPEGs and we theirs, with the same colours.
func TestOthersReadOurJPEGs(t *testing.T) {
	p := scene(160, 120, BT709, false)
	img, err := jpeg.Decode(bytes.NewReader(encode(t, p, 95)))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range [][2]int{{10, 10}, {80, 60}, {150, 20}, {20, 110}} {
		r, g, b, _ := img.At(at[0], at[1]).RGBA()
		want := p.rgb(at[0], at[1])
		for i, v := range []uint32{r, g, b} {
			if d := math.Abs(float64(v>>8) - want[i]); d > 8 {
				t.Errorf("at %v part %d is %d, want %.0f", at, i, v>>8, want[i])
			}
		}
	}
	var theirs bytes.Buffer
	if err := jpeg.Encode(&theirs, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	if quality := psnr(p, decode(t, theirs.Bytes())); quality < 33 {
		t.Errorf("theirs: %.1f dB", quality)
	}
}

func TestEverySubsamplingIsRead(t *testing.T) {
	p := scene(66, 50, BT601, true)
	source := encode(t, p, 98)
	for _, format := range []string{"yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p"} {
		cmd := exec.Command("ffmpeg", "-v", "error", "-f", "mjpeg", "-i", "-", "-pix_fmt", format, "-q:v", "2", "-f", "mjpeg", "-")
		cmd.Stdin = bytes.NewReader(source)
		data, err := cmd.Output()
		if err != nil {
			t.Fatalf("ffmpeg (install package ffmpeg): %v", err)
		}
		got := decode(t, data)
		if quality := psnr(p, got); quality < 30 {
			t.Errorf("%s: %.1f dB", format, quality)
		}
	}
}

func TestGreyHasNoColours(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 33, 21))
	for i := range grey.Pix {
		grey.Pix[i] = byte(i)
	}
	var data bytes.Buffer
	if err := jpeg.Encode(&data, grey, nil); err != nil {
		t.Fatal(err)
	}
	p := decode(t, data.Bytes())
	if p.Width != 33 || p.Height != 21 || p.U[5] != 128 || p.V[9] != 128 {
		t.Errorf("%dx%d with chroma %d and %d", p.Width, p.Height, p.U[5], p.V[9])
	}
}

func TestTruncatedJPEGsAreRefused(t *testing.T) {
	whole := encode(t, scene(64, 48, BT601, true), 90)
	d, err := NewJPEGDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var p I420
	for n := range len(whole) - 2 { // without its end mark it is as good as whole
		if d.Decode(whole[:n], &p) == nil {
			t.Fatalf("%d of %d bytes were taken", n, len(whole))
		}
	}
	if err := d.Decode(whole, &p); err != nil {
		t.Errorf("the whole after all that: %v", err)
	}
}

// TestBombsCostNothing: a header that promises too much is refused before anything is allocated.
func TestBombsCostNothing(t *testing.T) {
	whole := encode(t, scene(64, 48, BT601, true), 90)
	at := bytes.Index(whole, []byte{0xFF, 0xC0})
	bomb := bytes.Clone(whole)
	copy(bomb[at+5:], []byte{0xFF, 0xDC, 0xFF, 0xDC}) // 65500x65500
	d, err := NewJPEGDecoderWithLimits(JPEGLimits{MaxPixels: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var p I420
	if err := d.Decode(bomb, &p); err == nil || !strings.Contains(err.Error(), "65500x65500") || p.Y != nil {
		t.Errorf("%v, and %d bytes were allocated", err, len(p.Y))
	}
	if err := d.Decode(encode(t, New(2048, 1024), 50), &p); err == nil || !strings.Contains(err.Error(), "pixels") {
		t.Errorf("beyond the limit: %v", err)
	}
	for name, data := range map[string][]byte{"empty": nil, "text": []byte("no picture"), "mark": {0xFF, 0xD8}, "end": {0xFF, 0xD8, 0xFF, 0xD9}} {
		if err := d.Decode(data, &p); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestSteadyWorkAllocatesNothing(t *testing.T) {
	p := scene(640, 360, BT709, false)
	e, err := NewJPEGEncoder(90)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	d, err := NewJPEGDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l := NewLetterboxer(Layout{Scale: 1, Fill: 114})
	data, err := e.Encode(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	coded := make([]byte, 0, 4*len(data)+1<<20)
	decoded, input := &I420{}, make([]float32, 3*416*416)
	for name, work := range map[string]func() error{
		"encode": func() error { _, err := e.Encode(p, coded); return err },
		"decode": func() error { return d.Decode(data, decoded) },
		"letterbox": func() error {
			_, err := l.Fill(input, 416, 416, p, Rect{0, 0, 640, 360})
			return err
		},
		"draw": func() error {
			DrawBox(p, Rect{5, 5, 90, 90}, Colour{1, 2, 3}, 3)
			DrawLabel(p, 5, 5, "person 0.97", Colour{1, 2, 3})
			return nil
		},
	} {
		if err := work(); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() { _ = work() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func FuzzDecodeJPEG(f *testing.F) {
	whole := encode(f, scene(48, 32, BT601, true), 80)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0})
	d, err := NewJPEGDecoderWithLimits(JPEGLimits{MaxPixels: 1 << 20})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p I420
		if d.Decode(data, &p) == nil && p.check() != nil {
			t.Errorf("a picture that is not sound: %v", p.check())
		}
	})
}

// TestShrunkIsTheMeanOfWhatItStandsFor: for every share and sides that it does not divide.
func TestShrunkIsTheMeanOfWhatItStandsFor(t *testing.T) {
	d, err := NewJPEGDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, size := range [][2]int{{640, 360}, {333, 257}, {17, 9}} {
		data := encode(t, scene(size[0], size[1], BT601, true), 95)
		var whole, small I420
		if err := d.Decode(data, &whole); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2, 4, 8} {
			if err := d.DecodeShrunk(data, &small, n); err != nil {
				t.Fatal(err)
			}
			if small.Width != (size[0]+n-1)/n || small.Height != (size[1]+n-1)/n {
				t.Fatalf("%v at 1/%d is %dx%d", size, n, small.Width, small.Height)
			}
			for y := range size[1] / n {
				for x := range size[0] / n {
					if got, want := float64(small.Y[y*small.StrideY+x]), meanOf(&whole, x*n, y*n, n); math.Abs(got-want) > 4 {
						t.Fatalf("%v at 1/%d: %g at %d, %d, want %g", size, n, got, x, y, want)
					}
				}
			}
		}
	}
	if err := d.DecodeShrunk(nil, &I420{}, 3); err == nil || !strings.Contains(err.Error(), "1/3") {
		t.Errorf("a third: %v", err)
	}
}

// meanOf is the mean level of n by n pixels.
func meanOf(p *I420, x, y, n int) float64 {
	sum := 0
	for j := range n {
		for i := range n {
			sum += int(p.Y[(y+j)*p.StrideY+x+i])
		}
	}
	return float64(sum) / float64(n*n)
}
