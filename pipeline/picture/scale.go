package picture

import (
	"fmt"
	"image"
	"runtime"
	"sync"

	"gocv.io/x/gocv"
)

// oneThread keeps OpenCV to the goroutine that calls it: cameras share the cores already.
var oneThread = sync.OnceFunc(func() { gocv.SetNumThreads(1) })

// Scale fills dst, whose size and planes are set, with the whole of src, and gives it src's matrix and range. It averages
// when it makes smaller and interpolates when it makes larger; shapes are not kept.
func Scale(src, dst *I420) error {
	if err := src.check(); err != nil {
		return fmt.Errorf("scale picture: source: %w", err)
	}
	if err := dst.check(); err != nil {
		return fmt.Errorf("scale picture: target: %w", err)
	}
	oneThread()
	how := gocv.InterpolationLinear
	if dst.Width <= src.Width && dst.Height <= src.Height {
		how = gocv.InterpolationArea
	}
	dst.Matrix, dst.FullRange = src.Matrix, src.FullRange
	for i, from := range src.planes() {
		if err := scalePlane(from, dst.planes()[i], how); err != nil {
			return fmt.Errorf("scale picture of %dx%d to %dx%d: %w", src.Width, src.Height, dst.Width, dst.Height, err)
		}
	}
	return nil
}

// plane is one plane of a picture.
type plane struct {
	pixels                []byte
	width, height, stride int
}

func (p *I420) planes() [3]plane {
	cw, ch := chromaSide(p.Width), chromaSide(p.Height)
	return [3]plane{{p.Y, p.Width, p.Height, p.StrideY}, {p.U, cw, ch, p.StrideC}, {p.V, cw, ch, p.StrideC}}
}

func scalePlane(src, dst plane, how gocv.InterpolationFlags) error {
	if src.width == dst.width && src.height == dst.height {
		for y := range src.height {
			copy(dst.pixels[y*dst.stride:y*dst.stride+dst.width], src.pixels[y*src.stride:])
		}
		return nil
	}
	var pins runtime.Pinner // OpenCV's headers keep the pointers between calls
	defer pins.Unpin()
	pins.Pin(&src.pixels[0])
	pins.Pin(&dst.pixels[0])
	from, err := openMat(src)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := openMat(dst)
	if err != nil {
		return err
	}
	defer to.close()
	return gocv.Resize(from.view, &to.view, image.Pt(dst.width, dst.height), 0, 0, how)
}

// mat is OpenCV's header of a plane: whole rows with their padding, and the view of the pixels.
type mat struct{ rows, view gocv.Mat }

func openMat(p plane) (mat, error) {
	rows, err := gocv.NewMatFromBytes(p.height, p.stride, gocv.MatTypeCV8U, p.pixels)
	if err != nil {
		return mat{}, err
	}
	return mat{rows, rows.Region(image.Rect(0, 0, p.width, p.height))}, nil
}

func (m *mat) close() {
	m.view.Close()
	m.rows.Close()
}
