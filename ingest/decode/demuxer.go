package decode

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Packet is one access unit out of a container.
type Packet struct {
	Data     []byte        // as the container has it; valid until the next Read, Rewind or Close
	PTS, DTS time.Duration // by the container's clock; NoTime where it does not say
	Duration time.Duration // 0 where it does not say
	Key      bool
	Corrupt  bool // the container knows that something is missing
	Hidden   bool // others refer to it but it is not shown
}

// Demuxer reads the packets of the best video stream of a local file. It belongs to one goroutine.
type Demuxer struct {
	c        *C.sl_demuxer
	file     *os.File
	path     string
	params   *Parameters
	interval time.Duration
	unwatch  func() // stops watching the context
}

// OpenFile opens a video file of any container that libavformat reads and looks into its streams. Only the file itself is
// ever read: addresses, devices and playlists are refused. When ctx is done, what is running returns soon with ctx.Err().
// Errors name the file, what is wrong with it, and what to do.
func OpenFile(ctx context.Context, path string) (*Demuxer, error) {
	listen()
	file, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("open video file %s: %w", path, err)
	}
	d := &Demuxer{file: file, path: path, c: C.sl_demuxer_new(C.int(file.Fd()))}
	if d.c == nil {
		file.Close()
		return nil, fmt.Errorf("open video file %s: out of memory", path)
	}
	d.unwatch = d.watch(ctx)
	if err := d.Rewind(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// watch interrupts what runs when ctx is done. The function that it returns ends that, and waits where it is under way: it
// touches the native part.
func (d *Demuxer) watch(ctx context.Context) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		C.sl_demuxer_interrupt(d.c)
		close(done)
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// openRegular opens a regular file for reading and refuses everything else without blocking on it.
func openRegular(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("there is no such file; check the path: %w", bare(err))
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("this user (uid %d) may not read it; change its permissions: %w", os.Geteuid(), bare(err))
	case err != nil:
		return nil, bare(err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = bare(err)
	case info.IsDir():
		err = errors.New("it is a directory; name a video file in it")
	case !info.Mode().IsRegular():
		err = errors.New("it is no regular file; name a video file")
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// bare takes the path out of an error that will be wrapped with it.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Rewind starts over at the beginning of the file.
func (d *Demuxer) Rewind(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r := C.sl_demuxer_open(d.c); r < 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("open video file %s: %w", d.path, d.openError(r))
	}
	params, interval := d.read()
	if d.params == nil || !d.params.Equal(params) {
		d.params = params
	}
	d.interval = interval
	if !exists(params.Codec) {
		return fmt.Errorf("open video file %s: this libavcodec cannot decode %s; convert it to H.264", d.path, params.Codec)
	}
	return nil
}

// exists says whether this libavcodec decodes a codec.
func exists(codec string) bool {
	name := C.CString(codec)
	defer C.free(unsafe.Pointer(name))
	return C.sl_decoder_exists(name) != 0
}

func (d *Demuxer) openError(r C.int) error {
	container := C.GoString(&d.c.container[0])
	switch {
	case d.c.size == 0 && (r == C.AVERROR_EOF || r == C.AVERROR_INVALIDDATA):
		return errors.New("it is empty; name a video file")
	case r == C.SL_ERROR_PLAYLIST:
		return fmt.Errorf("it is a list of other files or text (%s), which is never followed; name the video file itself", container)
	case r == C.SL_ERROR_NO_VIDEO:
		return fmt.Errorf("it has no video stream (%s); name a file with video", container)
	case r == C.AVERROR_INVALIDDATA, r == C.AVERROR_EOF:
		return fmt.Errorf("it is no video that libavformat knows, or is cut off at the start; name a video file: %w", avError(r))
	}
	return fmt.Errorf("it cannot be read; check the file and its disk: %w", avError(r))
}

func (d *Demuxer) read() (*Parameters, time.Duration) {
	var n C.sl_parameters
	C.sl_demuxer_parameters(d.c, &n)
	return &Parameters{
		Codec: C.GoString(&n.codec[0]), Width: int(n.width), Height: int(n.height), Extradata: C.GoBytes(unsafe.Pointer(n.extradata), n.extradata_len),
		container: container{
			known: true, tag: uint32(n.tag), bits: int(n.bits), delay: int(n.delay), pixelFormat: int(n.pixel_format),
			blockAlign: int(n.block_align), profile: int(n.profile), level: int(n.level),
			colourRange: int(n.colour_range), colourSpace: int(n.colour_space),
		},
	}, time.Duration(n.frame_duration)
}

// Parameters returns the parameters of the video stream; the same pointer after a Rewind when nothing changed.
func (d *Demuxer) Parameters() *Parameters { return d.params }

// Interval returns the time between two pictures by the container's average frame rate, 0 where it does not say.
func (d *Demuxer) Interval() time.Duration { return d.interval }

// Read reads the next packet of the video stream into p. It returns false at the end of the file.
func (d *Demuxer) Read(ctx context.Context, p *Packet) (bool, error) {
	r := C.sl_demuxer_read(d.c)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case r < 0:
		return false, fmt.Errorf("read video file %s: %w", d.path, avError(r))
	case r == 0:
		return false, nil
	}
	*p = Packet{
		Data: unsafe.Slice((*byte)(unsafe.Pointer(d.c.packet.data)), int(d.c.packet.size)),
		PTS:  time.Duration(d.c.pts), DTS: time.Duration(d.c.dts), Duration: time.Duration(d.c.duration),
		Key: d.c.key != 0, Corrupt: d.c.corrupt != 0, Hidden: d.c.discard != 0,
	}
	return true, nil
}

// Close closes the file and frees all that reading took.
func (d *Demuxer) Close() {
	if d.c == nil {
		return
	}
	d.unwatch()
	C.sl_demuxer_free(d.c)
	d.c = nil
	d.file.Close()
}
