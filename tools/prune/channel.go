package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/judge"
	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
	"github.com/sightline/sightline/tools/prune/channels"
	"github.com/sightline/sightline/tools/prune/gradient"
)

// The ways of making up for channels that are gone.
const (
	RepairNone = "none"
	RepairMix  = "mix"  // the others' weights, once, by the covariance of channels
	RepairLS   = "ls"   // mix, then layer after layer by least squares
	RepairTune = "tune" // ls, then all layers together by gradients
)

// judged is how many pictures sensitivity is measured on, and tuning. Nothing else is learnt from them, as long as there are others: what
// was learnt by heart would look well there.
const judged = 16

// looked is how many pictures statistics, stakes and least squares are of: more give nothing. Tuning learns from all.
const looked = 64

// ChannelOptions say which channels are cut out, and how the rest makes up for them.
type ChannelOptions struct {
	Amount      float64         // share of the multiply-adds that are saved, 0 to below 1
	Round       int             // widths become multiples of it; 0: of 16, and of 8 where a group is narrow
	Importance  string          // OBS, Data or L1; "": OBS
	Repair      string          // RepairNone, RepairMix, RepairLS or RepairTune; "": RepairLS
	Passes      int             // over the pictures, by RepairTune
	Head        *onnxgraph.Head // of the network, nil where its tail was not cut off
	Calibration *calibrate.Set
	Library     string // of onnxruntime; "": found by itself
	Threads     int    // 0: one for each processor
	Progress    func(what string, done, total int)
}

type progress func(what string, done, total int)

func (p progress) show(what string, done, total int) {
	if p != nil {
		p(what, done, total)
	}
}

// ChannelReport says what was cut out and what became of the outputs. Errors are those of judge.Judge on some of the pictures.
type ChannelReport struct {
	MACsBefore int64              `json:"macs_before" yaml:"macs_before"`
	MACs       int64              `json:"macs" yaml:"macs"`
	Importance string             `json:"importance" yaml:"importance"`
	Repair     string             `json:"repair" yaml:"repair"`
	Pictures   int                `json:"pictures" yaml:"pictures"`
	ErrorCut   float64            `json:"error_cut" yaml:"error_cut"`                     // without repair
	Error      float64            `json:"error" yaml:"error"`                             // as written
	NotTuned   string             `json:"not_tuned,omitempty" yaml:"not_tuned,omitempty"` // why RepairTune was not done
	Groups     []ChannelGroup     `json:"groups" yaml:"-"`
	Barriers   []channels.Barrier `json:"barriers" yaml:"-"`
}

// ChannelGroup is a group of channels that could have been cut out.
type ChannelGroup struct {
	Name      string    `json:"name"` // of its first tensor
	Before    int       `json:"before"`
	After     int       `json:"after"`
	Producers []string  `json:"producers"`
	Consumers []string  `json:"consumers"`
	Levels    []int     `json:"levels"` // widths that were tried
	Errors    []float64 `json:"errors"` // of the outputs at each width, when only this group is cut
}

// channel is one network on its way.
type channel struct {
	o          ChannelOptions
	run        onnxgraph.RunOptions
	progress   progress
	whole      *graph.Model
	x          *channels.Map
	layers     map[string]*layer // of the whole network, by output
	macs       map[string]int64
	learnt     *calibrate.Set
	pictures   *calibrate.Album // some of them
	stats      map[string]*moments
	stakes     map[string][]float64 // of the layers' outputs, nil where they are not known
	judge      *judge.Judge
	candidates []*candidate
	report     ChannelReport
}

// Channel cuts channels out of a network that Simplify has been through, so that it computes less. Amount 0 gives the same network.
func Channel(ctx context.Context, m *graph.Model, o ChannelOptions) (*graph.Model, ChannelReport, error) {
	c, err := newChannel(m, o)
	if err != nil {
		return nil, ChannelReport{}, fmt.Errorf("prune: %w", err)
	}
	if o.Amount == 0 {
		return m.Clone(), c.report, nil
	}
	cut, err := c.prune(ctx)
	if err != nil {
		return nil, ChannelReport{}, fmt.Errorf("prune: %w", err)
	}
	return cut, c.report, cut.Check()
}

func (o ChannelOptions) check() error {
	switch {
	case !(o.Amount >= 0 && o.Amount < 1):
		return fmt.Errorf("amount %g: must be 0 to below 1, the share of multiply-adds that are saved", o.Amount)
	case o.Round < 0:
		return fmt.Errorf("round %d: must be 0 or more", o.Round)
	case !slices.Contains([]string{"", OBS, Data, L1}, o.Importance):
		return fmt.Errorf("importance %.40q: must be obs, data or l1", o.Importance)
	case !slices.Contains([]string{"", RepairNone, RepairMix, RepairLS, RepairTune}, o.Repair):
		return fmt.Errorf("repair %.40q: must be tune, ls, mix or none", o.Repair)
	case o.Calibration == nil || o.Calibration.Len() == 0:
		return errors.New("calibration pictures are needed; name a folder with --calib")
	}
	return nil
}

func newChannel(m *graph.Model, o ChannelOptions) (*channel, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Importance == "" {
		o.Importance = OBS
	}
	if o.Repair == "" {
		o.Repair = RepairLS
	}
	m = withoutConstants(m)
	c := &channel{o: o, progress: o.Progress, whole: m, layers: map[string]*layer{}}
	c.run = UnstructuredOptions{Library: o.Library, Threads: o.Threads}.run()
	layers, err := layersOf(m)
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		c.layers[l.node.Output()] = l
	}
	c.x = channels.Find(m)
	if c.macs, err = onnxgraph.MACs(m, c.run); err != nil {
		return nil, err
	}
	all := c.x.MACs(c.macs, nil)
	c.report = ChannelReport{MACsBefore: all, MACs: all, Importance: o.Importance, Repair: o.Repair, Pictures: o.Calibration.Len(), Barriers: c.x.Barriers()}
	return c, nil
}

func (c *channel) prune(ctx context.Context) (*graph.Model, error) {
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	if c.o.Importance == OBS {
		if err := c.lookAtStakes(ctx); err != nil {
			return nil, err
		}
	}
	for _, g := range c.x.Groups() {
		levels := c.o.levelsFor(len(g.Classes))
		if len(levels) == 0 {
			continue
		}
		c.candidates = append(c.candidates, &candidate{group: g, order: c.order(g, levels[len(levels)-1].gone), levels: levels})
	}
	if err := c.tryAll(ctx); err != nil {
		return nil, err
	}
	if err := c.choose(); err != nil {
		return nil, err
	}
	return c.finish(ctx)
}

// look reads the pictures and sees what the whole network makes of them.
func (c *channel) look(ctx context.Context) error {
	shape, err := c.whole.InputShape()
	if err != nil {
		return err
	}
	learnt, apart := split(c.o.Calibration)
	c.learnt = learnt
	if c.pictures, err = learnt.First(looked).Album(ctx, shape); err != nil {
		return err
	}
	if c.judge, err = judge.New(ctx, c.whole, c.o.Head, apart, c.run, judge.Detections); err != nil {
		return err
	}
	p, err := leastsquares.NewMultiplier(c.run)
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // frees memory
	session, err := onnxgraph.Open(c.whole, c.observed(), c.run)
	if err != nil {
		return err
	}
	defer session.Close() //nolint:errcheck // frees memory
	c.stats, err = observe(session, c.pictures, p, c.progress)
	return err
}

// split takes a quarter of the pictures to judge by, or as many as are enough.
func split(set *calibrate.Set) (learnt, apart *calibrate.Set) {
	apart = set.First(max(1, min(judged, set.Len()/4)))
	if learnt = set.Without(apart); learnt.Len() == 0 {
		learnt = set
	}
	return learnt, apart
}

// observed are the tensors that dense convolutions read.
func (c *channel) observed() []string {
	var names []string
	for _, n := range c.whole.Graph.Nodes {
		if l := c.layers[n.Output()]; l != nil && n.Int("group", 1) == 1 && c.whole.Graph.Producer(n.Inputs[0]) != nil && !slices.Contains(names, n.Inputs[0]) {
			names = append(names, n.Inputs[0])
		}
	}
	return names
}

// finish cuts what was chosen, repairs, and reports.
func (c *channel) finish(ctx context.Context) (*graph.Model, error) {
	gone := c.gone()
	cut, err := c.x.Cut(c.whole, gone)
	if err != nil {
		return nil, err
	}
	if c.report.ErrorCut, err = c.judge.Error(cut); err != nil {
		return nil, err
	}
	if c.o.Repair != RepairNone {
		if cut, err = c.mixed(gone); err == nil {
			cut, err = c.x.Cut(cut, gone)
		}
	}
	if err == nil && (c.o.Repair == RepairLS || c.o.Repair == RepairTune) {
		err = c.leastSquares(ctx, cut, gone)
	}
	if err != nil {
		return nil, err
	}
	c.fill(gone)
	if c.report.Error, err = c.judge.Error(cut); err != nil || c.o.Repair != RepairTune {
		return cut, err
	}
	return c.tuned(ctx, cut, gone)
}

// tuned is the network after tuning, as it was where that takes it no nearer to the whole one, or where not all its gradients are known.
func (c *channel) tuned(ctx context.Context, cut *graph.Model, gone map[int]bool) (*graph.Model, error) {
	before := c.report.Error
	var err error
	c.report.Error, err = c.tune(ctx, cut, gone, c.o.Passes, before)
	switch {
	case errors.Is(err, gradient.ErrUnknown):
		c.report.Repair, c.report.NotTuned, c.report.Error = RepairLS, err.Error(), before
		return cut, nil
	case err == nil && c.report.Error >= before:
		c.report.Repair, c.report.NotTuned = RepairLS, "it took the detections no nearer"
	}
	return cut, err
}

func (c *channel) fill(gone map[int]bool) {
	c.report.MACs = c.x.MACs(c.macs, gone)
	for _, k := range c.candidates {
		width := len(k.group.Classes)
		g := ChannelGroup{
			Name: k.group.Name, Before: width, After: width - k.taken(k.now), Producers: k.group.Producers, Consumers: k.group.Consumers,
		}
		for _, l := range k.levels {
			g.Levels, g.Errors = append(g.Levels, width-l.gone), append(g.Errors, l.error)
		}
		c.report.Groups = append(c.report.Groups, g)
	}
}

// withoutConstants makes initializers of all Constant nodes, so that there is one place where kernels are.
func withoutConstants(m *graph.Model) *graph.Model {
	m = m.Clone()
	m.Graph.Nodes = slices.DeleteFunc(m.Graph.Nodes, func(n *graph.Node) bool {
		t := n.Attrs["value"].Tensor
		if n.Op != "Constant" || t == nil {
			return false
		}
		m.Graph.Initializers[n.Output()] = t
		return true
	})
	return m
}
