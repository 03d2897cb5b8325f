package quantize

import (
	"math"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

// TestChannelsReachBeyondWhatWasSeen: few pictures do not show how far a channel goes, and far below zero a SiLU makes nothing of a value.
func TestChannelsReachBeyondWhatWasSeen(t *testing.T) {
	a := wide([]extent{{-20, 1}, {-1, 10}, {-3, -2}})
	for c, want := range [][2]float64{{nothing, 1.25}, {-1.25, 12.5}, {-3.75, 0}} {
		of := a.of(c)
		if of.low() < want[0]-2*of.scale || of.low() > want[0]+2*of.scale || of.high() < want[1]-2*of.scale || of.value(of.zero) != 0 {
			t.Errorf("channel %d has levels from %g to %g, want %v", c, of.low(), of.high(), want)
		}
	}
}

// TestFactorsBringChannelsNearerToEachOther: half way, and none beyond the levels.
func TestFactorsBringChannelsNearerToEachOther(t *testing.T) {
	channels := []extent{{-5, 100}, {-5, 1}, {-0.1, 0.5}, {-3, -2}}
	a := evenly(channels)
	for c, e := range channels {
		top, low := silu(e.max)*a.factors[c], lowOfSiLU(e.min)*a.factors[c]
		if e.max > 0 && top > a.high()+a.scale || low < a.low()-a.scale || a.factors[c] <= 0 {
			t.Errorf("channel %d goes from %g to %g, beyond the levels from %g to %g", c, low, top, a.low(), a.high())
		}
	}
	if ratio := a.factors[1] / a.factors[0]; ratio < 2 || ratio > 100 {
		t.Errorf("a channel a hundred times as low is multiplied by %g times as much", ratio)
	}
	for low, want := range map[float64]float64{-100: siluLow, -1: silu(-1), 3: 0} {
		if got := lowOfSiLU(low); math.Abs(got-want) > 1e-9 {
			t.Errorf("down to %g a SiLU makes %g, want %g", low, got, want)
		}
	}
}

// little is a network whose channels differ so that every part alone loses little by one scale.
func little(t testing.TB) *graph.Model {
	t.Helper()
	m := uneven(t)
	for c := range 16 {
		scaled(t, m, "a", c, float32(math.Pow(1.25, float64(c%7))))
	}
	return m
}

// newSmall is a network on its way, with levels and judges.
func newSmall(t testing.TB, m *graph.Model) *static {
	t.Helper()
	s, err := newStatic(t.Context(), m, nil, spec, StaticOptions{Calibration: calibration(t, pictures(t, 20, nil)), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLevelsByChannelEverywhereWhereThatHelps: a plan that loses clearly more is given up for them, another one is not.
func TestLevelsByChannelEverywhereWhereThatHelps(t *testing.T) {
	s := newSmall(t, little(t))
	units := s.plan.units()
	before, err := s.detections(units, s.plan.levels)
	if err != nil {
		t.Fatal(err)
	}
	fine, err := s.everywhere(units)
	if err != nil || !s.report.ByChannel {
		t.Fatalf("by channel: %v, %v", s.report.ByChannel, err)
	}
	after, err := s.detections(fine, s.plan.levels)
	if err != nil || after >= before {
		t.Errorf("error %g, before %g, %v", after, before, err)
	}
	s.report.ByChannel = false
	if again, err := s.everywhere(fine); err != nil || s.report.ByChannel || len(again) != len(fine) {
		t.Errorf("the same again is taken for better: %v, %v", s.report.ByChannel, err)
	}
}
