package decode

/*
#include <libavcodec/avcodec.h>
*/
import "C"

import "fmt"

// Version returns the version of libavcodec that runs, such as "59.37.100" (FFmpeg 5.1).
func Version() string {
	v := uint(C.avcodec_version())
	return fmt.Sprintf("libavcodec %d.%d.%d", v>>16, v>>8&0xff, v&0xff)
}
