package picture

// #include "jpeg.h"
import "C"

import "gocv.io/x/gocv"

// OpenCVVersion is the version of the OpenCV library that is linked.
func OpenCVVersion() string { return gocv.OpenCVVersion() }

// TurboJPEGVersion is the version of the libjpeg-turbo that this program was built against.
func TurboJPEGVersion() string { return C.GoString(C.sl_jpeg_version()) }
