package onnx

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// signalStack is stack_t of Linux.
type signalStack struct {
	at    uintptr
	flags int32
	size  uintptr
}

// setSignalStack gives the thread another signal stack, unless it is nil, and tells which one it had.
func setSignalStack(t *testing.T, to *signalStack) (had signalStack) {
	t.Helper()
	if _, _, err := unix.RawSyscall(unix.SYS_SIGALTSTACK, uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(&had)), 0); err != 0 {
		t.Fatal(err)
	}
	return had
}

func TestTheSignalStackIsKept(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, fault := setSignalStack(t, nil), errors.New("not opened")
	memory, err := unix.Mmap(-1, 0, 16*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory) //nolint:errcheck // at the end of the test
	if err := keepSignalStack(func() error {
		setSignalStack(t, &signalStack{at: uintptr(unsafe.Pointer(&memory[0])), size: uintptr(len(memory))})
		return fault
	}); !errors.Is(err, fault) {
		t.Error(err)
	}
	if after := setSignalStack(t, nil); after != before || before.at == 0 {
		t.Errorf("signals are handled at %+v instead of %+v", after, before)
	}
}
