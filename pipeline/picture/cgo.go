package picture

// #cgo CFLAGS: -O3 -Wall
// #cgo pkg-config: libturbojpeg
import "C"
