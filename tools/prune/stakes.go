package prune

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/onnxgraph"
	"github.com/sightline/sightline/tools/prune/gradient"
)

// lookAtStakes tells what the detections lose when an output of a convolution is off by a little: by output channel, the mean square of the
// gradients that noise in the detections gives. Where an operator's gradient is not known nothing is told, and outputs count by their
// variance.
func (c *channel) lookAtStakes(ctx context.Context) error {
	t := &tuner{c: c, pictures: c.pictures, losses: lossesOf(c), random: rand.New(rand.NewPCG(5, 23)), shape: c.cropShape()}
	var layers []string
	for name := range c.layers {
		layers = append(layers, name)
	}
	net, err := gradient.OpenStakes(c.whole, t.shape, t.losses, layers, c.run)
	if errors.Is(err, gradient.ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	defer net.Close() //nolint:errcheck // frees memory
	teacher, err := t.openTeacher(c.run)
	if err != nil {
		return err
	}
	defer teacher.Close() //nolint:errcheck // frees memory
	c.stakes = map[string][]float64{}
	for i := range c.pictures.Len() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.addStakes(net, teacher, i); err != nil {
			return err
		}
		c.progress.show("stakes", i+1, c.pictures.Len())
	}
	return nil
}

// addStakes adds those of a crop of picture i.
func (t *tuner) addStakes(net *gradient.Stakes, teacher *onnxgraph.Session, i int) error {
	crop := make([]float32, t.shape[1]*t.shape[2]*t.shape[3])
	t.crop(crop, i)
	out, err := teacher.Run(onnx.Array{Shape: t.shape, Data: crop})
	if err != nil {
		return err
	}
	targets := t.targets(out)
	for k, l := range t.losses {
		disturb(targets[k], l.Sigmoid, t.random)
	}
	return net.Add(crop, targets, t.c.stakes)
}

// disturb moves a target away from what the network says, this way or that, by so much that the mean square of the gradient is the second
// derivative of the loss.
func disturb(t gradient.Target, sigmoid bool, random *rand.Rand) {
	for i, w := range t.Weight {
		if w == 0 {
			continue
		}
		curve := float32(1)
		if sigmoid {
			curve = t.Want[i] * (1 - t.Want[i])
		}
		far := float32(math.Sqrt(float64(max(0, curve) / w)))
		if random.Uint64()&1 == 0 {
			far = -far
		}
		t.Want[i] += far
	}
}
