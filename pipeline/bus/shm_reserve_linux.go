package bus

import "syscall"

// reserve gives a file its size and the memory behind it.
func reserve(fd int, size int64) error {
	for {
		if err := syscall.Fallocate(fd, 0, 0, size); err != syscall.EINTR {
			return err
		}
	}
}
