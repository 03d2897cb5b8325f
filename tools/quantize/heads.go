package quantize

import (
	"slices"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// field says what an output of the network is, which a convolution makes.
type field struct {
	channels int
	logits   bool // every channel becomes a probability
	reaches  int  // channels of which only is noted how far they go
}

// headsOf finds the outputs that convolutions make. Their channels mean different things, so each gets levels of its own.
func headsOf(m *graph.Model, head *onnxgraph.Head) map[string]field {
	heads := map[string]field{}
	for _, v := range m.Graph.Outputs {
		n := m.Graph.Producer(v.Name)
		if n == nil || n.Op != "Conv" || len(m.Graph.Consumers(v.Name)) > 0 {
			continue
		}
		if kernel := m.Graph.Const(n.Inputs[1]); kernel != nil {
			heads[v.Name] = field{channels: int(kernel.Shape[0]), logits: isLogits(head, v.Name)}
		}
	}
	return heads
}

// isLogits knows what the families put where: with anchors everything goes through a sigmoid, without them all but the boxes, which
// come first.
func isLogits(head *onnxgraph.Head, output string) bool {
	if head == nil {
		return false
	}
	for _, l := range head.Levels {
		if at := slices.Index(l.Outputs, output); at >= 0 {
			return head.Family == onnxgraph.YOLOv5 || at > 0
		}
	}
	return false
}

const (
	// worthFloat is the share of what goes wrong that outputs in float must save, and mostFloat that of the multiply-adds which they may have.
	worthFloat = 0.05
	mostFloat  = 0.1
)

// floatHeads leaves the convolutions that make the outputs float where enough less goes wrong that way in pictures that nothing was chosen
// by, and they are little of the network: scores and boxes are as fine as the outputs' levels.
func (s *static) floatHeads(units []unit) ([]unit, error) {
	var heads []string
	rest := slices.DeleteFunc(slices.Clone(units), func(u unit) bool {
		_, is := s.plan.heads[u.name]
		if is {
			heads = append(heads, u.name)
		}
		return is
	})
	share, err := s.share(heads)
	if err != nil || share == 0 || share > mostFloat {
		return units, err
	}
	before, err := s.detections(units, s.plan.levels)
	if err != nil {
		return nil, err
	}
	after, err := s.detections(rest, s.plan.levels)
	if err != nil || after > (1-worthFloat)*before {
		return units, err
	}
	s.report.Islands = heads
	return rest, nil
}

// ofHead finds the range of each channel of an output.
func (h *histogram) ofHead(f field) affine {
	all := affine{scale: 1, channels: make([]affine, len(h.channels))}
	for c, of := range h.channels {
		if f.logits {
			all.channels[c] = of.logit()
		} else {
			all.channels[c] = of.plain()
		}
	}
	return all
}

// spread moves what differs between the channels of an output into the convolution that makes it: the convolution gives levels, to
// which all channels round alike, and only behind it each has its scale and zero point again.
func spread(channels []affine, scales, bias []float32) (spreadScales, spreadBias []float32) {
	spreadScales, spreadBias = slices.Clone(scales), make([]float32, len(scales))
	for c, a := range channels {
		spreadScales[c] = float32(float64(scales[c]) / a.scale)
		spreadBias[c] = float32(a.zero)
		if bias != nil {
			spreadBias[c] += float32(float64(bias[c]) / a.scale)
		}
	}
	return spreadScales, spreadBias
}
