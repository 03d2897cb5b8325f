package pipeline

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/picture"
)

// Version is what `sightline version` prints.
type Version struct {
	Sightline   string `json:"sightline"`
	Commit      string `json:"commit"`
	Go          string `json:"go"`
	ONNXRuntime string `json:"onnxruntime"` // or why it was not found
	OpenCV      string `json:"opencv"`
	TurboJPEG   string `json:"libjpeg_turbo"`
	Libav       string `json:"libav"`
	NATS        string `json:"nats_server"`
}

// Versions asks every library that this program runs with.
func Versions(version, commit string) Version {
	runtimeVersion, err := onnx.Version("")
	if err != nil {
		runtimeVersion = "not found: " + err.Error()
	}
	return Version{
		Sightline: version, Commit: commit, Go: strings.TrimPrefix(runtime.Version(), "go"), ONNXRuntime: runtimeVersion,
		OpenCV: picture.OpenCVVersion(), TurboJPEG: picture.TurboJPEGVersion(), Libav: decode.Version(), NATS: server.VERSION,
	}
}

// String is the version as `sightline version` prints it.
func (v Version) String() string {
	return fmt.Sprintf("sightline      %s (commit %s)\ngo             %s\nonnxruntime    %s\nopencv         %s\nlibjpeg-turbo  %s\nlibav          %s\nnats-server    %s\n",
		v.Sightline, v.Commit, v.Go, v.ONNXRuntime, v.OpenCV, v.TurboJPEG, v.Libav, v.NATS)
}
