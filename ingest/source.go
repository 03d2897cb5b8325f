package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/bus"
)

// Source brings the access units of one camera. There is one Source per Camera and its Run is called by the camera's owner
// from one goroutine, one call after the other and never two at a time: every call is one connection and one session.
//
// Run connects, hands every access unit to q (from whatever goroutines it likes) and blocks until the connection ended
// and all that it started has ended too. It never tries again by itself: the owner does, by the Class of the error.
// It returns nil only when the source came to its end and has no more to give (a file), ctx.Err() when it was cancelled,
// and otherwise an error, best an *Error. Texts may hold the camera's address: the owner redacts them before they are
// logged or published; what a source logs itself goes through Redact.
type Source interface {
	Run(ctx context.Context, q *Queue) error
}

// Unit is one access unit (one coded picture) on its way from a source to the decoder.
type Unit struct {
	// Format describes the stream. The pointer is the identity: the decoder is made anew when it differs from that of
	// the unit before, so a source makes one Format per stream and a new one when the parameters really changed
	// (new parameter sets inside Data need no new Format). It is not written to after it was handed over.
	Format *decode.Parameters
	// Data is the coded picture: Annex B for H.264 and H.265 (a key frame with its parameter sets in front of it where
	// the stream has them), the bare frame for VP8, VP9, MJPEG, a temporal unit for AV1. Borrowed: the queue copies it.
	Data []byte
	// PTS is the presentation time since any fixed origin of this session (unwrapped; it may run backwards with B-frames
	// and may jump with a sick camera). decode.NoTime where unknown.
	PTS time.Duration
	// RTPTimestamp is the 90 kHz timestamp of the packets that carried it.
	RTPTimestamp uint32
	// CapturedAt is when the picture was taken, by Clock. With bus.ClockFile it stays zero: the owner counts from PTS.
	CapturedAt time.Time
	Clock      bus.Clock
	// Key is set where the source knows that decoding can start here (IDR, IRAP, VP8 key frame).
	Key bool
	// Lost is set when something is missing between the unit before and this one, or inside this one: no picture is
	// published until the next key frame.
	Lost bool

	// Only containers know these:
	dts      time.Duration // decoding time, used where PTS is unknown; may be unknown too
	interval time.Duration // between two pictures on average; 0 where unknown
	hidden   bool          // others refer to it but it is not shown (edit lists)
	drain    bool          // no data: the stream starts over behind this, give out what is held back for reordering
}

// Class says what the owner does about an error of a source.
type Class uint8

// The classes of errors of a source.
const (
	// Retry: try again with back-off (0.5 s doubling to 8 s). Also the class of every error that is no *Error.
	Retry Class = iota
	// Closed: the other side ended the session in order and may come back (a WHIP peer that left): run again at once.
	Closed
	// Unauthorized: user name or password were refused: try again once a minute, so that the camera does not lock us out.
	Unauthorized
	// Permanent: trying again cannot help (a missing file, an address that cannot be parsed): the camera stops.
	Permanent
)

// Error is an error of a source with its class. Err says thing, place and remedy.
type Error struct {
	Class Class
	Err   error
}

// Error returns the text of the wrapped error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// classOf returns what the owner does about err.
func classOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Retry
}

// newSource chooses the kind of source by the address. Its errors name the camera's address, unredacted.
func newSource(cfg CameraConfig, log *slog.Logger) (Source, error) {
	scheme, _, isURL := strings.Cut(cfg.Source, "://")
	switch {
	case cfg.Source == "":
		return nil, errors.New("open source: the camera has no source; give a file, rtsp://…, http://…/whep or whip")
	case cfg.Source == "whip":
		return newWHIPSource(cfg, log)
	case !isURL:
		return newFileSource(cfg), nil
	}
	switch strings.ToLower(scheme) {
	case "rtsp", "rtsps":
		return newRTSPSource(cfg, log)
	case "http", "https":
		return newWHEPSource(cfg, log)
	}
	return nil, fmt.Errorf("open source %s: %q is no scheme that a camera may have; use rtsp, rtsps, http, https (WHEP), whip or the path of a file",
		cfg.Source, scheme)
}
