// Package compress makes small models of big ones by a recipe: the same inputs give the same bytes.
package compress

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/tools/onnxgraph"
	"github.com/sightline/sightline/tools/prune"
	"github.com/sightline/sightline/tools/quantize"
)

// Schema is the version of the recipe's form.
const Schema = "sightline.recipe/1"

// Recipe says what becomes of a model, in this order: input, prune, quantize, check. Steps that are nil are left out.
type Recipe struct {
	Schema   string    `yaml:"schema" json:"schema"`
	Input    string    `yaml:"input,omitempty" json:"input,omitempty"` // see onnxgraph.ParseSize; "": as it is
	Prune    *Prune    `yaml:"prune,omitempty" json:"prune,omitempty"`
	Quantize *Quantize `yaml:"quantize,omitempty" json:"quantize,omitempty"`
	Check    *Check    `yaml:"check,omitempty" json:"check,omitempty"`
}

// The ways of pruning.
const (
	Unstructured = "unstructured" // single weights become zero: the compressed file shrinks
	Channel      = "channel"      // whole channels go: the time shrinks
)

// Prune says what is left out.
type Prune struct {
	Method string  `yaml:"method" json:"method"`
	Amount float64 `yaml:"amount" json:"amount"`                   // share of the weights (unstructured) or of the multiply-adds (channel)
	Scope  string  `yaml:"scope,omitempty" json:"scope,omitempty"` // unstructured: global (default) or layer
	Repair string  `yaml:"repair" json:"repair"`                   // ls (default), mix (channel) or none
	Round  int     `yaml:"round,omitempty" json:"round,omitempty"` // channel: widths are multiples of it; 0: see prune.ChannelOptions
	// Importance is how channel orders channels: obs (default), data or l1.
	Importance string `yaml:"importance,omitempty" json:"importance,omitempty"`
	Pictures   int    `yaml:"pictures" json:"pictures"` // to learn from, at most
}

// The ways of quantising.
const (
	Static  = "static"  // ranges are found beforehand, on pictures
	Dynamic = "dynamic" // ranges are found while the network runs: a small file, that is slower on most processors
)

// Quantize says how the network becomes int8.
type Quantize struct {
	Mode     string   `yaml:"mode" json:"mode"`
	Target   string   `yaml:"target" json:"target"`
	Pictures int      `yaml:"pictures" json:"pictures"`                     // for calibration, at most
	MaxDrop  *float64 `yaml:"max_drop,omitempty" json:"max_drop,omitempty"` // points of AP; parts stay float until it holds
}

// Check says what the result must hold. Otherwise nothing is written.
type Check struct {
	MaxDrop *float64 `yaml:"max_drop,omitempty" json:"max_drop,omitempty"` // points of AP, against the original
}

func defaultPrune() *Prune {
	return &Prune{Method: Unstructured, Repair: "ls", Pictures: 64}
}

func defaultQuantize() *Quantize {
	return &Quantize{Mode: Static, Target: quantize.CPU, Pictures: 300}
}

// problem is a rule that a recipe breaks.
type problem struct{ key, text string }

// problems tells all at once.
func (r Recipe) problems() []problem {
	var all []problem
	that := func(ok bool, key, format string, args ...any) {
		if !ok {
			all = append(all, problem{key, fmt.Sprintf(format, args...)})
		}
	}
	that(r.Schema == Schema, "schema", "must be %s, is %.40q", Schema, r.Schema)
	if r.Input != "" {
		_, err := onnxgraph.ParseSize(r.Input)
		that(err == nil, "input", "%v", err)
	}
	that(r.Input != "" || r.Prune != nil || r.Quantize != nil, "", "changes nothing: give it one of input, prune and quantize")
	if p := r.Prune; p != nil {
		p.problems(that)
	}
	if q := r.Quantize; q != nil {
		that(q.Mode == Static || q.Mode == Dynamic, "quantize.mode", "must be static or dynamic, is %.40q", q.Mode)
		targets := []string{quantize.CPU, quantize.AVX2, quantize.ARM64, quantize.TensorRT}
		that(slices.Contains(targets, q.Target), "quantize.target", "must be cpu, avx2, arm64 or trt, is %.40q", q.Target)
		that(q.Mode != Dynamic || q.Target != quantize.TensorRT, "quantize.target", "trt is for the mode static alone")
		that(q.Mode != Dynamic || q.MaxDrop == nil, "quantize.max_drop", "is for the mode static alone: use check.max_drop")
		that(q.Pictures > 0, "quantize.pictures", "must be above 0, is %d", q.Pictures)
		that(q.MaxDrop == nil || sound(*q.MaxDrop), "quantize.max_drop", "must be 0 to 100 points")
	}
	if c := r.Check; c != nil {
		that(c.MaxDrop != nil, "check", "asks for nothing: give it max_drop")
		that(c.MaxDrop == nil || sound(*c.MaxDrop), "check.max_drop", "must be 0 to 100 points")
	}
	return all
}

func (p Prune) problems(that func(ok bool, key, format string, args ...any)) {
	that(p.Method == Unstructured || p.Method == Channel, "prune.method", "must be unstructured or channel, is %.40q", p.Method)
	that(p.Amount > 0 && p.Amount < 1, "prune.amount", "must be above 0 and below 1, is %g", p.Amount)
	that(p.Pictures > 0, "prune.pictures", "must be above 0, is %d", p.Pictures)
	repairs := []string{"ls", "none"}
	if p.Method == Channel {
		repairs = []string{"ls", "mix", "none"}
		that(p.Scope == "", "prune.scope", "is for the method unstructured alone")
		that(p.Round >= 0 && p.Round <= 64, "prune.round", "must be 1 to 64, is %d", p.Round)
		orders := []string{"", prune.OBS, prune.Data, prune.L1}
		that(slices.Contains(orders, p.Importance), "prune.importance", "must be obs, data or l1, is %.40q", p.Importance)
	} else {
		that(slices.Contains([]string{"", "global", "layer"}, p.Scope), "prune.scope", "must be global or layer, is %.40q", p.Scope)
		that(p.Round == 0, "prune.round", "is for the method channel alone")
		that(p.Importance == "", "prune.importance", "is for the method channel alone")
	}
	that(slices.Contains(repairs, p.Repair), "prune.repair", "must be one of %s, is %.40q", strings.Join(repairs, ", "), p.Repair)
}

func sound(points float64) bool { return points >= 0 && points <= 100 && !math.IsNaN(points) }

// NeedsPictures tells whether a step learns from pictures.
func (r Recipe) NeedsPictures() bool {
	return r.Quantize != nil && r.Quantize.Mode == Static || r.Prune != nil && (r.Prune.Repair != "none" || r.Prune.Method == Channel)
}

// NeedsMarks tells whether a step measures accuracy.
func (r Recipe) NeedsMarks() bool {
	return r.Check != nil || r.Quantize != nil && r.Quantize.MaxDrop != nil
}

func (r Recipe) size() onnxgraph.Size {
	if r.Input == "" {
		return onnxgraph.Size{}
	}
	s, _ := onnxgraph.ParseSize(r.Input) // was checked
	return s
}

// plain is the recipe as a card holds it.
func (r Recipe) plain() (map[string]any, error) {
	text, err := yaml.Marshal(r)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	err = yaml.Unmarshal(text, &m)
	return m, err
}
