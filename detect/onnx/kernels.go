package onnx

// #cgo CFLAGS: -O3 -std=gnu11
// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "kernels.h"
import "C"

import (
	"fmt"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"
)

// addKernels lets sessions of these options run the operators of our own. The Go binding has no call for it, so its one field, the
// pointer that the library gave, is read here; delete when github.com/yalue/onnxruntime_go can register operators.
func addKernels(options *ort.SessionOptions) error {
	environment.Lock()
	defer environment.Unlock()
	path := C.CString(environment.library)
	defer C.free(unsafe.Pointer(path))
	if wrong := C.kernels_add(path, *(*unsafe.Pointer)(unsafe.Pointer(options))); wrong != nil {
		return fmt.Errorf("add operators to onnxruntime %s: %s", environment.library, C.GoString(wrong))
	}
	return nil
}

// lookupVariants are the ways in which Lookup and LookupChannels can be computed, the best first; "" for one that this processor cannot run.
func lookupVariants() (names []string) {
	for i := 0; ; i++ {
		name := C.lookup_variant(C.int(i))
		if name == nil {
			return names
		}
		names = append(names, C.GoString(name))
	}
}

// lookup computes table[x] for every byte in one of these ways.
func lookup(variant int, x []uint8, table *[256]uint8, y []uint8) {
	C.lookup_bytes_by(C.int(variant), (*C.uint8_t)(unsafe.SliceData(x)), (*C.uint8_t)(&table[0]), (*C.uint8_t)(unsafe.SliceData(y)), C.size_t(len(x)))
}

// lookupChannels is the operator LookupChannels in one of these ways, over pixels of as many channels as there are tables.
func lookupChannels(variant int, x []uint8, tables []uint8, y []uint8) {
	channels := len(tables) / 256
	C.lookup_channels_by(C.int(variant), (*C.uint8_t)(unsafe.SliceData(x)), (*C.uint8_t)(&tables[0]), (*C.uint8_t)(unsafe.SliceData(y)), C.size_t(len(x)/channels), C.size_t(channels))
}

// stemKernel is the largest height or width of the kernel of a Stem.
const stemKernel = C.STEM_KERNEL

// stemSupported tells whether this processor can run the operator Stem.
func stemSupported() bool { return C.stem_supported() != 0 }
