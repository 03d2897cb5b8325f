package evaluate

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/sightline/sightline/detect"
)

// Machine names the processor that times are of, and what it has for int8: without it int8 gains little or loses.
func Machine() string {
	parts := []string{runtime.GOOS + "/" + runtime.GOARCH}
	if name := detect.Processor(); name != "" {
		parts = append([]string{name}, parts...)
	}
	if words, _ := detect.WholeNumbers(); words != "" {
		parts = append(parts, words)
	}
	return strings.Join(parts, ", ")
}

// warnSlow names int8 models that are slower here than the first float model, or that do not compute in int8 at all: int8 is worth its
// loss of accuracy only where it is fast.
func (r *Report) warnSlow() {
	var float *ModelReport
	for i := range r.Models {
		m := &r.Models[i]
		if m.Int8 == 0 && len(m.Ranges) > 0 {
			r.Warnings = append(r.Warnings, m.Name+" holds int8, but onnxruntime computes all of it in float here: it is made for another target, and its times here say nothing of that")
		} else if float == nil && m.Int8 == 0 {
			float = m
		}
	}
	if float == nil {
		return
	}
	remedy := "run the float model here"
	if words, fast := detect.WholeNumbers(); !fast {
		remedy = "this processor has " + words + "; " + remedy
		if runtime.GOARCH == "amd64" {
			remedy += ", or quantise with --target avx2"
		}
	}
	for _, m := range r.Models {
		if m.Int8 == 0 || !(m.Network.Faster < float.Network.Faster) {
			continue
		}
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s computes in int8 and is slower here than %s, which is float: %sx as fast; %s",
			m.Name, float.Name, decimal(m.Network.Faster/float.Network.Faster, 2), remedy))
	}
}
