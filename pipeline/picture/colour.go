package picture

// Colour is an opaque colour, each part 0..255.
type Colour struct{ R, G, B uint8 }

// coefficients are what a matrix and a range mean:
//
//	R = y*(Y-black) + rv*(V-128)
//	G = y*(Y-black) + gu*(U-128) + gv*(V-128)
//	B = y*(Y-black) + bu*(U-128)
type coefficients struct {
	black, y, rv, gu, gv, bu float64
}

func weights(m Matrix) (kr, kb float64) {
	if m == BT709 {
		return 0.2126, 0.0722
	}
	return 0.299, 0.114
}

// ranges returns black, and what luma and chroma are divided by to be 0..1 and -0.5..0.5.
func ranges(fullRange bool) (black, luma, chroma float64) {
	if fullRange {
		return 0, 255, 255
	}
	return 16, 219, 224
}

func coefficientsOf(m Matrix, fullRange bool) coefficients {
	kr, kb := weights(m)
	kg := 1 - kr - kb
	black, luma, chroma := ranges(fullRange)
	return coefficients{
		black: black, y: 255 / luma,
		rv: 2 * (1 - kr) * 255 / chroma,
		gu: -2 * kb * (1 - kb) / kg * 255 / chroma,
		gv: -2 * kr * (1 - kr) / kg * 255 / chroma,
		bu: 2 * (1 - kb) * 255 / chroma,
	}
}

// yuv returns c in the colours of a picture.
func (c Colour) yuv(m Matrix, fullRange bool) (y, u, v uint8) {
	kr, kb := weights(m)
	black, luma, chroma := ranges(fullRange)
	r, g, b := float64(c.R)/255, float64(c.G)/255, float64(c.B)/255
	l := kr*r + (1-kr-kb)*g + kb*b
	return toByte(black + l*luma), toByte(128 + (b-l)/(2*(1-kb))*chroma), toByte(128 + (r-l)/(2*(1-kr))*chroma)
}

func toByte(v float64) uint8 { return uint8(min(max(v, 0), 255) + 0.5) }

// toJPEG is the linear map from a picture's colours to those of JPEG, BT.601 in full range, in 1/16384:
//
//	Y' = (yy*Y + yu*(U-128) + yv*(V-128) + y0) >> 14
//	U' = (uu*(U-128) + uv*(V-128) + c0) >> 14, V' alike
type toJPEG struct {
	yy, yu, yv, y0 int32
	uu, uv, vu, vv int32
	c0             int32
}

func toJPEGOf(m Matrix, fullRange bool) toJPEG {
	c := coefficientsOf(m, fullRange)
	kr, kb := weights(BT601)
	kg := 1 - kr - kb
	const one = 1 << 14
	fixed := func(v float64) int32 {
		if v < 0 {
			return -int32(-v*one + 0.5)
		}
		return int32(v*one + 0.5)
	}
	// What U and V add to the new luma; grey stays grey, so old luma adds nothing to the new chroma.
	yu, yv := kg*c.gu+kb*c.bu, kr*c.rv+kg*c.gv
	cb, cr := 1/(2*(1-kb)), 1/(2*(1-kr))
	return toJPEG{
		yy: fixed(c.y), yu: fixed(yu), yv: fixed(yv), y0: one/2 - fixed(c.y*c.black),
		uu: fixed((c.bu - yu) * cb), uv: fixed(-yv * cb),
		vu: fixed(-yu * cr), vv: fixed((c.rv - yv) * cr),
		c0: 128*one + one/2,
	}
}
