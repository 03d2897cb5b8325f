package prune

import (
	"context"
	"fmt"
	"maps"
	"math"

	"github.com/sightline/sightline/tools/prune/channels"
)

// candidate is a group of channels with what it costs to let some of them go.
type candidate struct {
	group  channels.Group
	order  []int // classes, those that matter least first
	levels []level
	now    int // how many levels are taken
}

// level is a number of classes that go.
type level struct {
	gone  int
	error float64 // of the network's outputs when only these go
}

// eighths are the steps in which groups are tried; at most half of a group goes.
const eighths = 4

// roundFor is what the widths of a group are multiples of: blocks of 16 are what processors with AVX-512 compute in. Groups too narrow for
// that keep blocks of 8.
func (o ChannelOptions) roundFor(width int) int {
	switch {
	case o.Round > 0:
		return o.Round
	case width >= 32:
		return 16
	case width >= 16:
		return 8
	}
	return max(1, width/4)
}

// levelsFor gives how many of a group's channels may go, the fewest first.
func (o ChannelOptions) levelsFor(width int) []level {
	var list []level
	round := o.roundFor(width)
	for i := 1; i <= eighths; i++ {
		left := int(math.Round(float64(width)*(1-float64(i)/8)/float64(round))) * round
		if gone := width - left; left*2 >= width && gone > 0 && (len(list) == 0 || gone > list[len(list)-1].gone) {
			list = append(list, level{gone: gone})
		}
	}
	return list
}

// tryAll measures every level of every group alone.
func (c *channel) tryAll(ctx context.Context) error {
	total, done := 0, 0
	for _, k := range c.candidates {
		total += len(k.levels)
	}
	for _, k := range c.candidates {
		for i := range k.levels {
			if err := ctx.Err(); err != nil {
				return err
			}
			e, err := c.try(set(k.order[:k.levels[i].gone]))
			if err != nil {
				return fmt.Errorf("group %.80s: %w", k.group.Name, err)
			}
			k.levels[i].error = e
			done++
			c.progress.show("sensitivity", done, total)
		}
	}
	return nil
}

// try gives the error of the network without some classes.
func (c *channel) try(gone map[int]bool) (float64, error) {
	m, err := c.mixed(gone)
	if err != nil {
		return 0, err
	}
	if m, err = c.x.Cut(m, gone); err != nil {
		return 0, err
	}
	return c.judge.Error(m)
}

func set(classes []int) map[int]bool {
	s := map[int]bool{}
	for _, c := range classes {
		s[c] = true
	}
	return s
}

// gone are the classes that go by the levels that are taken.
func (c *channel) gone() map[int]bool {
	all := map[int]bool{}
	for _, k := range c.candidates {
		maps.Copy(all, set(k.order[:k.taken(k.now)]))
	}
	return all
}

func (k *candidate) taken(levels int) int {
	if levels == 0 {
		return 0
	}
	return k.levels[levels-1].gone
}

func (k *candidate) errorAt(levels int) float64 {
	if levels == 0 {
		return 0
	}
	return k.levels[levels-1].error
}

// powers of the groups' errors whose sum may be what they are off together: errors that have nothing to do with each other add up like
// squares, such as push the same way plainly, and what prevails differs from network to network.
var powers = []float64{1, 1.5}

// choose allocates by each of the powers, and takes what is nearest to the whole network.
func (c *channel) choose() error {
	var best []int
	least := math.Inf(1)
	for _, power := range powers {
		if err := c.allocate(power); err != nil {
			return err
		}
		e, err := c.try(c.gone())
		if err != nil {
			return err
		}
		if best == nil || e < least {
			best, least = c.taken(), e
		}
	}
	for i, k := range c.candidates {
		k.now = best[i]
	}
	return nil
}

// taken are how many levels of each group are taken.
func (c *channel) taken() []int {
	var list []int
	for _, k := range c.candidates {
		list = append(list, k.now)
	}
	return list
}

// allocate takes levels until the share of multiply-adds is saved, each time the one that saves most for the error that it adds.
func (c *channel) allocate(power float64) error {
	for _, k := range c.candidates {
		k.now = 0
	}
	all := c.x.MACs(c.macs, nil)
	target := int64(float64(all) * (1 - c.o.Amount))
	for {
		left := c.x.MACs(c.macs, c.gone())
		if left <= target {
			return nil
		}
		k, to := c.cheapest(left, target, power)
		if k == nil {
			return fmt.Errorf("only %.1f %% of the multiply-adds can be saved with half of every group gone: ask for less than %g", 100*float64(all-left)/float64(all), c.o.Amount)
		}
		k.now = to
	}
}

// cheapest finds the next step. What it saves beyond the target counts for nothing.
func (c *channel) cheapest(left, target int64, power float64) (*candidate, int) {
	var best *candidate
	to, least := 0, math.Inf(1)
	for _, k := range c.candidates {
		was := k.now
		for n := was + 1; n <= len(k.levels); n++ {
			k.now = n
			saved := left - max(target, c.x.MACs(c.macs, c.gone()))
			cost := max(1e-9, math.Pow(k.errorAt(n), power)-math.Pow(k.errorAt(was), power)) / float64(max(1, saved))
			if saved > 0 && cost < least {
				best, to, least = k, n, cost
			}
		}
		k.now = was
	}
	return best, to
}
