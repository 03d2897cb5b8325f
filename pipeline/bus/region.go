package bus

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Box gives the region's corners.
func (r Region) Box() Box {
	return Box{float32(r.X), float32(r.Y), float32(r.X + r.W), float32(r.Y + r.H)}
}

// MarshalJSON writes [x,y,w,h].
func (r Region) MarshalJSON() ([]byte, error) {
	text := make([]byte, 0, 32)
	for i, v := range [...]int{r.X, r.Y, r.W, r.H} {
		text = append(text, "[,,,"[i])
		text = strconv.AppendInt(text, int64(v), 10)
	}
	return append(text, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Region) UnmarshalJSON(text []byte) error {
	parts, ok := four(text)
	if !ok {
		return errors.New("a region: must be [x,y,w,h]")
	}
	for i, to := range [...]*int{&r.X, &r.Y, &r.W, &r.H} {
		v, err := strconv.Atoi(string(parts[i]))
		if err != nil {
			return fmt.Errorf("a region: %w", err)
		}
		*to = v
	}
	return nil
}

// fewTiles of a frame cost more than they find beside the whole: the adaptive policy does without them.
const fewTiles = 2

// Regions are all the looks that a policy plans with at a frame: see GridRegions, or the whole frame alone where the policy is off,
// or adaptive and the frame hardly larger than a tile.
func (p Policy) Regions(width, height, size int, overlap float64) []Region {
	if p == PolicyOff || p == "" {
		return []Region{{W: width, H: height}}
	}
	regions := GridRegions(width, height, size, overlap)
	if p == PolicyAdaptive && len(regions) <= 1+fewTiles {
		return regions[:1]
	}
	return regions
}

// Still gives the looks at a picture without others before it, and the policy that they are: every tile is new, so adaptive is the
// grid, or off where it does without tiles.
func (p Policy) Still(width, height, size int, overlap float64) (Policy, []Region) {
	regions := p.Regions(width, height, size, overlap)
	switch {
	case p != PolicyAdaptive:
		return p, regions
	case len(regions) > 1:
		return PolicyGrid, regions
	}
	return PolicyOff, regions
}

// GridRegions plans the looks of the grid policy at a frame of width by height pixels: the whole frame first, then
// square tiles of size pixels, row by row, that overlap by at least the share overlap (0 to 0.9) of a tile. They are
// spread evenly from edge to edge of the frame, so that all overlap as much as their number allows. A frame that fits into
// one tile gets the whole frame only. At most MaxRegions are returned: beyond that the tiles grow.
func GridRegions(width, height, size int, overlap float64) []Region {
	if width <= 0 || height <= 0 {
		return nil
	}
	regions := []Region{{0, 0, width, height}}
	if size <= 0 || width <= size && height <= size {
		return regions
	}
	xs, ys := gridAxis(width, size, overlap), gridAxis(height, size, overlap)
	for len(xs)*len(ys)+1 > MaxRegions {
		size += size/8 + 1
		xs, ys = gridAxis(width, size, overlap), gridAxis(height, size, overlap)
	}
	w, h := min(size, width), min(size, height)
	for _, y := range ys {
		for _, x := range xs {
			regions = append(regions, Region{x, y, w, h})
		}
	}
	return regions
}

// MaxFixed is how many parts of its frames a camera may have looked at in each one.
const MaxFixed = 16

// FixedRegions gives the looks at parts of a frame, x1, y1, x2, y2 from 0 to 1, of which there are at most so many: each part itself, or
// tiles over it as GridRegions has them where it is larger than one. Where there would be too many, each part is one look.
func FixedRegions(parts []Box, width, height, size int, overlap float64, most int) (all []Region) {
	w, h := float32(width), float32(height)
	var whole []Region
	for _, b := range parts {
		x, y := min(int(b[0]*w), width-1), min(int(b[1]*h), height-1)
		r := Region{x, y, max(1, int(b[2]*w+0.5)-x), max(1, int(b[3]*h+0.5)-y)}
		whole, all = append(whole, r), append(all, r.closer(size, overlap)...)
	}
	if len(all) > most {
		return whole[:max(0, min(len(whole), most))]
	}
	return all
}

// closer gives a region, or the tiles over it.
func (r Region) closer(size int, overlap float64) []Region {
	if r.W <= size && r.H <= size {
		return []Region{r}
	}
	tiles := GridRegions(r.W, r.H, size, overlap)[1:]
	for i := range tiles {
		tiles[i].X += r.X
		tiles[i].Y += r.Y
	}
	return tiles
}

// gridAxis gives where tiles begin on one side of the frame.
func gridAxis(length, size int, overlap float64) []int {
	if length <= size {
		return []int{0}
	}
	if !(overlap >= 0) {
		overlap = 0
	}
	step := max(1, size-int(math.Ceil(float64(size)*min(overlap, 0.9))))
	gaps := (length - size + step - 1) / step
	starts := make([]int, gaps+1)
	for i := range starts {
		starts[i] = i * (length - size) / gaps
	}
	return starts
}
