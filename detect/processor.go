package detect

import (
	"log/slog"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
)

// Processor is the name of the machine's processor as Linux tells it, "" elsewhere.
func Processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// WholeNumbers says whether the processor multiplies and adds int8 in one instruction, where that can be known.
func WholeNumbers() (words string, fast bool) {
	switch {
	case runtime.GOARCH == "amd64" && cpu.X86.HasAVX512VNNI:
		return "AVX512-VNNI", true
	case runtime.GOARCH == "amd64" && cpu.X86.HasAVXVNNI:
		return "AVX-VNNI", true
	case runtime.GOARCH == "amd64":
		return "no VNNI", false
	case runtime.GOARCH == "arm64" && cpu.ARM64.HasI8MM:
		return "int8 matrix product", true
	case runtime.GOARCH == "arm64" && cpu.ARM64.HasASIMDDP:
		return "int8 dot product", true
	case runtime.GOARCH == "arm64" && runtime.GOOS == "linux":
		return "no int8 dot product", false
	}
	return "", true
}

// warnOfInt8 tells who runs an int8 model where little is gained by it.
func warnOfInt8(spec models.Spec, device string, log *slog.Logger) {
	if d, err := onnx.ParseDevice(device); err == nil && d.Kind == onnx.CUDA && spec.Int8 {
		log.Warn("onnxruntime computes an int8 model in float on cuda, and spends more time on rounding than on that: take the float model it was made from, or tensorrt",
			"model", spec.ID())
	}
	if words, fast := WholeNumbers(); spec.Int8 && device == "cpu" && !fast {
		log.Warn("an int8 model may be slower than float on this processor, and less accurate: compare both with `sightline model eval`, or make it again with --target avx2",
			"model", spec.ID(), "processor", words)
	}
}
