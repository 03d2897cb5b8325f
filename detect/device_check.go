package detect

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// sameAnswer is how far a device's answer to a picture may be from the processor's, as a share of how far it is from the processor's answer
// to another picture. Rounding makes a tenth to a third; a device that is given another picture than it should be makes one.
const sameAnswer = 0.7

var (
	errOtherNumbers = errors.New("the device computes other numbers than the processor: its library, driver or options are at fault; take another device")
	errTogether     = errors.New("pictures that go through the network together are not computed apart")
)

// holdAgainstProcessor asks the session about two pictures, one by one and as a batch, and wants what the processor answers: nothing else
// would notice a device that answers every picture alike.
func (l *lane) holdAgainstProcessor() error {
	if !l.seat.steady {
		return nil
	}
	known, err := l.askProcessor()
	if err != nil {
		return fmt.Errorf("hold device %s against the processor: %w", l.cfg.device(), err)
	}
	if distance(known[0], known[1]) == 0 {
		return nil // the network tells no picture from another
	}
	for i := range known {
		if err := l.holdBatch(known, i, 1, errOtherNumbers); err != nil {
			return err
		}
	}
	if l.maxBatch > 1 {
		return l.holdBatch(known, 0, l.maxBatch, errTogether)
	}
	return nil
}

// holdBatch runs a batch of the two pictures in turn, the one at an offset first.
func (l *lane) holdBatch(known [2][][]float32, offset, n int, fault error) error {
	in := l.inputs[0]
	for i := range n {
		if err := l.fillCanary(in, i, offset+i); err != nil {
			return err
		}
	}
	if err := l.seat.run(in.Binding, n, openPatience); err != nil {
		return err
	}
	for i := range n {
		right, wrong := known[(offset+i)%2], known[(offset+i+1)%2]
		far, other := distance(right, in.outputsOf(i)), distance(wrong, in.outputsOf(i))
		if far > 0 && !(far < sameAnswer*other) {
			return fmt.Errorf("device %s, picture %d of %d: %w (by %.2g; from those for another picture by %.2g)", l.cfg.device(), i+1, n, fault, far, other)
		}
	}
	return nil
}

// askProcessor gives the processor's outputs for both pictures.
func (l *lane) askProcessor() (known [2][][]float32, err error) {
	cfg := l.cfg
	cfg.Devices, cfg.MaxBatch = nil, 1
	s, err := openSession(cfg, l.spec, false)
	if err != nil {
		return known, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	in := newInput(cfg, l.spec, s.Binding)
	for i := range known {
		if err := l.fillCanary(in, 0, i); err != nil {
			return known, err
		}
		if err := s.Run(1); err != nil {
			return known, err
		}
		for _, out := range s.Outputs() {
			known[i] = append(known[i], slices.Clone(out))
		}
	}
	return known, nil
}

// leastNumber is what a smaller known number counts as: what is that small means nothing.
const leastNumber = 1e-3

// distance is how far outputs are from known ones: the sum of the differences as a share of the sum of the known numbers, without those
// that are none.
func distance(known, got [][]float32) float64 {
	var far, size float64
	for i := range known {
		for k, want := range known[i] {
			if w := math.Abs(float64(want)); w <= math.MaxFloat32 {
				far += math.Abs(float64(got[i][k]) - float64(want))
				size += max(w, leastNumber)
			}
		}
	}
	return far / max(size, leastNumber)
}
