package prune

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
	"github.com/sightline/sightline/tools/prune/gradient"
)

const (
	together = 4    // crops that a step is made of
	rate     = 3e-3 // of the first steps, as a share of the size of a layer's weights; it falls to nothing along a cosine
	warm     = 0.05 // share of the steps in which the rate rises
	checks   = 10   // how often the averaged weights are judged
)

// tuner moves all weights of the cut network at once, against the gradient of what its detections are off those of the whole network. No
// labels are needed: the whole network is the teacher.
type tuner struct {
	c          *channel
	m          *graph.Model
	pictures   *calibrate.Album
	workers    []*worker
	parameters []*gradient.Parameter // which all workers share
	losses     []gradient.Loss       // of the outputs, and of what is inside
	inside     []inside
	shape      []int64 // of a crop
	parts      []*part
	random     *rand.Rand
}

// tune goes over all pictures passes times, and leaves in the network the averaged weights that the judge found least wrong, those that it
// had where nothing is better. It gives their error, that before being known.
func (c *channel) tune(ctx context.Context, m *graph.Model, gone map[int]bool, passes int, before float64) (float64, error) {
	t, err := newTuner(ctx, c, m, gone)
	if err != nil {
		return 0, err
	}
	defer t.close()
	average, best, least := newAverage(t.parameters), newAverage(t.parameters), before
	steps := max(1, passes*t.pictures.Len()/together)
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := t.step(rateAt(step, steps)); err != nil {
			return 0, err
		}
		average.add()
		c.progress.show("tuning", step+1, steps)
		if (step+1)*checks/steps == step*checks/steps {
			continue
		}
		average.write(m)
		e, err := c.judge.Error(m)
		if err != nil {
			return 0, err
		}
		if e < least {
			best, least = average.clone(), e
		}
	}
	best.write(m)
	return least, nil
}

// changed are the tensors that are not what they were in the whole network.
func (c *channel) changed(gone map[int]bool) map[string]bool {
	tensors := map[string]bool{}
	for _, n := range c.whole.Graph.Nodes {
		l := c.layers[n.Output()]
		changed := l != nil && len(c.lost(l, gone)) > 0
		for _, in := range n.Inputs {
			changed = changed || tensors[in]
		}
		for _, out := range n.Outputs {
			if changed {
				tensors[out] = true
			}
		}
	}
	return tensors
}

// rateAt rises at first and then falls along a cosine.
func rateAt(step, steps int) float64 {
	done := (float64(step) + 0.5) / float64(steps)
	if done < warm {
		return rate * done / warm
	}
	return rate * (1 + math.Cos(math.Pi*(done-warm)/(1-warm))) / 2
}

func newTuner(ctx context.Context, c *channel, m *graph.Model, gone map[int]bool) (*tuner, error) {
	t := &tuner{c: c, m: m, losses: lossesOf(c), random: rand.New(rand.NewPCG(17, 4)), shape: c.cropShape()}
	var err error
	if t.pictures, err = c.learnt.Album(ctx, c.pictures.Shape()); err != nil {
		return nil, err
	}
	changed := c.changed(gone)
	t.lookInside(gone, changed)
	if err := t.hire(changed); err != nil {
		t.close()
		return nil, err
	}
	t.weigh()
	if err := t.prepare(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// worker sees to one crop at a time, on one processor: what is between the operators takes long as well.
type worker struct {
	teacher *onnxgraph.Session
	net     *gradient.Network
}

// hire finds a worker for each processor.
func (t *tuner) hire(moves map[string]bool) error {
	one := t.c.run
	one.Threads = 1
	for range min(t.c.run.Threads, together) {
		net, err := gradient.Open(t.m, t.shape, t.losses, moves, one)
		if err != nil {
			return err
		}
		w := &worker{net: net}
		t.workers = append(t.workers, w)
		if w.teacher, err = t.openTeacher(one); err != nil {
			return err
		}
		if t.parameters == nil {
			t.parameters = net.Parameters
		}
		for i, p := range net.Parameters {
			p.Value = t.parameters[i].Value
		}
	}
	return nil
}

// openTeacher opens the whole network for crops.
func (t *tuner) openTeacher(o onnxgraph.RunOptions) (*onnxgraph.Session, error) {
	m := t.c.whole.Clone()
	m.Graph.Inputs[0].Shape = t.shape
	var names []string
	for _, l := range t.losses {
		names = append(names, l.Output)
	}
	return onnxgraph.Open(m, names, o)
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
	for i, p := range t.parameters {
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
	for _, w := range t.workers {
		w.net.Close() //nolint:errcheck // frees memory
		if w.teacher != nil {
			w.teacher.Close() //nolint:errcheck // frees memory
		}
	}
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
	var crops [together][]float32
	for i := range crops {
		crops[i] = make([]float32, t.shape[1]*t.shape[2]*t.shape[3])
		t.crop(crops[i], t.random.IntN(t.pictures.Len()))
	}
	sums, err := t.gradients(crops)
	if err != nil {
		return err
	}
	for _, p := range t.parts {
		weights, bias := t.parameters[p.weights].Value, t.parameters[p.bias].Value
		step := p.adams[0].step(p.white.gradient(sums[p.weights], sums[p.bias]), rate*p.size)
		p.white.apply(weights, bias, step, p.adams[1].step(sums[p.bias], rate*p.size))
	}
	return nil
}

// gradients adds up those of some crops, always in the same order.
func (t *tuner) gradients(crops [together][]float32) ([][]float32, error) {
	var each [together][][]float32
	var errs [together]error
	var all sync.WaitGroup
	for n, w := range t.workers {
		all.Go(func() {
			for i := n; i < together; i += len(t.workers) {
				each[i] = w.net.Zeros()
				errs[i] = w.learn(t, crops[i], each[i])
			}
		})
	}
	all.Wait()
	for _, more := range each[1:] {
		for i := range more {
			for j, v := range more[i] {
				each[0][i][j] += v
			}
		}
	}
	return each[0], errors.Join(errs[:]...)
}

func (w *worker) learn(t *tuner, crop []float32, sums [][]float32) error {
	out, err := w.teacher.Run(onnx.Array{Shape: t.shape, Data: crop})
	if err != nil {
		return err
	}
	_, err = w.net.Run(crop, t.targets(out), sums)
	return err
}

// crop takes a part of picture i at random.
func (t *tuner) crop(to []float32, i int) {
	a := t.pictures
	h, w := int(t.shape[2]), int(t.shape[3])
	top, left := t.random.IntN(int(a.Shape()[2])-h+1), t.random.IntN(int(a.Shape()[3])-w+1)
	a.Crop(to, i, top, left, h, w, t.random.IntN(2) == 1)
}
