package decode

// #include "shim.h"
import "C"

import "runtime"

// glibc keeps eight heaps for each processor, and raises the size from which memory is taken from the system by itself to the
// largest block that was ever freed, up to 32 MB: then the pictures of every decoder that is closed stay behind as holes in many
// heaps. A process with one 4K camera grew by 130 MB in five minutes of it. It is the whole process's matter and must be said
// before there are threads; it stands here because only decoders take so much and come and go.
func init() { C.sl_bound_memory(C.int(max(2, runtime.NumCPU()))) }
