package channels

import (
	"fmt"
	"slices"
)

// Group are channels that stand at the same places of the network, so that any of them may go in the place of another.
type Group struct {
	Name      string   // the first tensor that has them
	Classes   []int    // in the order of that tensor
	Producers []string // outputs of the dense convolutions that make them
	Consumers []string // outputs of the dense convolutions that read them
}

// Groups lists what may be cut out, in the order of the network.
func (x *Map) Groups() []Group {
	places := map[int]*stand{}
	var order []int
	at := func(class int, name string) *stand {
		if places[class] == nil {
			places[class] = &stand{first: name}
			order = append(order, class)
		}
		return places[class]
	}
	for _, c := range x.Convs() {
		if !c.Dense() {
			continue
		}
		for _, class := range x.tensors[c.Node.Inputs[0]] {
			at(class, c.Node.Inputs[0]).read(c.Node.Output())
		}
		for _, class := range x.tensors[c.Node.Output()] {
			at(class, c.Node.Output()).make(c.Node.Output())
		}
	}
	var groups []Group
	index := map[string]int{}
	for _, class := range order {
		s := places[class]
		if x.fixed[class] || len(s.makers) == 0 || len(s.readers) == 0 {
			continue
		}
		key := fmt.Sprint(s.first, s.makers, s.readers)
		i, ok := index[key]
		if !ok {
			i = len(groups)
			index[key] = i
			groups = append(groups, Group{Name: s.first, Producers: s.makers, Consumers: slices.Compact(slices.Clone(s.readers))})
		}
		groups[i].Classes = append(groups[i].Classes, class)
	}
	return groups
}

// stand is where a class stands.
type stand struct {
	first           string
	makers, readers []string
}

func (s *stand) make(name string) { s.makers = append(s.makers, name) }
func (s *stand) read(name string) { s.readers = append(s.readers, name) }

// MACs counts the multiply-adds that are left without some classes, from those of every convolution of the whole network.
func (x *Map) MACs(whole map[string]int64, gone map[int]bool) int64 {
	total := int64(0)
	for _, c := range x.Convs() {
		share := left(x.tensors[c.Node.Output()], gone)
		if c.Dense() {
			share *= left(x.tensors[c.Node.Inputs[0]], gone)
		}
		total += int64(share*float64(whole[c.Node.Output()]) + 0.5)
	}
	return total
}

func left(classes []int, gone map[int]bool) float64 {
	if len(classes) == 0 {
		return 1
	}
	return float64(len(kept(classes, gone))) / float64(len(classes))
}

// kept gives the places of the channels that stay.
func kept(classes []int, gone map[int]bool) []int {
	var list []int
	for i, c := range classes {
		if !gone[c] {
			list = append(list, i)
		}
	}
	return list
}

// Kept gives the places of a tensor's channels that stay without some classes.
func (x *Map) Kept(tensor string, gone map[int]bool) []int { return kept(x.tensors[tensor], gone) }
