package onnx

/*
#include <signal.h>
#include <stddef.h>

static _Thread_local stack_t kept;

static void keep_signal_stack(void) { sigaltstack(NULL, &kept); }
static void restore_signal_stack(void) { sigaltstack(&kept, NULL); }
*/
import "C"

import "runtime"

// keepSignalStack has the thread keep the stack on which Go handles signals, whatever open does to it. OpenVINO 2025.4 gives the thread that
// opens the first session another one, and frees that with the last session, on whatever thread this happens: the next signal then
// ends the process.
func keepSignalStack(open func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	C.keep_signal_stack()
	defer C.restore_signal_stack()
	return open()
}
