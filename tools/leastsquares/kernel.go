package leastsquares

import (
	"math/rand/v2"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
)

// Kernel is what a convolution covers of its input at one place of its output.
type Kernel struct {
	Groups int // parts of the channels that know nothing of each other
	Rows   int // outputs of a group
	In     int // channels that a group reads
	size   [2]int
	stride [2]int
	dilate [2]int
	pads   [2]int
}

// KernelOf reads a convolution whose weights have a shape.
func KernelOf(n *graph.Node, shape []int64) Kernel {
	groups := int(n.Int("group", 1))
	return Kernel{
		Groups: groups, Rows: int(shape[0]) / groups, In: int(shape[1]), size: [2]int{int(shape[2]), int(shape[3])},
		stride: pair(n.Ints("strides"), 1), dilate: pair(n.Ints("dilations"), 1), pads: pair(n.Ints("pads"), 0),
	}
}

// Width is how many numbers an output is made of, without the bias.
func (k Kernel) Width() int { return k.In * k.size[0] * k.size[1] }

// Cover copies what a group reads at one place of its output, [1, channels, height, width] being all there is. Beyond the border there are
// zeros; a 1 for the bias ends it.
func (k Kernel) Cover(to []float32, x onnx.Array, group, oy, ox int) {
	h, w := int(x.Shape[2]), int(x.Shape[3])
	for c := range k.In {
		plane := x.Data[(group*k.In+c)*h*w:]
		for u := range k.size[0] {
			for v := range k.size[1] {
				y, x := oy*k.stride[0]-k.pads[0]+u*k.dilate[0], ox*k.stride[1]-k.pads[1]+v*k.dilate[1]
				if y >= 0 && y < h && x >= 0 && x < w {
					to[(c*k.size[0]+u)*k.size[1]+v] = plane[y*w+x]
				}
			}
		}
	}
	to[len(to)-1] = 1
}

// pair is the first two numbers of an attribute, for rows and columns.
func pair(v []int64, otherwise int) [2]int {
	if len(v) < 2 {
		return [2]int{otherwise, otherwise}
	}
	return [2]int{int(v[0]), int(v[1])}
}

// Places gives n places of an output of h by w, always the same for a seed.
func Places(seed uint64, n, h, w int) [][2]int {
	random := rand.New(rand.NewPCG(seed, 11))
	list := make([][2]int, n)
	for i := range list {
		list[i] = [2]int{random.IntN(h), random.IntN(w)}
	}
	return list
}
