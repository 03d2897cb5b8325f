package compress

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"

	"github.com/sightline/sightline/detect/onnx"
)

// Machine says on what a model was made, as far as the numbers depend on it. onnxruntime adds float numbers up in another order with
// other instructions, and may on another processor or with another number of threads: where all are the same, the same inputs give the
// same bytes.
type Machine struct {
	// Processor is its maker, family and model by number, as the system tells them; "" where it does not.
	Processor string `json:"processor" yaml:"processor"`
	Kernels   string `json:"kernels" yaml:"kernels"` // instructions that onnxruntime chooses its routines by
	Threads   int    `json:"threads" yaml:"threads"`
	Runtime   string `json:"onnxruntime" yaml:"onnxruntime"`
}

// ThisMachine is the machine that this process runs on.
func ThisMachine() (Machine, error) {
	version, err := onnx.Version("")
	return Machine{processor(), runtime.GOARCH + " " + kernels(), runtime.GOMAXPROCS(0), version}, err
}

// kernels names the best instructions that there are of those that make a difference.
func kernels() string {
	for _, k := range []struct {
		has  bool
		name string
	}{
		{cpu.X86.HasAMXInt8, "amx"},
		{cpu.X86.HasAVX512VNNI, "avx512-vnni"},
		{cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ, "avx512"},
		{cpu.X86.HasAVXVNNI, "avx-vnni"},
		{cpu.X86.HasAVX2 && cpu.X86.HasFMA, "avx2"},
		{cpu.ARM64.HasI8MM, "i8mm"},
		{cpu.ARM64.HasASIMDDP, "dotprod"},
	} {
		if k.has {
			return k.name
		}
	}
	return "plain"
}

// processor reads what Linux tells of the first processor, on x86-64 and on ARM.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	var known []string
	first, _, _ := strings.Cut(string(info), "\n\n")
	for line := range strings.Lines(first) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "vendor_id", "cpu family", "model", "CPU implementer", "CPU part":
			known = append(known, strings.TrimSpace(value))
		}
	}
	return strings.Join(known, " ")
}
