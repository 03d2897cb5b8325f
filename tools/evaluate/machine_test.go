package evaluate

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
)

func TestMachineSaysWhatItHasForInt8(t *testing.T) {
	if m := Machine(); !strings.Contains(m, runtime.GOOS+"/"+runtime.GOARCH) || runtime.GOARCH == "amd64" && !strings.Contains(m, "VNNI") {
		t.Errorf("%q", m)
	}
}

// TestSlowInt8IsWarnedOf: in the table and on the page, and only where float is faster.
func TestSlowInt8IsWarnedOf(t *testing.T) {
	model := func(name string, int8, faster float64) ModelReport {
		return ModelReport{Name: name, Size: Size{Int8: int8}, Network: Latency{1, faster, faster, faster}, Whole: Latency{1, 1, 1, 1}}
	}
	r := Report{Models: []ModelReport{model("first", 0, 1), model("slow", 0.9, 0.8), model("quick", 0.9, 1.5), model("pruned", 0, 0.7)}}
	r.warnSlow()
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "slow computes in int8 and is slower here than first, which is float: 0.80x") {
		t.Fatalf("%q", r.Warnings)
	}
	var table, page bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "Warning: slow") || !strings.Contains(page.String(), `class="warning">slow`) {
		t.Error("the warning is shown nowhere")
	}
	only := Report{Models: []ModelReport{model("slow", 0.9, 1), model("slower", 0.9, 0.5)}}
	if only.warnSlow(); len(only.Warnings) > 0 {
		t.Errorf("without a float model: %q", only.Warnings)
	}
	elsewhere := Report{Models: []ModelReport{{Name: "trt", Size: Size{Ranges: []Range{{"x", -1, 1}}}, Network: Latency{1, 1, 1, 1}}, model("float", 0, 2), model("int8", 0.9, 1.5)}}
	if elsewhere.warnSlow(); len(elsewhere.Warnings) != 2 || !strings.Contains(elsewhere.Warnings[0], "trt holds int8, but") || !strings.Contains(elsewhere.Warnings[1], "than float") {
		t.Errorf("%q", elsewhere.Warnings)
	}
	// Against the first float model also where that is not the first of all.
	later := Report{Models: []ModelReport{model("int8", 0.9, 1), model("float", 0, 1.25)}}
	if later.warnSlow(); len(later.Warnings) != 1 || !strings.Contains(later.Warnings[0], "0.80x") {
		t.Errorf("%q", later.Warnings)
	}
}

func TestRaceTellsWhoIsFaster(t *testing.T) {
	const tiny = "../../detect/testdata/tiny.onnx"
	list, err := Race(t.Context(), []string{tiny, tiny}, 3, nil)
	if err != nil || len(list) != 2 || list[0].Faster != 1 || list[1].Faster <= 0 || list[1].Milliseconds <= 0 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, c := range []struct {
		files  []string
		rounds int
	}{{nil, 3}, {[]string{tiny}, 0}, {[]string{"nowhere.onnx"}, 3}} {
		if _, err := Race(t.Context(), c.files, c.rounds, nil); err == nil {
			t.Errorf("%v, %d rounds: no error", c.files, c.rounds)
		}
	}
}
