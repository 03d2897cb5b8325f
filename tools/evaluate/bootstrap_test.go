package evaluate

import (
	"context"
	"errors"
	"math"
	"testing"
)

func differenceOf(t *testing.T, in Instances, first, other []Result, choices int) Difference {
	t.Helper()
	d := draw(choices, len(in.Images))
	a, b := newScorer(in, first, maxPerImage), newScorer(in, other, maxPerImage)
	aps, err := d.score(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	bps, err := d.score(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return interval(aps, bps, b.accuracy(nil).AP-a.accuracy(nil).AP)
}

func TestIntervalOfEqualModelsIsNothing(t *testing.T) {
	in, results := invented(2)
	if d := differenceOf(t, in, results, results, 100); d != (Difference{}) {
		t.Errorf("%+v", d)
	}
}

func TestIntervalIsTheSameEveryTime(t *testing.T) {
	in, results := invented(2)
	worse := results[:len(results)*2/3]
	a, b := differenceOf(t, in, results, worse, 200), differenceOf(t, in, results, worse, 200)
	if a != b || !(a.Low < a.Mean && a.Mean < a.High && a.High < 0) {
		t.Errorf("%+v, then %+v: want the same, all below 0", a, b)
	}
}

// TestIntervalNarrowsWithPictures: half as wide with four times the pictures, and about where the pictures are from.
func TestIntervalNarrowsWithPictures(t *testing.T) {
	wide, narrow := hitAndMiss(t, 50), hitAndMiss(t, 800)
	ratio := (wide.High - wide.Low) / (narrow.High - narrow.Low)
	if ratio < 2.5 || ratio > 6.5 {
		t.Errorf("16 times the pictures: %.2f times narrower, want about 4 (%+v, %+v)", ratio, wide, narrow)
	}
	// One object in a picture, each found with a chance of 0.8 and nothing else: AP is the share found, near 0.8, and the interval
	// that of a share.
	want := 2 * 1.96 * math.Sqrt(0.8*0.2/800)
	if got := narrow.High - narrow.Low; got < 0.7*want || got > 1.4*want {
		t.Errorf("interval %.4f wide, want about %.4f", got, want)
	}
}

// hitAndMiss compares a model that finds everything with one that misses every fifth object.
func hitAndMiss(t *testing.T, pictures int) Difference {
	s := scene{images: pictures}
	var all []Result
	for i := range pictures {
		id := int64(i + 1)
		s.objects = append(s.objects, object(id, 1, 0, 0, 50, 50))
		all = append(all, found(id, 1, 0.9, 0, 0, 50, 50))
		if i%5 != 0 {
			s.results = append(s.results, found(id, 1, 0.9, 0, 0, 50, 50))
		}
	}
	return differenceOf(t, s.instances(), all, s.results, 1000)
}

func TestChoicesWithoutObjectsSayNothing(t *testing.T) {
	s := scene{images: 2, objects: []Annotation{object(1, 1, 0, 0, 50, 50)}, results: []Result{found(1, 1, .9, 0, 0, 50, 50)}}
	if d := differenceOf(t, s.instances(), nil, s.results, 100); d != (Difference{1, 1, 1}) {
		t.Errorf("%+v", d)
	}
	empty := scene{images: 2}
	if d := differenceOf(t, empty.instances(), nil, nil, 10); d != (Difference{}) {
		t.Errorf("without objects: %+v", d)
	}
}

func TestBootstrapStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, results := invented(2)
	if _, err := draw(50, len(in.Images)).score(ctx, newScorer(in, results, maxPerImage)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestQuantiles(t *testing.T) {
	list := []float64{0, 10, 20, 30}
	for share, want := range map[float64]float64{0: 0, 1: 30, 0.5: 15, 0.25: 7.5} {
		if got := quantile(list, share); got != want {
			t.Errorf("%v of %v: %v, want %v", share, list, got, want)
		}
	}
	if got := quantile([]float64{3}, 0.975); got != 3 {
		t.Errorf("of one: %v", got)
	}
}

// BenchmarkBootstrap is 1000 choices of 176 photographs for one model.
func BenchmarkBootstrap(b *testing.B) {
	in, results := invented(1)
	for i := range int64(8) { // as many pictures as a real set has
		more, r := invented(uint64(i + 20))
		for _, m := range more.Images {
			m.ID += 1000 * (i + 1)
			in.Images = append(in.Images, m)
		}
		for _, a := range more.Annotations {
			a.ImageID += 1000 * (i + 1)
			in.Annotations = append(in.Annotations, a)
		}
		for _, x := range r {
			x.ImageID += 1000 * (i + 1)
			results = append(results, x)
		}
	}
	s := newScorer(in, results, maxPerImage)
	d := draw(1000, len(s.images))
	for b.Loop() {
		if _, err := d.score(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
