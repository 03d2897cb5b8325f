package evaluate

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// invention is a report of models that do not exist, one of them with a name that means harm.
func invention() Report {
	layer := func(name string, macs, zeros int64, int8 bool) Layer {
		return Layer{Name: name, Op: "Conv", Kernel: []int64{8, 4, 3, 3}, MACs: macs, Weights: 288, Zeros: zeros, Int8: int8}
	}
	model := func(name string, ap float64, d Difference, faster float64, layers ...Layer) ModelReport {
		m := ModelReport{Name: name, Family: "yolox", Width: 416, Height: 320, Accuracy: Accuracy{ap, ap + .16, ap + .01, -1, ap + .03, ap + .2}, Recall: ap + .1,
			Difference: d, Network: Latency{20 / faster, faster, faster * .95, faster * 1.05}, Whole: Latency{21 / faster, faster, faster * .96, faster * 1.04},
			Classes: []ClassScore{{"person", 446, ap, ap + .2, ap + .1}, {"<script>alert(1)</script>", 3, ap / 2, ap, ap}, {"hair drier", 1, 0, 0, 0}},
			Size:    Size{Bytes: 3678356, Gzip: 3384447, Parameters: 904463, Sparsity: 0.001, Layers: layers}}
		for _, l := range layers {
			m.MACs += l.MACs
		}
		return m
	}
	r := Report{Data: "coco-dev", Images: 176, Objects: 1478, Machine: "A processor, linux/amd64", Runtime: "1.32.0", Rounds: 41, Resamples: 1000, Models: []ModelReport{
		model("yolox_nano", .2962, Difference{}, 1, layer("first", 75e6, 0, false), layer("second", 12345678, 0, false)),
		model("nano-int8", .2907, Difference{-.0055, -.0148, .0011}, 1.93, layer("first", 75e6, 0, false), layer("second", 12345678, 150, true)),
		model("<b>old</b> & slow", .25, Difference{-.0462, -.06, -.03}, .5, layer("first", 75e6, 288, false)),
	}}
	r.Models[1].Int8, r.Models[2].Sparsity = 0.14, 1
	r.markDominated()
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, got)
	}
}

func TestTableIsAsUsersKnowIt(t *testing.T) {
	var b bytes.Buffer
	r := invention()
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n")
	if err := r.WriteClasses(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.golden", b.Bytes())
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestFullDiskIsTold(t *testing.T) {
	r := invention()
	for name, err := range map[string]error{"table": r.WriteTable(full{}), "classes": r.WriteClasses(full{}), "page": r.WriteHTML(full{})} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNumbersAsWritten(t *testing.T) {
	for got, want := range map[string]string{
		points(-1): "-", points(0.29651): "29.7", points(0): "0.0",
		signed(-0.0001): "0.0", signed(0.012): "+1.2", signed(-0.012): "-1.2",
		percent(0): "0 %", percent(0.001): "<1 %", percent(0.999): ">99 %", percent(1): "100 %", percent(0.456): "46 %",
		grouped(0): "0", grouped(999): "999", grouped(1000): "1 000", grouped(1234567): "1 234 567", grouped(-1234): "-1 234",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
