package onnx

import (
	"strings"
	"testing"
)

func TestDevicesAreRead(t *testing.T) {
	for text, want := range map[string]struct {
		device    Device
		processor bool
	}{
		"": {Device{CPU, ""}, true}, "cpu": {Device{CPU, ""}, true}, "openvino": {Device{OpenVINO, ""}, true},
		"openvino:CPU": {Device{OpenVINO, "CPU"}, true}, "openvino:GPU.1": {Device{OpenVINO, "GPU.1"}, false}, "openvino:NPU": {Device{OpenVINO, "NPU"}, false},
		"cuda": {Device{CUDA, ""}, false}, "cuda:12": {Device{CUDA, "12"}, false}, "tensorrt:1": {Device{TensorRT, "1"}, false},
	} {
		d, err := ParseDevice(text)
		if err != nil || d != want.device || d.OnProcessor() != want.processor || text != "" && d.String() != text {
			t.Errorf("%q: %+v, on the processor %v, %v", text, d, d.OnProcessor(), err)
		}
	}
	for _, text := range []string{":", ":1", "cpu:0", "cpu:", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1000", "cuda:0:1", "openvino:gpu", "openvino:GPU.", "tensorrt:x", " cpu"} {
		if d, err := ParseDevice(text); err == nil || !strings.Contains(err.Error(), "must be cpu, openvino") {
			t.Errorf("%q: %+v, %v", text, d, err)
		}
	}
}

// TestADeviceThatCannotBeUsedIsRefused, with the reason and what it needs. No machine has a GPU of this number.
func TestADeviceThatCannotBeUsedIsRefused(t *testing.T) {
	for device, need := range map[string]string{"cuda:999": "cuDNN", "tensorrt:999": "TensorRT, CUDA", "openvino:GPU.999": "onnxruntime-openvino"} {
		o := tinyOptions(1)
		o.Device = device
		s, err := Open(o)
		if err == nil {
			t.Errorf("%s was opened: %v", device, s.Close())
			continue
		}
		for _, want := range []string{"open model ", "device " + device + " cannot be used: ", "onnxruntime.library", need} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v lacks %q", device, err, want)
			}
		}
	}
	if err := openTiny(t, 1).Run(1); err != nil { // the processor is there all the same
		t.Error(err)
	}
}
