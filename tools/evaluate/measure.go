package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
)

// Defaults of MeasureOptions.
const (
	DefaultRounds    = 41
	DefaultResamples = 1000
)

// MeasureOptions say what to measure on and how long.
type MeasureOptions struct {
	Data        string                             // folder with images/ and instances.json in COCO form
	MaxPerImage int                                // results of one class in one picture that count; 0: COCO's 100
	Rounds      int                                // of timing; 0: DefaultRounds
	Resamples   int                                // of the pictures, for the interval; 0: DefaultResamples
	Step        func(what string, done, total int) // called after every step, one at a time; may be nil
}

func (o MeasureOptions) step(what string, done, total int) {
	if o.Step != nil {
		o.Step(what, done, total)
	}
}

func (o MeasureOptions) detection(progress func(done, total int)) Options {
	return Options{Data: o.Data, Progress: progress}
}

// Report is what was measured of some models on one folder.
type Report struct {
	Data      string        `json:"data"`    // name of the folder
	Images    int           `json:"images"`  //
	Objects   int           `json:"objects"` // marked, crowds left out
	Machine   string        `json:"machine"` // that the times are of, and what it has for int8
	Runtime   string        `json:"onnxruntime"`
	Rounds    int           `json:"rounds"`
	Resamples int           `json:"resamples"`
	Models    []ModelReport `json:"models"`             // as they were asked for
	Warnings  []string      `json:"warnings,omitempty"` // what somebody who chooses by these figures must know
	Plots     []Plot        `json:"plots,omitempty"`    // what else the page is to show
}

// ModelReport is what was measured of one model.
type ModelReport struct {
	Name       string        `json:"name"` // the file's, with as much of its path as tells it from the others
	File       string        `json:"file"`
	SHA256     string        `json:"sha256"`
	Family     models.Family `json:"family"`
	Width      int           `json:"width"` // of the input, pixels
	Height     int           `json:"height"`
	Accuracy                 // of all pictures
	Recall     float64       `json:"recall"`     // COCO's AR
	Difference Difference    `json:"difference"` // of AP, to the first model
	Size
	Network     Latency      `json:"network"`                // of the network alone
	Whole       Latency      `json:"detection"`              // of letterbox, network, decoding and merging
	DominatedBy string       `json:"dominated_by,omitempty"` // a model that detects as fast and as well or better, "" for none
	Classes     []ClassScore `json:"classes"`                // those with objects, in the order of the data
}

// Measure measures models on one folder, each beside the first. Models are files, with or without a card.
func Measure(ctx context.Context, files []string, o MeasureOptions) (Report, error) {
	if len(files) == 0 {
		return Report{}, errors.New("measure models: name at least one")
	}
	if o.Rounds < 0 || o.Resamples < 0 || o.MaxPerImage < 0 {
		return Report{}, fmt.Errorf("measure models: %d rounds, %d resamples, %d results: must not be negative", o.Rounds, o.Resamples, o.MaxPerImage)
	}
	in, err := ReadFolder(o.Data)
	if err != nil {
		return Report{}, err
	}
	r := Report{Data: folderName(o.Data), Images: len(in.Images), Machine: Machine(),
		Rounds: cmp.Or(o.Rounds, DefaultRounds), Resamples: cmp.Or(o.Resamples, DefaultResamples)}
	for _, a := range in.Annotations {
		r.Objects += 1 - bit(a.Crowd != 0)
	}
	if r.Runtime, err = onnx.Version(""); err != nil {
		return Report{}, err
	}
	specs, err := r.describe(files)
	if err != nil {
		return Report{}, err
	}
	if err := r.measureAccuracy(ctx, in, o); err != nil {
		return Report{}, err
	}
	network, whole, err := timeModels(ctx, specs, in, o)
	if err != nil {
		return Report{}, err
	}
	for i := range r.Models {
		r.Models[i].Network, r.Models[i].Whole = network[i], whole[i]
	}
	r.markDominated()
	r.warnSlow()
	return r, nil
}

// describe reads the files before anything that takes long, so that what is wrong with the last is said at once.
func (r *Report) describe(files []string) ([]models.Spec, error) {
	var specs []models.Spec
	for i, name := range names(files) {
		spec, err := models.Load(files[i])
		if err != nil {
			return nil, err
		}
		size, err := Weigh(spec)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
		r.Models = append(r.Models, ModelReport{Name: name, File: files[i], SHA256: spec.SHA256, Family: spec.Family, Width: spec.Width, Height: spec.Height, Size: size})
	}
	return specs, nil
}

func (r *Report) measureAccuracy(ctx context.Context, in Instances, o MeasureOptions) error {
	choices := draw(r.Resamples, len(in.Images))
	var first []float64
	for i := range r.Models {
		m := &r.Models[i]
		results, err := detectWith(ctx, m.File, in, o.detection(func(done, total int) { o.step("pictures with "+m.Name, done, total) }))
		if err != nil {
			return err
		}
		s := newScorer(in, results, cmp.Or(o.MaxPerImage, maxPerImage))
		m.Accuracy, m.Classes = s.accuracy(nil), s.classes(in.Categories)
		m.Recall = meanRecall(m.Classes)
		aps, err := choices.score(ctx, s)
		if err != nil {
			return err
		}
		if i == 0 {
			first = aps
		}
		m.Difference = interval(first, aps, m.AP-r.Models[0].AP)
	}
	return nil
}

// markDominated finds the models that nobody would choose here.
func (r *Report) markDominated() {
	for i := range r.Models {
		m, best := &r.Models[i], -1.0
		m.DominatedBy = ""
		for _, other := range r.Models {
			as := other.AP >= m.AP && other.Whole.Faster >= m.Whole.Faster
			if better := other.AP > m.AP || other.Whole.Faster > m.Whole.Faster; as && better && other.AP > best {
				m.DominatedBy, best = other.Name, other.AP
			}
		}
	}
}

// names gives each file a short name that no other has: its own, and its path where that is not enough.
func names(files []string) []string {
	list := make([]string, len(files))
	count := map[string]int{}
	for i, f := range files {
		list[i] = strings.TrimSuffix(filepath.Base(f), ".onnx")
		count[list[i]]++
	}
	seen := map[string]int{}
	for i, f := range files {
		if count[list[i]] > 1 {
			list[i] = strings.TrimSuffix(filepath.ToSlash(filepath.Clean(f)), ".onnx")
		}
		if seen[list[i]]++; seen[list[i]] > 1 { // the same file twice shows what noise is worth
			list[i] = fmt.Sprintf("%s (%d)", list[i], seen[list[i]])
		}
	}
	return list
}

func folderName(dir string) string {
	if whole, err := filepath.Abs(dir); err == nil {
		dir = whole
	}
	return filepath.Base(dir)
}
