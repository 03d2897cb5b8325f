package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// Device is what a network runs on: a kind, and which one of that kind.
type Device struct {
	Kind DeviceKind
	Unit string // number of the GPU, or OpenVINO's name for the device: "" is the first GPU, or the processor
}

// DeviceKind is a kind of device, by the library that computes there.
type DeviceKind string

// The kinds of devices.
const (
	CPU      DeviceKind = "cpu"      // onnxruntime itself
	OpenVINO DeviceKind = "openvino" // Intel's library, on the processor unless another device is named
	CUDA     DeviceKind = "cuda"     // NVIDIA's GPUs
	TensorRT DeviceKind = "tensorrt" // the same, by a network that is compiled for them
)

var (
	gpuNumber    = regexp.MustCompile(`^[0-9]{1,3}$`)
	openVINOName = regexp.MustCompile(`^(CPU|GPU|NPU)(\.[0-9]{1,3})?$`)
)

// ParseDevice reads cpu, openvino, openvino:GPU, cuda, cuda:1, tensorrt or tensorrt:1; "" is cpu.
func ParseDevice(text string) (Device, error) {
	kind, unit, named := strings.Cut(text, ":")
	d := Device{DeviceKind(kind), unit}
	ok := false
	switch d.Kind {
	case "":
		d.Kind, ok = CPU, !named
	case CPU:
		ok = !named
	case OpenVINO:
		ok = !named || openVINOName.MatchString(unit)
	case CUDA, TensorRT:
		ok = !named || gpuNumber.MatchString(unit)
	}
	if !ok {
		return d, fmt.Errorf("device %.40q: must be cpu, openvino (or openvino:GPU, openvino:NPU), cuda or tensorrt (or cuda:1, tensorrt:1 for the second GPU)", text)
	}
	return d, nil
}

// String is what ParseDevice reads.
func (d Device) String() string {
	if d.Unit == "" {
		return string(d.Kind)
	}
	return string(d.Kind) + ":" + d.Unit
}

// OnProcessor tells whether the network computes in threads of the processor.
func (d Device) OnProcessor() bool {
	return d.Kind == CPU || d.Kind == OpenVINO && (d.Unit == "" || strings.HasPrefix(d.Unit, "CPU"))
}

// AnyShape tells whether a session takes batches and pictures of several sizes as they come: others plan or compile the network for each.
func (d Device) AnyShape() bool { return d.Kind == CPU }

// remedies say what a device needs, beside what the library complains of.
var remedies = map[DeviceKind]string{
	OpenVINO: "it needs a libonnxruntime.so that was built with OpenVINO, with the libraries that came with it beside it, such as those of the wheel onnxruntime-openvino; name it by onnxruntime.library",
	CUDA:     "it needs a libonnxruntime.so that was built with CUDA, with the libraries that came with it beside it, such as those of the wheel onnxruntime-gpu; name it by onnxruntime.library; and CUDA, cuDNN (in LD_LIBRARY_PATH, where they are not installed) and a driver as that release wants them",
	TensorRT: "it needs a libonnxruntime.so that was built with TensorRT, with the libraries that came with it beside it, such as those of the wheel onnxruntime-gpu; name it by onnxruntime.library; and TensorRT, CUDA, cuDNN (in LD_LIBRARY_PATH, where they are not installed) and a driver as that release wants them",
}

// appendTo has sessions of these options compute on the device.
func (d Device) appendTo(o *ort.SessionOptions, r recipe) (err error) {
	switch d.Kind {
	case OpenVINO:
		err = o.AppendExecutionProviderOpenVINO(d.openVINO(r.threads))
	case CUDA:
		err = d.appendCUDA(o)
	case TensorRT:
		if err = d.appendTensorRT(o, r.quantised()); err == nil {
			err = d.appendCUDA(o) // computes what TensorRT cannot
		}
	}
	if err != nil {
		return fmt.Errorf("device %s cannot be used: %w (what onnxruntime wrote to stderr may say more): %s", d, err, remedies[d.Kind])
	}
	return nil
}

// openVINO gives options under which a session computes as one of onnxruntime does: in so many threads, one run at a time.
func (d Device) openVINO(threads int) map[string]string {
	options := map[string]string{"device_type": "CPU"}
	if d.Unit != "" {
		options["device_type"] = d.Unit
	}
	if d.OnProcessor() {
		options["num_of_threads"], options["num_streams"] = strconv.Itoa(max(1, threads)), "1"
	}
	return options
}

func (d Device) appendCUDA(o *ort.SessionOptions) (err error) {
	c, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Destroy()) }()
	options := map[string]string{
		"device_id": d.gpu(),
		// Shapes are few and fixed: memory need not grow by doubling, and no run shall wait for a search through all algorithms.
		"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC",
	}
	if err := c.Update(options); err != nil {
		return err
	}
	return o.AppendExecutionProviderCUDA(c)
}

func (d Device) appendTensorRT(o *ort.SessionOptions, quantised bool) (err error) {
	c, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Destroy()) }()
	options := map[string]string{"device_id": d.gpu()}
	if quantised {
		options["trt_int8_enable"] = "1"
	}
	if folder, err := compiledFolder(); err == nil { // without it compiling a network takes minutes each time
		options["trt_engine_cache_enable"], options["trt_engine_cache_path"] = "1", folder
	}
	if err := c.Update(options); err != nil {
		return err
	}
	return o.AppendExecutionProviderTensorRT(c)
}

// compiledFolder makes the folder in which compiled networks are kept.
func compiledFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "sightline", "tensorrt")
	return folder, os.MkdirAll(folder, 0o755)
}

func (d Device) gpu() string {
	if d.Unit == "" {
		return "0"
	}
	return d.Unit
}
