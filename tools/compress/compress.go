package compress

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/prune"
	"github.com/sightline/sightline/tools/quantize"
)

// Options say what a recipe is applied with.
type Options struct {
	Recipe   Recipe
	Calib    string // folder with pictures, for steps that learn from them
	Eval     string // folder in COCO form, for steps that measure accuracy
	Measure  string // folder in COCO form, for the figures in the report; "": sizes alone
	URL      string // of the original, where its card does not say it
	Licence  string // of the original, where its card does not say it
	Command  string // for the card
	Warn     func(text string)
	Progress func(what string, done, total int)
}

// Check tells whether the recipe has what it needs.
func (o Options) Check() error {
	switch {
	case o.Recipe.NeedsPictures() && o.Calib == "":
		return errors.New("the recipe learns from pictures: name a folder with --calib")
	case o.Recipe.NeedsMarks() && o.Eval == "":
		return errors.New("the recipe measures accuracy (max_drop): name a folder in COCO form with --eval")
	}
	return nil
}

// Report says what was done and what came of it.
type Report struct {
	Recipe      Recipe                  `json:"recipe"`
	Input       Resized                 `json:"input"`
	Calibration *Calibration            `json:"calibration,omitempty"`
	Pruned      *prune.Report           `json:"pruned,omitempty"`
	Cut         *prune.ChannelReport    `json:"cut,omitempty"` // of channels
	Quantised   *quantize.Report        `json:"quantised,omitempty"`
	Dynamic     *quantize.DynamicReport `json:"dynamic,omitempty"`
	Barriers    []string                `json:"barriers,omitempty"` // operators that are not known here, and were left alone
	Sizes       Pair[Sizes]             `json:"sizes"`
	Checked     *Checked                `json:"checked,omitempty"`
	Measured    *Figures                `json:"measured,omitempty"`
	Machine     Machine                 `json:"machine"`
	SHA256      string                  `json:"sha256"` // of the new model file
}

// Resized is the input before and after, width x height.
type Resized struct {
	From string `json:"from" yaml:"from"`
	To   string `json:"to" yaml:"to"`
}

// Calibration says which pictures were learnt from.
type Calibration struct {
	Folder   string `json:"folder" yaml:"folder"`
	Pictures int    `json:"pictures" yaml:"pictures"`
	SHA256   string `json:"sha256" yaml:"sha256"` // of all of them
}

// Run makes the bundle out of the model file in. Nothing is seen of it before it is whole, checked and measured.
func Run(ctx context.Context, in, out string, o Options) (Report, error) {
	if err := errors.Join(bundle.CheckOut(in, out), o.Check()); err != nil {
		return Report{}, err
	}
	w := &work{o: o, in: in}
	if err := w.run(ctx); err != nil {
		return Report{}, err
	}
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("compress %s: %w", in, err)
	}
	if err := bundle.Write(out, w.model, w.cardWithReport()); err != nil {
		return Report{}, err
	}
	spec, err := models.Load(out)
	w.report.SHA256 = spec.SHA256
	return w.report, err
}

// work is one model on its way.
type work struct {
	o        Options
	in       string
	original bundle.Original
	model    *graph.Model
	card     models.Card
	report   Report
}

func (w *work) run(ctx context.Context) (err error) {
	w.report.Recipe = w.o.Recipe
	if w.report.Machine, err = ThisMachine(); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err // names the file
	}
	for _, step := range []func(context.Context) error{w.prune, w.quantize, w.prove, w.weigh, w.check, w.measure} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("compress %s: %w", w.in, err)
		}
	}
	return nil
}

func (w *work) open() (err error) {
	before, err := models.Load(w.in)
	if err != nil {
		return err
	}
	if w.original, err = bundle.Open(w.in, w.o.Recipe.size()); err != nil {
		return err
	}
	w.model, w.report.Barriers = w.original.Model, w.original.Barriers
	if len(w.report.Barriers) > 0 && w.o.Warn != nil {
		w.o.Warn("operators that are not known here, and stay as they are: " + strings.Join(w.report.Barriers, ", "))
	}
	spec := w.original.Spec
	w.report.Input = Resized{fmt.Sprintf("%dx%d", before.Width, before.Height), fmt.Sprintf("%dx%d", spec.Width, spec.Height)}
	w.card = w.original.Card(w.o.URL, w.o.Licence, w.o.Command)
	w.card.Recipe, err = w.o.Recipe.plain()
	return err
}

// pictures opens the calibration folder, and notes in the report what is in it where all of it is used.
func (w *work) pictures(ctx context.Context, limit int) (*calibrate.Set, error) {
	set, err := OpenPictures(ctx, w.o.Calib, w.original.Spec, limit, w.o.Warn)
	if err != nil {
		return nil, err
	}
	if c := w.report.Calibration; c != nil && c.Pictures >= set.Len() {
		return set, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sum, err := set.Hash()
	w.report.Calibration = &Calibration{filepath.Base(filepath.Clean(w.o.Calib)), set.Len(), sum}
	return set, err
}

func (w *work) prune(ctx context.Context) error {
	p := w.o.Recipe.Prune
	if p == nil {
		return nil
	}
	var set *calibrate.Set
	if p.Repair != prune.RepairNone || p.Method == Channel {
		var err error
		if set, err = w.pictures(ctx, p.Pictures); err != nil {
			return err
		}
	}
	if p.Method == Channel {
		m, report, err := prune.Channel(ctx, w.model, prune.ChannelOptions{
			Amount: p.Amount, Round: p.Round, Importance: p.Importance, Repair: p.Repair, Head: w.original.Head, Calibration: set, Progress: w.o.Progress,
		})
		w.model, w.report.Cut = m, &report
		return err
	}
	m, report, err := prune.Unstructured(ctx, w.model, prune.UnstructuredOptions{
		Amount: p.Amount, PerLayer: p.Scope == "layer", Calibration: set, Progress: w.o.Progress,
	})
	w.model, w.report.Pruned = m, &report
	return err
}

func (w *work) quantize(ctx context.Context) error {
	q := w.o.Recipe.Quantize
	switch {
	case q == nil:
		return nil
	case q.Mode == Dynamic:
		m, report, err := quantize.Dynamic(w.model, quantize.DynamicOptions{Target: q.Target})
		w.model, w.report.Dynamic = m, &report
		return err
	}
	set, err := w.pictures(ctx, q.Pictures)
	if err != nil {
		return err
	}
	o := quantize.StaticOptions{Calibration: set, Target: q.Target, Progress: w.o.Progress}
	if q.MaxDrop != nil {
		o.MaxDrop = *q.MaxDrop
		if o.Evaluate, err = Evaluator(w.o.Eval, w.card); err != nil {
			return err
		}
	}
	quantise := quantize.Static
	if q.Target == quantize.TensorRT {
		quantise = quantize.ForTensorRT
	}
	m, report, err := quantise(ctx, w.model, w.original.Head, w.original.Spec, o)
	w.model, w.report.Quantised = m, &report
	return err
}

// cardWithReport is the card as it lies beside the file.
func (w *work) cardWithReport() models.Card {
	r, c := w.report, w.card
	c.Report = map[string]any{"input": r.Input, "sizes": r.Sizes, "machine": r.Machine}
	add := func(key string, there bool, value any) {
		if there {
			c.Report[key] = value
		}
	}
	add("calibration", r.Calibration != nil, r.Calibration)
	add("pruned", r.Pruned != nil, r.Pruned)
	add("cut", r.Cut != nil, r.Cut)
	add("quantised", r.Quantised != nil, r.Quantised)
	if r.Quantised != nil {
		add("sensitivity", true, r.Quantised.Sensitivity())
	}
	add("dynamic", r.Dynamic != nil, r.Dynamic)
	add("barriers", len(r.Barriers) > 0, r.Barriers)
	add("checked", r.Checked != nil, r.Checked)
	add("measured", r.Measured != nil, r.Measured)
	return c
}
