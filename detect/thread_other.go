//go:build !linux

package detect

import "time"

// threadTime is the processor time that the calling thread has taken, 0 where that cannot be told.
func threadTime() time.Duration { return 0 }
