package prune

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
)

func cutChannels(t testing.TB, m *graph.Model, o ChannelOptions) (*graph.Model, ChannelReport) {
	t.Helper()
	o.Threads = 1
	cut, r, err := Channel(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return cut, r
}

func TestChannelsSaveTheShareThatIsAskedFor(t *testing.T) {
	set := pictures(t, 4)
	for _, amount := range []float64{0.1, 0.3} {
		for _, importance := range []string{OBS, Data, L1} {
			m, r := cutChannels(t, network(), ChannelOptions{Amount: amount, Round: 1, Importance: importance, Calibration: set})
			macs, err := onnxgraph.TotalMACs(m, onnxgraph.RunOptions{})
			if err != nil || macs != r.MACs {
				t.Errorf("the report says %d multiply-adds, the network has %d, %v", r.MACs, macs, err)
			}
			if share := 1 - float64(macs)/float64(r.MACsBefore); share < amount || share > amount+0.15 {
				t.Errorf("%s: saves %.3f, want %g", importance, share, amount)
			}
			if g := r.Groups[0]; len(r.Groups) != 1 || g.Before != 24 || g.After >= 24 || len(r.Barriers) != 2 {
				t.Errorf("groups %+v, barriers %v", r.Groups, r.Barriers)
			}
		}
	}
}

func TestRepairMakesUpForChannels(t *testing.T) {
	set := pictures(t, 12)
	off := map[string]float64{}
	for _, repair := range []string{RepairNone, RepairMix, RepairLS} {
		m, r := cutChannels(t, network(), ChannelOptions{Amount: 0.3, Round: 1, Importance: L1, Repair: repair, Calibration: set})
		off[repair] = distance(t, network(), m, set)
		if repair != RepairNone && r.Error > r.ErrorCut/4 {
			t.Errorf("%s: outputs are off by %.5f, and without repair by %.5f", repair, r.Error, r.ErrorCut)
		}
	}
	if off[RepairMix] > off[RepairNone]/4 || off[RepairLS] > 1.05*off[RepairMix] {
		t.Errorf("off by %v", off)
	}
}

// TestOfTwinsOneStays: only what is lost when the others make up for it sees that either of two twins is of no use, but not both.
func TestOfTwinsOneStays(t *testing.T) {
	c, err := newChannel(network(), ChannelOptions{Amount: 0.1, Calibration: pictures(t, 1), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	const n, one, other = 24, 2, 5
	l := c.layers["y"] // which reads all of them, those two five times as strongly
	for o := range 10 {
		l.weights[o*n+one] *= 5
		l.weights[o*n+other] *= 5
	}
	s := leastsquares.NewSamples(n+1, 0)
	for i := range n {
		s.Square[i*(n+1)+i] = 1
	}
	s.Square[n*(n+1)+n] = 1
	s.Square[one*(n+1)+other], s.Square[other*(n+1)+one] = 0.999, 0.999
	c.stats = map[string]*moments{"b1": momentsOf(s)}
	g := c.x.Groups()[0]
	for importance, want := range map[string]int{OBS: 1, Data: 0} {
		c.o.Importance = importance
		gone := 0
		for _, class := range c.order(g, 12) {
			if class == g.Classes[one] || class == g.Classes[other] {
				gone++
			}
		}
		if gone != want {
			t.Errorf("%s: %d of the twins go, want %d", importance, gone, want)
		}
	}
}

// TestWhatNothingDependsOnGoesFirst: however much it adds to outputs that the detections do not look at.
func TestWhatNothingDependsOnGoesFirst(t *testing.T) {
	c, err := newChannel(network(), ChannelOptions{Amount: 0.1, Calibration: pictures(t, 1), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	const n, idle = 24, 7
	l := c.layers["y"]
	for o := range 10 {
		l.weights[o*n+idle] *= 10
	}
	l.weights[idle] = 0
	s := leastsquares.NewSamples(n+1, 0)
	for i := range n + 1 {
		s.Square[i*(n+1)+i] = 1
	}
	c.stats = map[string]*moments{"b1": momentsOf(s)}
	g := c.x.Groups()[0]
	if slices.Contains(c.order(g, 12), g.Classes[idle]) {
		t.Error("a channel that adds much goes")
	}
	c.stakes = map[string][]float64{"y": make([]float64, 10)}
	c.stakes["y"][0] = 1
	if first := c.order(g, 12)[0]; first != g.Classes[idle] {
		t.Errorf("class %d goes first, want %d", first, g.Classes[idle])
	}
}

func TestWidthsAreMultiples(t *testing.T) {
	for _, c := range []struct {
		round, width int
		gone         []int
	}{
		{0, 16, []int{8}}, {0, 24, []int{8}}, {0, 32, []int{16}}, {0, 64, []int{16, 32}}, {0, 128, []int{16, 32, 48, 64}}, {0, 256, []int{32, 64, 96, 128}},
		{0, 8, []int{2, 4}}, {0, 3, []int{1}}, {0, 1, nil}, {1, 16, []int{2, 4, 6, 8}}, {8, 32, []int{8, 16}}, {16, 16, nil}, {16, 24, []int{8}}, {32, 48, []int{16}},
	} {
		var gone []int
		for _, l := range (ChannelOptions{Round: c.round}).levelsFor(c.width) {
			gone = append(gone, l.gone)
		}
		if !slices.Equal(gone, c.gone) {
			t.Errorf("round %d, width %d: %v go, want %v", c.round, c.width, gone, c.gone)
		}
	}
}

func TestNoChannelsRemovedIsTheSameNetwork(t *testing.T) {
	want, err := network().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m, _ := cutChannels(t, network(), ChannelOptions{Calibration: pictures(t, 3)})
	if got, err := m.Marshal(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("amount 0 changes the network, %v", err)
	}
}

func TestSameInputsGiveTheSameChannels(t *testing.T) {
	var made [2][]byte
	set := pictures(t, 4)
	for i := range made {
		m, _ := cutChannels(t, network(), ChannelOptions{Amount: 0.2, Round: 1, Calibration: set})
		var err error
		if made[i], err = m.Marshal(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two runs gave two networks")
	}
}

func TestChannelsThatCannotGoAreRefused(t *testing.T) {
	set := pictures(t, 2)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for want, c := range map[string]struct {
		ctx context.Context
		o   ChannelOptions
	}{
		"amount NaN":     {t.Context(), ChannelOptions{Amount: math.NaN(), Calibration: set}},
		"amount 1":       {t.Context(), ChannelOptions{Amount: 1, Calibration: set}},
		"round -1":       {t.Context(), ChannelOptions{Round: -1, Calibration: set}},
		`"magic"`:        {t.Context(), ChannelOptions{Importance: "magic", Calibration: set}},
		`repair "magic"`: {t.Context(), ChannelOptions{Repair: "magic", Calibration: set}},
		"--calib":        {t.Context(), ChannelOptions{Amount: 0.1}},
		"can be saved":   {t.Context(), ChannelOptions{Amount: 0.9, Calibration: set}},
		"canceled":       {cancelled, ChannelOptions{Amount: 0.1, Calibration: set}},
	} {
		c.o.Threads = 1
		if m, _, err := Channel(c.ctx, network(), c.o); err == nil || m != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
