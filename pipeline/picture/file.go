package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/gif"
	"image/png"
	"io"
	"os"
)

// maxFileBytes is the largest picture file that is read.
const maxFileBytes = 256 << 20

// DecodeFile reads a JPEG, PNG or GIF (its first picture), told by its content, as full-range BT.601. Transparency is
// ignored. Errors name the file and the fault.
func DecodeFile(path string) (*I420, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read picture: %w", err) // names the path itself
	}
	p, err := decodeAny(data, JPEGLimits{})
	if err != nil {
		return nil, fmt.Errorf("read picture %s: %w", path, err)
	}
	return p, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("%s: is larger than %d bytes", path, maxFileBytes)
	}
	return data, err
}

func decodeAny(data []byte, limits JPEGLimits) (*I420, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xFF\xD8\xFF")):
		return decodeJPEG(data, limits)
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return decodeImage("PNG", data, limits, png.DecodeConfig, png.Decode)
	case bytes.HasPrefix(data, []byte("GIF8")):
		return decodeImage("GIF", data, limits, gif.DecodeConfig, gif.Decode)
	case len(data) == 0:
		return nil, fmt.Errorf("it is empty")
	}
	return nil, fmt.Errorf("its content is no JPEG, PNG or GIF")
}

func decodeJPEG(data []byte, limits JPEGLimits) (*I420, error) {
	d, err := NewJPEGDecoderWithLimits(limits)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	p := &I420{}
	if err := d.Decode(data, p); err != nil {
		return nil, err
	}
	return p, nil
}

// decodeImage decodes with the standard library, after a look at the size.
func decodeImage(kind string, data []byte, limits JPEGLimits, config func(io.Reader) (image.Config, error),
	decode func(io.Reader) (image.Image, error)) (*I420, error) {
	c, err := config(bytes.NewReader(data))
	if err == nil {
		err = limits.check(c.Width, c.Height)
	}
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind, err)
	}
	img, err := decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind, err)
	}
	return fromImage(img), nil
}

func fromImage(img image.Image) *I420 {
	b := img.Bounds()
	rgba, ok := img.(*image.NRGBA)
	if !ok {
		rgba = image.NewNRGBA(b)
		draw.Draw(rgba, b, img, b.Min, draw.Src)
	}
	p := New(b.Dx(), b.Dy())
	fromRGB(p, rgba.Pix[rgba.PixOffset(b.Min.X, b.Min.Y):], rgba.Stride, 4)
	return p
}
