package prune

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
	"github.com/sightline/sightline/tools/prune/gradient"
)

const (
	together = 4    // crops that a step is made of
	rate     = 3e-3 // of the first steps, as a share of the size of a layer's weights; it falls to nothing along a cosine
	warm     = 0.05 // share of the steps in which the rate rises
)

// tuner moves all weights of the cut network at once, against the gradient of what its detections are off those of the whole network. No
// labels are needed: the whole network is the teacher.
type tuner struct {
	c       *channel
	m       *graph.Model
	teacher *onnxgraph.Session
	net     *gradient.Network
	losses  []gradient.Loss
	shape   []int64 // of a crop
	parts   []*part
	random  *rand.Rand
}

// tune goes over all pictures passes times.
func (c *channel) tune(ctx context.Context, m *graph.Model, moves map[string]bool, passes int) error {
	t, err := newTuner(c, m, moves)
	if err != nil {
		return err
	}
	defer t.close()
	steps := max(1, passes*c.pictures.Len()/together)
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.step(rateAt(step, steps)); err != nil {
			return err
		}
		c.progress.show("tuning", step+1, steps)
	}
	t.write()
	return nil
}

// changed are the outputs of the convolutions that read something else than in the whole network.
func (c *channel) changed(gone map[int]bool) map[string]bool {
	tensors, moves := map[string]bool{}, map[string]bool{}
	for _, n := range c.whole.Graph.Nodes {
		l := c.layers[n.Output()]
		changed := l != nil && len(c.lost(l, gone)) > 0
		for _, in := range n.Inputs {
			changed = changed || tensors[in]
		}
		if !changed {
			continue
		}
		for _, out := range n.Outputs {
			tensors[out] = true
		}
		if l != nil {
			moves[n.Output()] = true
		}
	}
	return moves
}

// rateAt rises at first and then falls along a cosine.
func rateAt(step, steps int) float64 {
	done := (float64(step) + 0.5) / float64(steps)
	if done < warm {
		return rate * done / warm
	}
	return rate * (1 + math.Cos(math.Pi*(done-warm)/(1-warm))) / 2
}

func newTuner(c *channel, m *graph.Model, moves map[string]bool) (*tuner, error) {
	t := &tuner{c: c, m: m, losses: lossesOf(c), random: rand.New(rand.NewPCG(17, 4)), shape: c.cropShape()}
	var err error
	if t.teacher, err = t.openTeacher(); err != nil {
		return nil, err
	}
	if t.net, err = gradient.Open(m, t.shape, t.losses, moves, c.run); err != nil {
		t.teacher.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	if err := t.prepare(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// openTeacher opens the whole network for crops.
func (t *tuner) openTeacher() (*onnxgraph.Session, error) {
	m := t.c.whole.Clone()
	m.Graph.Inputs[0].Shape = t.shape
	var names []string
	for _, l := range t.losses {
		names = append(names, l.Output)
	}
	return onnxgraph.Open(m, names, t.c.run)
}

// part is a convolution whose weights and bias are moved.
type part struct {
	weights, bias int // parameters
	white         *whitener
	size          float64 // of the weights in white coordinates
	adams         [2]*adam
}

// prepare looks at what the convolutions of the cut network read. Those that read the picture itself, or have no bias, stay as they are.
func (t *tuner) prepare() error {
	index := map[string]int{}
	for i, p := range t.net.Parameters {
		index[p.Name] = i
	}
	layers, err := layersOf(t.m)
	if err != nil {
		return err
	}
	var moving []*layer
	var names []string
	for _, l := range layers {
		_, w := index[l.node.Inputs[1]]
		_, b := index[l.node.Input(2)]
		if from := l.node.Inputs[0]; w && b && !t.isPicture(from) {
			moving, names = append(moving, l), append(names, from)
		}
	}
	s, err := onnxgraph.Open(t.m, unique(names), t.c.run)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // frees memory
	p, err := leastsquares.NewMultiplier(t.c.run)
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // frees memory
	stats, err := observe(s, t.c.pictures, p, t.c.progress)
	if err != nil {
		return err
	}
	for _, l := range moving {
		white := newWhitener(stats[l.node.Inputs[0]], int(l.shape[0]), int(l.shape[1]), int(l.shape[2]*l.shape[3]))
		if white == nil {
			continue
		}
		t.parts = append(t.parts, &part{index[l.node.Inputs[1]], index[l.node.Inputs[2]], white, l.sizeOver(stats[l.node.Inputs[0]]), [2]*adam{newAdam(len(l.weights)), newAdam(int(l.shape[0]))}})
	}
	return nil
}

func (t *tuner) isPicture(name string) bool {
	for {
		n := t.m.Graph.Producer(name)
		if n == nil {
			return true
		}
		if n.Op != "Cast" && n.Op != "Identity" {
			return false
		}
		name = n.Inputs[0]
	}
}

func (t *tuner) close() {
	t.teacher.Close() //nolint:errcheck // frees memory
	t.net.Close()     //nolint:errcheck // frees memory
}

// cropShape is about two thirds of a picture, where the head is known: then the network takes any multiple of its coarsest stride.
func (c *channel) cropShape() []int64 {
	shape := append([]int64{}, c.pictures.Shape()...)
	if c.o.Head == nil {
		return shape
	}
	stride := int64(1)
	for _, l := range c.o.Head.Levels {
		stride = max(stride, int64(l.Stride))
	}
	for i := 2; i < 4; i++ {
		shape[i] = max(stride, shape[i]*2/3/stride*stride)
	}
	return shape
}

func (t *tuner) step(rate float64) error {
	sums := t.net.Zeros()
	crop := make([]float32, t.shape[1]*t.shape[2]*t.shape[3])
	for range together {
		t.crop(crop, t.random.IntN(t.c.pictures.Len()))
		out, err := t.teacher.Run(onnx.Array{Shape: t.shape, Data: crop})
		if err != nil {
			return err
		}
		if _, err := t.net.Run(crop, t.targets(out), sums); err != nil {
			return err
		}
	}
	for _, p := range t.parts {
		weights, bias := t.net.Parameters[p.weights].Value, t.net.Parameters[p.bias].Value
		step := p.adams[0].step(p.white.gradient(sums[p.weights], sums[p.bias]), rate*p.size)
		p.white.apply(weights, bias, step, p.adams[1].step(sums[p.bias], rate*p.size))
	}
	return nil
}

// crop takes a part of picture i at random.
func (t *tuner) crop(to []float32, i int) {
	a := t.c.pictures
	h, w := int(t.shape[2]), int(t.shape[3])
	top, left := t.random.IntN(int(a.Shape()[2])-h+1), t.random.IntN(int(a.Shape()[3])-w+1)
	a.Crop(to, i, top, left, h, w, t.random.IntN(2) == 1)
}

// write puts the parameters back into the network.
func (t *tuner) write() {
	for _, p := range t.net.Parameters {
		t.m.Graph.Initializers[p.Name] = graph.NewFloat(p.Shape, p.Value)
	}
}

// adam is the state of Adam for one parameter.
type adam struct {
	mean, square []float32
	steps        int
}

func newAdam(n int) *adam { return &adam{mean: make([]float32, n), square: make([]float32, n)} }

// step gives how far to go.
func (a *adam) step(gradient []float32, rate float64) []float32 {
	const keep, keepSquare = 0.9, 0.99
	a.steps++
	scale := float32(rate * math.Sqrt(1-math.Pow(keepSquare, float64(a.steps))) / (1 - math.Pow(keep, float64(a.steps))))
	v := make([]float32, len(gradient))
	for i, g := range gradient {
		a.mean[i] += (1 - keep) * (g - a.mean[i])
		a.square[i] += (1 - keepSquare) * (g*g - a.square[i])
		v[i] = -scale * a.mean[i] / (float32(math.Sqrt(float64(a.square[i]))) + 1e-8)
	}
	return v
}
