//go:build !linux

package bus

import "syscall"

// reserve gives a file its size; the memory behind it comes with the first write.
func reserve(fd int, size int64) error { return syscall.Ftruncate(fd, size) }
