package compress

import (
	"runtime"

	"golang.org/x/sys/cpu"

	"github.com/sightline/sightline/detect/onnx"
)

// Machine says on what a model was made, as far as the numbers depend on it. onnxruntime adds float numbers up in another order with
// other instructions, and may with another number of threads: where all three are the same, the same inputs give the same bytes.
type Machine struct {
	Kernels string `json:"kernels" yaml:"kernels"` // instructions that onnxruntime chooses its routines by
	Threads int    `json:"threads" yaml:"threads"`
	Runtime string `json:"onnxruntime" yaml:"onnxruntime"`
}

// ThisMachine is the machine that this process runs on.
func ThisMachine() (Machine, error) {
	version, err := onnx.Version("")
	return Machine{runtime.GOARCH + " " + kernels(), runtime.GOMAXPROCS(0), version}, err
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
